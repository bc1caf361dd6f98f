"""Keys that were renamed: read under their old name for one minor version, with a warning, then refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from runtime_lib import __version__
from runtime_lib.errors import SettingsError
from runtime_lib.settings.layers import Key, Layer, dotted
from runtime_lib.settings.tables import Moved

__all__ = ["take_renamed"]

_ANY = "*"


def take_renamed(layer: Layer, renamed: Mapping[str, Moved]) -> None:
    """Give renamed keys of one source their new names, before another source goes over it.

    Raises:
        SettingsError: a key whose old name is no longer read.
    """
    for old, (new, until) in renamed.items():
        pattern = old.split(".")
        for at in list(_matches(layer.tables, pattern)):
            chosen = iter([part for part, wanted in zip(at, pattern, strict=True) if wanted == _ANY])
            to = [next(chosen) if part == _ANY else part for part in new.split(".")] if new else []
            what = f"is called '{dotted(to)}' now: rename it" if to else "has no effect any more: remove it"
            key = f"The key '{dotted(at)}' ({layer.place(at)})"
            if _number(__version__) >= _number(until):
                raise SettingsError(f"{key} {what}.")
            _warn_once(f"{key} {what}. From version {until} on it is refused.")
            value = _take(layer.tables, at)
            if to:
                _put_if_missing(layer.tables, to, value)


def _matches(content: Any, pattern: Sequence[str]) -> Iterator[Key]:
    """Every key in `content` that `pattern` names."""
    if not pattern:
        yield ()
    elif isinstance(content, Mapping):
        for name in content if pattern[0] == _ANY else pattern[:1]:
            if name in content:
                yield from ((name, *rest) for rest in _matches(content[name], pattern[1:]))


def _take(content: dict[str, Any], at: Sequence[str]) -> Any:
    """Remove and return a value; a table that it leaves empty goes too, as it may be unknown by now."""
    if len(at) == 1:
        return content.pop(at[0])
    value = _take(content[at[0]], at[1:])
    if not content[at[0]]:
        del content[at[0]]
    return value


def _put_if_missing(content: dict[str, Any], at: Sequence[str], value: Any) -> None:
    *above, last = at
    for part in above:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):  # refused when the settings are built
            return
    content.setdefault(last, value)


@cache
def _warn_once(message: str) -> None:
    logging.getLogger(__name__).warning("%s", message)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
