"""Notebooks: their code cells as a module whose lines are those of the file; outputs are passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime_lib.audit.index.magics import plain
from runtime_lib.audit.index.model import Cell, Module, Notebook
from runtime_lib.audit.index.modules import parse, quiet, read_tree, why_not

__all__ = ["read_notebook"]

_LARGEST = 64_000_000
_PYTHON = re.compile(r"\s*(?:i?python[\d. ]*|xpython|pyspark\w*|py\d*)?\s*", re.IGNORECASE)
# Kernels that say no language but have it in their names; most others are environments of Python.
_OTHERS = re.compile(
    r"(ir|r|julia|scala|java|javascript|bash|octave|sas|stata|rust|go|kotlin)\b", re.IGNORECASE
)
_KEYS = (b'"source"', b'"input"')
_MOST_LIKE_IT = 1000
_NONE = msgspec.Raw(b"null")


class _Raw(msgspec.Struct):
    """A cell of nbformat 4, or of 3 with `input` and `prompt_number`."""

    cell_type: Any = ""
    source: msgspec.Raw = _NONE
    input: msgspec.Raw = _NONE
    execution_count: Any = None
    prompt_number: Any = None
    outputs: msgspec.Raw = _NONE
    language: Any = ""


class _Sheet(msgspec.Struct):
    cells: list[_Raw] = []


class _Kernel(msgspec.Struct):
    language: Any = ""
    name: Any = ""


class _Metadata(msgspec.Struct):
    kernelspec: _Kernel | None = None
    language_info: _Kernel | None = None


class _Book(msgspec.Struct):
    cells: list[_Raw] | None = None
    worksheets: list[_Sheet] = []
    metadata: _Metadata | None = None


_DECODER = msgspec.json.Decoder(_Book)


@dataclass(slots=True)
class _Source:
    """The source of a cell; `lines`: those of the file, one for each line of the source."""

    text: str
    lines: list[int]


def read_notebook(path: str, raw: bytes) -> Notebook:
    """Read a notebook of nbformat 3 or 4; outputs are neither decoded nor kept."""
    if len(raw) > _LARGEST:
        return _without(path, "larger than 64 MB")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        book = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _without(path, "no JSON of a notebook" if raw.strip() else "empty")
    found = (
        book.cells if book.cells is not None else [cell for sheet in book.worksheets for cell in sheet.cells]
    )
    language = _language(book, found)
    cells, sources = _cells(raw, found)
    if language != "python":
        lines = sum(_count(one.text) for one in sources)
        return Notebook(path, cells, Module(path, "", lines, problem=f"language {language}"), (), language)
    with quiet():
        return _python(path, cells, sources)


def _without(path: str, problem: str) -> Notebook:
    return Notebook(path, (), Module(path, "", 0, problem=problem), problem=problem)


def _language(book: _Book, cells: list[_Raw]) -> str:
    """Of the kernel; without one Python, which is what old notebooks are in."""
    about = book.metadata or _Metadata()
    info, kernel = about.language_info or _Kernel(), about.kernelspec or _Kernel()
    first = next((cell.language for cell in cells if cell.language), "")
    name = str(info.name or kernel.language or first)
    if not name and (other := _OTHERS.match(str(kernel.name))):
        name = other[1]
    return "python" if _PYTHON.fullmatch(name) else name.strip().lower()


def _cells(raw: bytes, found: list[_Raw]) -> tuple[tuple[Cell, ...], list[_Source]]:
    cells: list[Cell] = []
    sources: list[_Source] = []
    at, line = 0, 1
    for cell in found:
        given = bytes(cell.source)
        if given == b"null":
            given = bytes(cell.input)
        place = _place(raw, given, at)
        line += raw.count(b"\n", at, place)
        source = _source(given, line)
        at = place + len(given) if raw.startswith(given, place) else place
        line += raw.count(b"\n", place, at)
        if cell.cell_type != "code":
            continue
        sources.append(source)
        count = cell.execution_count if cell.execution_count is not None else cell.prompt_number
        has_output = bytes(cell.outputs).strip(b" \n\r\t[]") not in (b"", b"null")
        number = count if isinstance(count, int) and not isinstance(count, bool) else None
        cells.append(Cell(source.lines[0], source.text, number, has_output))
    return tuple(cells), sources


def _place(raw: bytes, given: bytes, at: int) -> int:
    """Where a source stands, from `at` on; an output may hold the same text."""
    place = raw.find(given, at)
    for _ in range(_MOST_LIKE_IT):
        if place < 0 or raw[max(0, place - 40) : place].rstrip().removesuffix(b":").rstrip().endswith(_KEYS):
            break
        place = raw.find(given, place + 1)
    return place if place >= 0 else at


def _source(given: bytes, line: int) -> _Source:
    """The text of a source, a string or a list of strings, that begins in this line of the file."""
    try:
        value = msgspec.json.decode(given)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        value = ""
    if not isinstance(value, list):
        text = value if isinstance(value, str) else ""
        return _Source(text, [line] * (text.count("\n") + 1))
    text = "".join(one for one in value if isinstance(one, str))
    count = text.count("\n") + 1
    # As editors write it: a line of the file for each line of the source, after one with the bracket.
    apart = given.count(b"\n") >= len(value) > 0
    return _Source(text, [line + 1 + n for n in range(count)] if apart else [line] * count)


def _count(text: str) -> int:
    return sum(1 for line in text.split("\n") if line.strip())


def _python(path: str, cells: tuple[Cell, ...], sources: list[_Source]) -> Notebook:
    texts: list[str] = []
    at = [1]
    shell: list[tuple[int, str]] = []
    for one in sources:
        text, commands = plain(one.text)
        shell += [(one.lines[n], command) for n, command in commands]
        texts.append(text)
        at += one.lines
    count = sum(_count(one.text) for one in sources)
    tree = parse("\n".join(texts))
    bad = 0
    if tree is None:
        texts, bad = _parsed(texts)
        tree = parse("\n".join(texts))
    if tree is None or bad * 2 > len(texts):
        problem = why_not(path, "\n".join(one.text for one in sources))
        return Notebook(path, cells, Module(path, "", count, problem=problem), tuple(shell), problem=problem)
    lines = "\n".join(texts).split("\n")
    module = read_tree(path, tree, "", {}, lines, [*at, at[-1]], count)
    return Notebook(path, cells, module, tuple(shell), problem=module.problem)


def _parsed(texts: list[str]) -> tuple[list[str], int]:
    """The cells that are Python, with nothing in place of the others, and how many those are."""
    kept = [text if parse(text) is not None else "\n" * text.count("\n") for text in texts]
    return kept, sum(1 for one, its in zip(kept, texts, strict=True) if one != its)
