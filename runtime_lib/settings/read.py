"""Reading the settings: the file, one of its environments and the variables, laid over one another."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runtime_lib.errors import SettingsError
from runtime_lib.secrets import hide, hide_values, is_encoded, password_of
from runtime_lib.settings.build import build
from runtime_lib.settings.channels import check_channels, check_layers
from runtime_lib.settings.layers import Key, Layer, Layers, unknown
from runtime_lib.settings.renamed import take_renamed
from runtime_lib.settings.tables import RENAMED, Settings

__all__ = ["find_root", "load", "read_layers"]

FILE = "mlops.toml"
_PREFIX = "MLOPS_"


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (default: here) that holds `mlops.toml`."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise SettingsError(
        f"No {FILE} in {start} or above it. Go to a project's folder, or make one with `copier copy`."
    )


def load(root: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the project at `root` (default: found from here upwards).

    Args:
        environ: the variables to read (default: those of this process).

    Raises:
        SettingsError: no file, bad TOML, an unknown key or environment, or a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    root = (root or find_root()).resolve()
    environment = environ.get("MLOPS_ENV", "local")
    layers = read_layers(root / FILE, environment, environ)
    check_layers(layers)
    settings = build(Settings, layers, environment=environment, root=root)
    hide(settings.tracking.uri, settings.tracking.artifacts, settings.monitoring.webhook)
    for channel in settings.monitoring.alerts.values():
        hide_values(*channel.secrets)
    _check_addresses(settings, layers)
    check_channels(settings.monitoring.alerts, settings.monitoring.webhook, layers)
    _check_windows(settings, layers)
    whole, least = settings.hardware.memory_gib, settings.hardware.least_memory_gib
    if 0 < whole < least:
        raise SettingsError(
            f"hardware.least_memory_gib = {least:g}, to which work may shrink, is more than the whole: "
            f"hardware.memory_gib = {whole:g}."
        )
    return settings


def _check_windows(settings: Settings, layers: Layers) -> None:
    """Refuse windows that could never agree. A default gives way: of one window, that one decides."""
    key, rules = ("monitoring", "persistence"), settings.monitoring
    if rules.persistence > rules.windows and any(layer.holds(key) for layer in layers.layers):
        raise SettingsError(
            f"monitoring.persistence = {rules.persistence}: so many windows cannot agree, as there are "
            f"monitoring.windows = {rules.windows}. Lower the first or raise the second. "
            f"Set in {layers.place(key)}."
        )


def _check_addresses(settings: Settings, layers: Layers) -> None:
    """Refuse an address that cannot be taken apart, or that would be stored with its password."""
    for key in ("uri", "artifacts"):
        if not is_encoded(getattr(settings.tracking, key)):
            raise SettingsError(
                f"tracking.{key} holds a login or port that cannot be read. Write special characters of a "
                f"login percent-encoded: / as %2F, @ as %40, : as %3A, # as %23, ? as %3F, % as %25, "
                f"a space as %20. Set in {layers.place(('tracking', key))}."
            )
    if password_of(settings.tracking.artifacts):
        raise SettingsError(
            f"tracking.artifacts holds a password, and MLflow would store it. Leave it out: the store's own "
            f"variables hold it. Set in {layers.place(('tracking', 'artifacts'))}."
        )
    if "@" in urlsplit(settings.monitoring.retrain.airflow_url).netloc:
        raise SettingsError(
            f"monitoring.retrain.airflow_url holds a login. Leave it out: airflow_user names the user, and "
            f"the variable MLOPS_AIRFLOW_PASSWORD holds the password. "
            f"Set in {layers.place(('monitoring', 'retrain', 'airflow_url'))}."
        )


def read_layers(file: Path, environment: str, environ: Mapping[str, str]) -> Layers:
    """Read the file's tables, those of its `environment` and the variables; renamed keys get their new names.

    Raises:
        SettingsError: no file, bad TOML, or no environment of that name.
    """
    content = _read(file)
    environments = _table(content.pop("environments", {}), "environments", file)
    layers = [Layer(str(file), content)]
    if environment in environments:
        name = f"environments.{environment}"
        layers.append(Layer(f"[{name}] of {file}", _table(environments[environment], name, file)))
    elif environment != "local":
        raise SettingsError(
            unknown(
                "environment",
                environment,
                ["local", *environments],
                f"[environments.{environment}] in {FILE}",
            )
        )
    for layer in layers:
        take_renamed(layer, RENAMED)
    layers.append(_variables(environ, below=Layers(layers).merged()))
    take_renamed(layers[-1], RENAMED)
    return Layers(layers)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"No settings file {path}. Is this the project's folder?") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _table(content: Any, name: str, file: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise SettingsError(f"[{name}] must be a table, not {content!r}. Set in {file}.")
    return content


def _variables(environ: Mapping[str, str], *, below: Mapping[str, Any]) -> Layer:
    """`MLOPS_SERVING__PORT=9000` → `{"serving": {"port": "9000"}}`, a level for each `__`.

    A part that names something `below` is spelt as it is there: variables can hold neither small letters nor
    hyphens, names that a project chooses can.
    """
    content: dict[str, Any] = {}
    names: dict[Key, str] = {}
    for variable in sorted(environ):  # so that a table comes before what is in it
        at = variable.removeprefix(_PREFIX).lower().split("__")
        if not variable.startswith(_PREFIX) or len(at) < 2:
            continue
        at = _spelt(at, below)
        _put(content, at, environ[variable])
        names[tuple(at)] = variable
    return Layer(f"an {_PREFIX}… variable or an option", content, names)


def _spelt(at: list[str], below: Any) -> list[str]:
    found = []
    for part in at:
        known = list(below) if isinstance(below, Mapping) else []
        found.append(next((name for name in known if name.lower().replace("-", "_") == part), part))
        below = below.get(found[-1]) if isinstance(below, Mapping) else None
    return found


def _put(content: dict[str, Any], at: list[str], value: str) -> None:
    *above, last = at
    for part in above:
        if not isinstance(content.get(part), dict):
            content[part] = {}
        content = content[part]
    content[last] = value
