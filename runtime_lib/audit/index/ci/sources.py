"""What the readers of CI configurations look things up in, and where a key stands."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.audit.index.model import Document, Module, Text

__all__ = ["Lines", "Place", "Script", "Sources", "block", "join", "listed", "strings", "table"]


@dataclass(frozen=True)
class Sources:
    """The repository as far as CI reads it; all by path."""

    texts: Mapping[str, Text] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)
    files: Collection[str] = ()
    cache: dict[Any, Any] = field(default_factory=dict, compare=False)

    def text(self, folder: str, *names: str) -> Text | None:
        """The first of these files that is there, in the folder, else at the root."""
        return next((self.texts[path] for path in _paths(folder, names) if path in self.texts), None)

    def document(self, folder: str, *names: str) -> Document | None:
        return next((self.documents[path] for path in _paths(folder, names) if path in self.documents), None)

    def module(self, folder: str, *names: str) -> Module | None:
        return next((self.modules[path] for path in _paths(folder, names) if path in self.modules), None)

    def lines(self, document: Document) -> Lines:
        key = ("lines", document.path)
        if key not in self.cache:
            self.cache[key] = Lines(document)
        found: Lines = self.cache[key]
        return found


@dataclass(frozen=True)
class Place:
    """Where a script is written and how it is run: `folder` is where it starts, "" the repository's root."""

    path: str
    line: int
    folder: str = ""
    by: tuple[str, ...] = ()
    may_fail: bool = False
    strict: bool = True
    pipefail: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """Commands for a shell, and where they are written."""

    text: str
    place: Place


class Lines:
    """Lines of a document's keys; of what has none, that of the nearest key above it."""

    def __init__(self, document: Document) -> None:
        self._first: dict[tuple[str | int, ...], int] = {}
        for entry in document.entries:
            keys = tuple(_plain(key) for key in entry.keys)
            for end in range(len(keys) + 1):
                self._first.setdefault(keys[:end], entry.line)

    def of(self, *keys: str | int) -> int:
        while keys and keys not in self._first:
            keys = keys[:-1]
        return self._first.get(keys, 1)


def _paths(folder: str, names: tuple[str, ...]) -> list[str]:
    """Which folder a script is in cannot always be told: the root is the second guess."""
    return [join(place, name) for place in dict.fromkeys((folder, "")) for name in names]


def _plain(key: Any) -> str | int:
    """YAML 1.1 reads `on` as True."""
    return "on" if key is True else key if isinstance(key, int) else str(key)


def block(value: str, line: int) -> int:
    """Where the text of a value begins: under the `|`, or where the value stands."""
    return line + 1 if "\n" in value else line


def join(folder: str, name: str) -> str:
    """`name` seen from `folder`, without leaving the repository; "" is the root."""
    path = posixpath.normpath(posixpath.join("/" + folder, name)).lstrip("/")
    return "" if path == "." else path


def table(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """A list, of a single value one of one, of nothing an empty one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def strings(value: Any) -> dict[str, str]:
    """Plain values of a mapping as text."""
    return {
        str(key): str(one).lower() if isinstance(one, bool) else str(one)
        for key, one in table(value).items()
        if isinstance(one, str | int | float)
    }
