"""Python files as modules; what cannot be parsed says why."""

from __future__ import annotations

import ast
import gc
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from runtime_lib.audit.index.model import Module
from runtime_lib.audit.index.reader import Reader

__all__ = ["fill", "parse", "quiet", "read_module", "read_tree", "why_not"]

# A syntax tree takes about a hundred times its source.
_LARGEST = 1_000_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_HOLE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PYTHON_2 = re.compile(
    r"^\s*print\s+[^(=\s.\[]|^\s*print\s*>>|^\s*except\s+[\w.]+\s*,\s*\w+\s*:|^\s*raise\s+[\w.]+\s*,|^\s*exec\s+[\"'\w]"
    r"|\bur[\"']|[^\w\"'#]0\d+L?\b|<>",
    re.MULTILINE,
)
_FAILURES = (SyntaxError, ValueError, RecursionError, MemoryError)


def read_module(path: str, source: str, name: str, known: Mapping[str, str]) -> Module:
    """Read a Python file, without running it.

    Args:
        path: relative to the repository, with `/`.
        name: as the module is imported, "package.sub.module".
        known: names under which modules of this repository can be imported → `Module.name` of theirs, so that
            "src.package.data.load" and a neighbour's "data.load" become "package.data.load".
    """
    lines = source.split("\n")
    count = sum(1 for line in lines if line and not line.isspace())
    if len(source) > _LARGEST:
        return Module(path, name, count, problem="larger than 1 MB")
    with quiet():
        tree = parse(source) or _filled(source)
        if tree is None:
            return Module(path, name, count, problem=why_not(path, source))
        return read_tree(path, tree, name, known, lines, range(len(lines) + 2), count)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of the parser, and no search for garbage, of which trees have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if enabled:
            gc.enable()


def parse(source: str) -> ast.Module | None:
    """The tree of a source; None if it is no Python of today."""
    try:
        return ast.parse(source)
    except _FAILURES:
        return None


def read_tree(
    path: str,
    tree: ast.Module,
    name: str,
    known: Mapping[str, str],
    lines: Sequence[str],
    at: Sequence[int],
    count: int,
) -> Module:
    """Read a tree. `lines`: of its source; `at`: their numbers in the file; `count`: of those not blank."""
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    reader = Reader(name, package, known, lines, at)
    try:
        reader.read(tree)
    except RecursionError:
        return Module(path, name, count, problem="nested too deeply")
    return Module(
        path,
        name,
        count,
        tuple(reader.imports),
        tuple(sorted(reader.calls, key=lambda one: one.line)),
        tuple(sorted(reader.functions, key=lambda one: one.line)),
        reader.classes,
        reader.top.constants,
        tuple(sorted(reader.strings, key=lambda one: one[0])),
        reader.is_script,
        asserts=tuple(reader.asserts),
        branches=tuple(sorted(reader.branches, key=lambda one: one.line)),
    )


def why_not(path: str, source: str) -> str:
    """Why a source cannot be parsed."""
    if "\0" in source:
        return "binary"
    if "{{" in path or path.endswith((".tmpl", ".jinja", ".jinja2", ".j2")) or _TEMPLATE.search(source):
        return "a template"
    if _PYTHON_2.search(source):
        return "Python 2"
    try:
        ast.parse(source)
    except SyntaxError as error:
        return f"syntax error in line {error.lineno or 1}"
    except _FAILURES:
        pass
    return "nested too deeply"


def fill(text: str) -> str:
    """A template's text with a name in each hole and without its statements; lines stay where they are."""
    filled = _HOLE.sub(lambda hole: re.sub(r"\W+", "_", hole[1]).strip("_")[-60:] or "hole", text)
    return _TEMPLATE.sub(lambda hole: "\n" * hole[0].count("\n"), filled)


def _filled(source: str) -> ast.Module | None:
    """The tree of a template that is filled: most are Python then."""
    if "{{" not in source and "{%" not in source:
        return None
    return parse(fill(source))
