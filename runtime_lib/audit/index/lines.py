"""In which line a key of TOML or JSON stands: the parsers of the standard library do not say it.

The text was parsed before, so that the scan need not check anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.model import Entry

__all__ = ["Keys", "entries_of", "json_lines", "toml_lines", "without_comments"]

Keys = tuple[str | int, ...]
MOST = 20_000  # values of a document

JSON = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|[{}\[\],:\n]|[^\s{}\[\],:"/]+|/', re.DOTALL)
TOML = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[{}\[\],=.\n]'
    r"|[^\s{}\[\],=.\"'#]+",
    re.DOTALL,
)


def entries_of(data: Any, lines: dict[Keys, int]) -> tuple[tuple[Entry, ...], bool]:
    """The scalars of plain data in its order, and whether that is all. An unknown line is that above."""
    found: list[Entry] = []
    waiting: list[tuple[Keys, Any, int]] = [((), data, 1)]
    while waiting:
        keys, value, above = waiting.pop()
        line = lines.get(keys, above)
        pairs: Any = ()
        if isinstance(value, dict):
            pairs = value.items()
        elif isinstance(value, list):
            pairs = enumerate(value)
        elif len(found) >= MOST:
            return tuple(found), False
        else:
            plain = value if value is None or isinstance(value, str | int | float | bool) else str(value)
            found.append(Entry(keys, plain, line))
        waiting += reversed([((*keys, key), below, line) for key, below in pairs])
    return tuple(found), True


def without_comments(text: str) -> str:
    """JSON with comments and last commas, as editors write it, as plain JSON of as many lines."""
    kept: list[str] = []
    place = 0
    for found in JSON.finditer(text):
        piece = found[0]
        kept.append(text[place : found.start()])
        place = found.end()
        if piece.startswith(("//", "/*")):
            kept.append("\n" * piece.count("\n"))
            continue
        if piece in "}]":
            last = next((n for n in reversed(range(len(kept))) if kept[n].strip()), None)
            if last is not None and kept[last] == ",":
                kept[last] = ""
        kept.append(piece)
    return "".join([*kept, text[place:]])


def json_lines(text: str) -> dict[Keys, int]:
    """Keys and places in lists → line, from 1."""
    lines: dict[Keys, int] = {}
    at: list[str | int] = []
    is_value = [True]  # what comes next, by level
    line = 1
    for piece in JSON.findall(text):
        first = piece[0]
        if first == "\n":
            line += 1
            continue
        if first in "}]":
            at.pop()
            is_value.pop()
        elif first == ",":
            if at and isinstance(at[-1], int):
                at[-1] += 1
            else:
                is_value[-1] = False
        elif first == ":":
            is_value[-1] = True
        elif not is_value[-1]:
            at[-1] = _unquoted(piece)
            lines[tuple(at)] = line
        else:
            lines.setdefault(tuple(at), line)
            if first == "{":
                at.append("")
                is_value.append(False)
            elif first == "[":
                at.append(0)
                is_value.append(True)
        line += piece.count("\n") if first in '"/' else 0
    return lines


def toml_lines(text: str) -> dict[Keys, int]:
    """Keys and places in lists → line, from 1; of a table the line of its header."""
    lines: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    pieces = _numbered(text)
    for piece, line in pieces:
        if piece == "\n" or piece.startswith("#"):
            continue
        if piece == "[":
            table = _header(pieces, counts)
            lines.setdefault(table, line)
        else:
            _assignment(piece, line, table, pieces, lines)
    return lines


def _numbered(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for piece in TOML.findall(text):
        yield piece, line
        line += piece.count("\n")


def _header(pieces: Iterator[tuple[str, int]], counts: dict[Keys, int]) -> Keys:
    """The keys of a header, behind its first bracket; of a list of tables with the place of this one."""
    words: list[str] = []
    is_list = False
    for piece, _ in pieces:
        if piece == "\n":
            break
        if piece == "[":
            is_list = True
        elif piece not in ("]", ".") and not piece.startswith("#"):
            words.append(_unquoted(piece))
    keys: Keys = ()
    for number, word in enumerate(words):
        keys = (*keys, word)
        if is_list and number == len(words) - 1:
            counts[keys] = counts.get(keys, -1) + 1
            keys = (*keys, counts[keys])
            # Lists of tables below this one begin anew.
            for other in [other for other in counts if len(other) > len(keys) and other[: len(keys)] == keys]:
                del counts[other]
        elif keys in counts:
            keys = (*keys, counts[keys])
    return keys


def _assignment(
    piece: str, line: int, table: Keys, pieces: Iterator[tuple[str, int]], lines: dict[Keys, int]
) -> None:
    """A key with its value, to the end of the line behind it."""
    at: list[str | int] = [*table, _unquoted(piece)]
    base = len(at)  # how many keys are fixed, by level
    levels: list[int] = []
    in_key = True
    for piece, line in pieces:
        if piece == "\n" and not levels:
            return
        if piece == "\n" or piece.startswith("#"):
            continue
        if in_key and piece not in "=}":
            if piece != ".":
                at.append(_unquoted(piece))
        elif piece == "=":
            lines.setdefault(tuple(at), line)
            in_key = False
        elif piece in "[{":
            lines.setdefault(tuple(at), line)
            base = len(at)
            levels.append(base)
            in_key = piece == "{"
            if piece == "[":
                at.append(0)
        elif piece in "]}" and levels:
            del at[levels.pop() :]
            in_key = False
        elif piece == ",":
            below = levels[-1]
            if len(at) > below and isinstance(at[below], int):
                del at[below + 1 :]
                at[below] += 1  # type: ignore[operator]
            else:
                del at[below:]
                in_key = True
        else:
            lines.setdefault(tuple(at), line)


def _unquoted(piece: str) -> str:
    return piece[1:-1] if piece[0] in "\"'" else piece
