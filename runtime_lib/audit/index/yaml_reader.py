"""YAML with line numbers, from events: no object of a document is made, no alias is unfolded without a bound.

Events take a quarter of the time of composed nodes, and need no recursion, which depth would exhaust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any

import yaml

from runtime_lib.audit.index.model import Entry

__all__ = ["MOST", "Read", "read_yaml"]

MOST = 20_000  # values of a document, aliases unfolded
DEEPEST = 100
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+)\Z")
FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?\Z")
WORDS: dict[str, bool | None] = {"": None, "~": None}
for _word, _means in (
    *dict.fromkeys(("true", "yes", "on"), True).items(),
    *dict.fromkeys(("false", "no", "off"), False).items(),
    ("null", None),
):
    WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), _means)


class _Stop(Exception):
    """A document that is not read on, with why."""


@dataclass(frozen=True)
class _Scalar:
    value: Any
    line: int


@dataclass
class _Frame:
    """An open list or mapping."""

    into: list[Any] | dict[str, Any]
    anchor: str | None = None
    tag: str = ""
    key: str | None = None
    merged: list[Any] = field(default_factory=list)


@dataclass
class Read:
    """`documents`: plain data; `entries`: of several documents with a first key for the place."""

    documents: list[Any]
    entries: tuple[Entry, ...]
    problem: str = ""


def read_yaml(text: str) -> Read:
    """Read all documents of a file; what comes before a fault counts.

    Keys are as they are written, so GitHub's `on` stays "on". `!reference [a, b]` becomes
    `{"!reference": ["a", "b"]}`; of other tags the content counts.
    """
    builder = _Builder()
    problem = ""
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except _Stop as stop:
        problem = str(stop)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = f"{where}{getattr(error, 'problem', None) or type(error).__name__}"
    roots = builder.finish()
    entries, whole = _entries(roots)
    if not whole and builder.aliases:
        return Read([], entries, f"more than {MOST:,} values by aliases")
    known: dict[int, Any] = {}
    documents = [_plain(root, known) for root in roots]
    return Read(documents, entries, problem or ("" if whole else f"more than {MOST:,} values"))


class _Builder:
    """Lists, dicts and scalars with lines from events; what an alias names is the same object."""

    def __init__(self) -> None:
        self.roots: list[Any] = []
        self.frames: list[_Frame] = []
        self.anchors: dict[str, Any] = {}
        self.aliases = 0
        self.merged = 0

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind == "ScalarEvent":
            frame = self.frames[-1] if self.frames else None
            if frame is not None and isinstance(frame.into, dict) and frame.key is None:
                frame.key = intern(event.value)
                return
            node = _Scalar(_value(event), event.start_mark.line + 1)
            self._name(event.anchor, node)
            self._put(node)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            if len(self.frames) >= DEEPEST:
                raise _Stop(f"deeper than {DEEPEST} levels")
            into: Any = {} if kind == "MappingStartEvent" else []
            self.frames.append(_Frame(into, event.anchor, event.tag or ""))
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._close()
        elif kind == "AliasEvent":
            self.aliases += 1
            self._put(self.anchors.get(event.anchor, _Scalar(None, event.start_mark.line + 1)))
        elif kind == "DocumentStartEvent":
            self.anchors = {}

    def finish(self) -> list[Any]:
        """What was read; of a document that broke off as far as it got."""
        while self.frames:
            self._close()
        return self.roots

    def _name(self, anchor: str | None, node: Any) -> None:
        if anchor:
            self.anchors[anchor] = node

    def _put(self, node: Any) -> None:
        if not self.frames:
            self.roots.append(node)
            return
        frame = self.frames[-1]
        if isinstance(frame.into, list):
            frame.into.append(node)
        elif frame.key is None:  # a key that is no scalar
            frame.key = "?"
        elif frame.key == "<<":
            frame.merged.extend(node if isinstance(node, list) else [node])
            frame.key = None
        else:
            frame.into[frame.key] = node
            frame.key = None

    def _close(self) -> None:
        frame = self.frames.pop()
        node: Any = frame.into
        if isinstance(node, dict):
            for other in frame.merged:
                if isinstance(other, dict):
                    self.merged += len(other)
                    if self.merged > MOST:
                        self.frames.clear()
                        raise _Stop("too much is merged")
                    for key, value in other.items():
                        node.setdefault(key, value)
        elif frame.tag == "!reference":
            node = {"!reference": node}
        self._name(frame.anchor, node)
        self._put(node)


def _value(event: Any) -> Any:
    if event.tag is None:
        return resolve(event.value) if event.implicit[0] else event.value
    if event.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"):
        return resolve(event.value)
    return None if event.tag == "tag:yaml.org,2002:null" else event.value


@lru_cache(maxsize=20_000)
def resolve(text: str) -> str | int | float | bool | None:
    """What a scalar without quotes is, in YAML 1.1; dates stay text."""
    if text in WORDS:
        return WORDS[text]
    if not (text[0].isdigit() or text[0] in "+-.") or len(text) > 100:
        return text
    try:
        if INTEGER.match(text):
            digits = text.replace("_", "")
            octal = len(digits) > 1 and digits.lstrip("+-").startswith("0") and digits.lstrip("+-").isdigit()
            return int(digits, 8 if octal else 0)
        if FLOAT.match(text) and any(letter.isdigit() for letter in text):
            return float(text.replace("_", ""))
    except ValueError:
        return text
    return {".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}.get(text.lower(), text)


def _entries(roots: list[Any]) -> tuple[tuple[Entry, ...], bool]:
    """The scalars below the roots, and whether that is all of them."""
    found: list[Entry] = []
    several = len(roots) > 1
    steps = 0
    for number, root in enumerate(roots):
        for keys, node in _walk(root, (number,) if several else ()):
            steps += 1
            if isinstance(node, _Scalar):
                found.append(Entry(keys, node.value, node.line))
            if len(found) >= MOST or steps >= 5 * MOST:
                return tuple(found), False
    return tuple(found), True


def _walk(root: Any, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """All below a node in the order of the file, itself first."""
    waiting = [(keys, root)]
    while waiting:
        keys, node = waiting.pop()
        yield keys, node
        pairs: Any = ()
        if isinstance(node, dict):
            pairs = node.items()
        elif isinstance(node, list):
            pairs = enumerate(node)
        waiting += reversed([((*keys, key), value) for key, value in pairs])


def _plain(node: Any, known: dict[int, Any]) -> Any:
    """Without lines; what an alias names stays one object, so that the size is that of the file."""
    if isinstance(node, _Scalar):
        return node.value
    if id(node) not in known:
        if isinstance(node, dict):
            known[id(node)] = {key: _plain(value, known) for key, value in node.items()}
        else:
            known[id(node)] = [_plain(value, known) for value in node]
    return known[id(node)]
