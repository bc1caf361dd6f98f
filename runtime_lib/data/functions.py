"""The project's own functions, found by convention in its package.

    <package>/data.py        load
    <package>/features.py    features, and label in a project made since 0.6; quality_rules if there is one

The one place that knows these names and where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from runtime_lib.data.features import Features
from runtime_lib.data.quality.rule import Rule, check_names
from runtime_lib.data.raw import as_stored
from runtime_lib.errors import DataError, SettingsError, quoted
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import read_task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find_features", "find_function", "find_label", "find_rules", "load_month"]

_RULES = "quality_rules"
_MODULES = {"load": "data", "features": "features", "label": "features", _RULES: "features"}


def find_function(package: str, name: Literal["load", "features"]) -> Callable[..., Any]:
    """Return one of the project's functions.

    Args:
        package: the project's package, `project.package` in mlops.toml.

    Raises:
        DataError: the package is not installed, its module cannot be imported, or it lacks the function.
    """
    module = _module(package, _MODULES[name])
    found = getattr(module, name, None)
    if not callable(found):
        raise DataError(f"{module.__file__} has no function '{name}'. The library looks for it there.")
    return found  # type: ignore[no-any-return]


def load_month(package: str, month: str) -> pd.DataFrame:
    """Return the raw rows of one month as the project's `load` gives them now, typed as a stored month.

    Raises:
        SettingsError: `month` is not written as YYYY-MM.
        DataError: see `find_function`; or the month has no rows.
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise SettingsError(f"{month!r} is not a month; write it as YYYY-MM.")
    try:
        raw = find_function(package, "load")(month)
    except OSError as error:  # of any other, its author needs the traceback
        raise DataError(f"load({month!r}) of {package}.data failed: {error}.") from error
    if raw.empty:
        raise DataError(f"load() returned no rows for {month}.")
    return as_stored(raw)


def find_label(package: str) -> Callable[..., Any] | None:
    """Return the project's function `label`; None where `features` returns the label itself, as before 0.6.

    Raises:
        DataError: the package is not installed, or its module cannot be imported.
    """
    found = getattr(_module(package, _MODULES["label"]), "label", None)
    return found if callable(found) else None


def find_rules(package: str) -> list[Rule]:
    """Return what the project's function `quality_rules` declares; empty without one, or without a package.

    Raises:
        SettingsError: a rule is wrong, two have one name, or the function returned something else.
        DataError: its module cannot be imported, or the function fails.
    """
    try:
        there = find_spec(f"{package}.{_MODULES[_RULES]}")
    except ModuleNotFoundError:
        there = None
    if there is None:
        return []
    module = _module(package, _MODULES[_RULES])
    if not callable(declare := getattr(module, _RULES, None)):
        return []
    where = f"{module.__file__}, {_RULES}()"
    try:
        rules = declare()
    except (SettingsError, TypeError) as error:  # of a type error: an option that the rule does not have
        raise SettingsError(f"{where}: {error}") from error
    except Exception as error:  # whatever else the project's function does
        raise DataError(f"{where} failed: {type(error).__name__}: {error}.") from error
    if not isinstance(rules, list | tuple) or not all(isinstance(rule, Rule) for rule in rules):
        raise SettingsError(
            f"{where} returned {quoted(rules)}, not a list of rules of runtime_lib.data.quality."
        )
    check_names(rules)
    return [*rules]


def find_features(settings: Settings) -> Features:
    """Return the project's `features`, `label` and task as one.

    Raises:
        DataError: see `find_function`.
    """
    package = settings.project.package
    return Features(find_function(package, "features"), find_label(package), read_task(settings))


def _module(package: str, name: str) -> ModuleType:
    path = f"{package}.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise DataError(
                f"The project's package '{package}' (project.package in mlops.toml) is not installed here: "
                f"run `uv sync`, and this command as `uv run mlops …`."
            ) from error
        if error.name == path:
            raise DataError(f"The package '{package}' has no module '{name}'.") from error
        raise _broken(path, error) from error
    except Exception as error:  # whatever the project's module does while it is imported
        raise _broken(path, error) from error


def _broken(path: str, error: Exception) -> DataError:
    return DataError(f"{path} cannot be imported: {type(error).__name__}: {error}.")
