"""setup.py, by its syntax tree: what `setup(...)` is given as far as it is written there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.index.dependencies.declared import PYTHON
from runtime_lib.audit.index.dependencies.requirement import parse
from runtime_lib.audit.index.model import Requirement
from runtime_lib.audit.index.modules import quiet

__all__ = ["declared_in_setup", "entry_points_in_setup", "setup_call"]

Pairs = list[tuple[str, int]]


def declared_in_setup(path: str, source: str) -> Iterator[Requirement]:
    """Requirements of `install_requires`, `extras_require` and `tests_require`, and its Python."""
    call, names = setup_call(source)
    for keyword, value in call.items():
        if keyword == "python_requires":
            yield from (Requirement(PYTHON, text, path, line) for text, line in _texts(value, names))
        elif keyword in ("install_requires", "tests_require", "setup_requires"):
            group = "" if keyword == "install_requires" else "dev"
            yield from _requirements(path, _texts(value, names), group)
        elif keyword == "extras_require":
            value = names.get(value.id, value) if isinstance(value, ast.Name) else value
            if isinstance(value, ast.Dict):
                for key, below in zip(value.keys, value.values, strict=True):
                    extra = str(key.value) if isinstance(key, ast.Constant) else "extra"
                    yield from _requirements(path, _texts(below, names), extra)


def entry_points_in_setup(source: str) -> list[str]:
    """Lines "name = module:function" of `console_scripts`."""
    call, names = setup_call(source)
    value = call.get("entry_points")
    value = names.get(value.id) if isinstance(value, ast.Name) else value
    if isinstance(value, ast.Dict):
        for key, below in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in ("console_scripts", "gui_scripts"):
                return [text for text, _ in _texts(below, names)]
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        lines = value.value.partition("[console_scripts]")[2].partition("[")[0].split("\n")
        return [line.strip() for line in lines if "=" in line]
    return []


def setup_call(source: str) -> tuple[dict[str, ast.expr], dict[str, ast.expr]]:
    """Keywords of the call of `setup`, also of a dict that it unpacks; names at module level → value."""
    try:
        with quiet():
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}, {}
    names: dict[str, ast.expr] = {}
    keywords: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node.value
        elif isinstance(node, ast.Call) and _is_setup(node.func):
            keywords |= {one.arg: one.value for one in node.keywords if one.arg}
            unpacked = [one.value for one in node.keywords if one.arg is None]
            for value in unpacked:
                value = names.get(value.id, value) if isinstance(value, ast.Name) else value
                if isinstance(value, ast.Dict):
                    keywords |= {
                        str(key.value): below
                        for key, below in zip(value.keys, value.values, strict=True)
                        if isinstance(key, ast.Constant)
                    }
    return keywords, names


def _is_setup(func: Any) -> bool:
    return getattr(func, "id", None) == "setup" or getattr(func, "attr", None) == "setup"


def _texts(node: ast.expr | None, names: dict[str, ast.expr], depth: int = 0) -> Pairs:
    """String constants of a list, also by name, added up and unpacked."""
    if node is None or depth > 5:
        return []
    if isinstance(node, ast.Constant):
        lines = enumerate(node.value.split("\n")) if isinstance(node.value, str) else ()
        return [(line.strip(), node.lineno + number) for number, line in lines if line.strip()]
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [pair for one in node.elts for pair in _texts(one, names, depth + 1)]
    if isinstance(node, ast.BinOp):
        return _texts(node.left, names, depth + 1) + _texts(node.right, names, depth + 1)
    if isinstance(node, ast.Starred):
        return _texts(node.value, names, depth + 1)
    if isinstance(node, ast.Name):
        return _texts(names.get(node.id), names, depth + 1)
    return []


def _requirements(path: str, texts: Pairs, group: str) -> Iterator[Requirement]:
    for text, line in texts:
        if parsed := parse(text):
            yield Requirement(*parsed, path, line, group)
