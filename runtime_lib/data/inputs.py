"""Which inputs are text or images: declared in params.yaml, never guessed.

    inputs:
      text: [name]
      image: [picture]

Text that is not named there is a category. Docs: inputs.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime_lib.data.columns import Kind
from runtime_lib.errors import SettingsError
from runtime_lib.settings import Settings
from runtime_lib.settings.params import read_params

__all__ = ["inputs_of", "read_inputs"]

_KINDS: tuple[Kind, ...] = ("text", "image")


def read_inputs(settings: Settings) -> dict[str, Kind]:
    """Return column → kind, of a project's declared columns; without a table `inputs` there are none.

    Raises:
        SettingsError: the table is none, names an unknown kind, or a column twice.
    """
    if not (settings.root / "params.yaml").exists():
        return {}
    return inputs_of(read_params(settings.root))


def inputs_of(params: Mapping[str, Any]) -> dict[str, Kind]:
    """Return what the tables of params.yaml declare, as `read_inputs`."""
    written = params.get("inputs") or {}
    if not isinstance(written, Mapping):
        raise SettingsError(f"params.yaml, inputs: {written!r} is no table of {' and '.join(_KINDS)}.")
    if unknown := [name for name in written if name not in _KINDS]:
        raise SettingsError(
            f"params.yaml, inputs: unknown kind '{unknown[0]}'. Known: {', '.join(_KINDS)}; numbers and "
            f"categories need no declaration."
        )
    found: dict[str, Kind] = {}
    for kind in _KINDS:
        for name in _names(written.get(kind), kind):
            if name in found:
                raise SettingsError(f"params.yaml, inputs: '{name}' is declared twice.")
            found[name] = kind
    return found


def _names(names: Any, kind: str) -> list[str]:
    names = [] if names is None else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"params.yaml, inputs.{kind}: {names!r} is no list of columns.")
    return names
