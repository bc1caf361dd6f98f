"""Which inputs are text or images: declared in params.yaml, never guessed.

    inputs:
      text: [name]
      image: [picture]
      transformer: {folder: models/minilm}    # reads the text, instead of n-grams

Text that is not named there is a category. Docs: inputs.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import msgspec

from runtime_lib.data.columns import Kind
from runtime_lib.errors import SettingsError
from runtime_lib.settings import Settings
from runtime_lib.settings.params import read_params

__all__ = ["Pretrained", "inputs_of", "pretrained_of", "read_inputs", "read_pretrained"]

_KINDS: tuple[Kind, ...] = ("text", "image")
_TRANSFORMER = "transformer"
_WHERE = f"params.yaml, inputs.{_TRANSFORMER}"
# What a branch or a tag names may change; a commit may not.
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Pretrained(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The transformer whose embedding stands for a text.

    Attributes:
        folder: that holds it, absolute or below the project's; or
        hub: its name on Hugging Face's hub, at the commit `revision`.
        tokens: of a text that are read, special ones included; None: 256, or as many as it takes.
    """

    folder: str = ""
    hub: str = ""
    revision: str = ""
    tokens: Annotated[int, msgspec.Meta(ge=3)] | None = None

    def __str__(self) -> str:
        return f"{self.hub}@{self.revision}" if self.hub else self.folder


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
    known = (*_KINDS, _TRANSFORMER)
    if unknown := [name for name in written if name not in known]:
        raise SettingsError(
            f"params.yaml, inputs: unknown kind '{unknown[0]}'. Known: {', '.join(known)}; numbers and "
            f"categories need no declaration."
        )
    found: dict[str, Kind] = {}
    for kind in _KINDS:
        for name in _names(written.get(kind), kind):
            if name in found:
                raise SettingsError(f"params.yaml, inputs: '{name}' is declared twice.")
            found[name] = kind
    return found


def read_pretrained(settings: Settings) -> Pretrained | None:
    """Return the transformer that a project's text is read by; None: n-grams are counted.

    Raises:
        SettingsError: an option is unknown or wrong, or there is no text to read.
    """
    if not (settings.root / "params.yaml").exists():
        return None
    return pretrained_of(read_params(settings.root))


def pretrained_of(params: Mapping[str, Any]) -> Pretrained | None:
    """Return what the tables of params.yaml say, as `read_pretrained`."""
    declared = inputs_of(params)
    written = (params.get("inputs") or {}).get(_TRANSFORMER)
    if written is None:
        return None
    found = _pretrained(written)
    if "text" not in declared.values():
        raise SettingsError(
            f"{_WHERE} names '{found}', and inputs.text no column that it could read. Write "
            f"`text: [column]` beside it, or leave it out."
        )
    return found


def _pretrained(written: Any) -> Pretrained:
    fields = Pretrained.__struct_fields__
    if isinstance(written, Mapping) and (unknown := [str(name) for name in written if name not in fields]):
        near = get_close_matches(unknown[0], fields, 1)
        meant = f" Do you mean '{near[0]}'?" if near else ""
        raise SettingsError(f"{_WHERE}: unknown option '{unknown[0]}'.{meant} Known: {', '.join(fields)}.")
    try:
        found = msgspec.convert(written, Pretrained)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{_WHERE}: {written!r} is none ({error}). Write `{{folder: models/minilm}}`, or "
            f"`{{hub: name, revision: commit}}`."
        ) from error
    if bool(found.folder) == bool(found.hub):
        raise SettingsError(f"{_WHERE}: {written!r} must name either a folder or a hub model, not both.")
    if found.hub and not _COMMIT.fullmatch(found.revision):
        raise SettingsError(
            f"{_WHERE}: revision {found.revision!r} of '{found.hub}' is no commit of 40 hex digits. Branches "
            f"and tags move; copy the commit from the model's page, under its files' history."
        )
    if found.folder and found.revision:
        raise SettingsError(f"{_WHERE}: revision is for a hub model; leave it out beside a folder.")
    return found


def _names(names: Any, kind: str) -> list[str]:
    names = [] if names is None else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"params.yaml, inputs.{kind}: {names!r} is no list of columns.")
    return names
