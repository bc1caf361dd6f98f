"""Read from source what a Python file imports from this library, and what it uses through those imports.

A place is written `module:name.name`. The colon separates the module from the names in it, since a package
may have a name and a module with the same spelling.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PACKAGE", "Chain", "Import", "Reader", "bindings", "bound", "chain", "dotted"]

PACKAGE = "runtime_lib"

# Name → place in this library; None if it is something else.
_Scope = dict[str, str | None]
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Import:
    """An import statement that names this library; `local`: it is inside a function."""

    node: ast.Import | ast.ImportFrom
    local: bool


@dataclass(frozen=True)
class Chain:
    """A use `root.part.part` of a name that an import bound to the place `origin`."""

    node: ast.Attribute
    origin: str
    parts: tuple[str, ...]

    @property
    def root(self) -> ast.Name:
        node: ast.expr = self.node
        while isinstance(node, ast.Attribute):
            node = node.value
        assert isinstance(node, ast.Name)
        return node

    @property
    def place(self) -> str:
        return self.origin + ("" if self.origin.endswith(":") else ".") + ".".join(self.parts)


class Reader(ast.NodeVisitor):
    """Collects the imports of the library and the uses of the names that they bind."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: list[Import] = []
        self.chains: list[Chain] = []
        self._scopes: list[tuple[ast.AST, _Scope]] = []
        self.visit(tree)

    def places(self) -> list[tuple[int, str]]:
        """Return line and place of each import and each use through a module, in order."""
        found = [(use.node.lineno, use.place) for use in self.chains]
        for each in self.imports:
            for alias in each.node.names:
                if isinstance(each.node, ast.ImportFrom):
                    found.append((alias.lineno, _imported(str(each.node.module), alias)))
                elif _ours(alias.name):
                    found.append((each.node.lineno, f"{alias.name}:"))
        return sorted(set(found))

    def visit_Module(self, node: ast.Module) -> None:
        self._inside(node, node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._inside(node, node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        # Decorators, defaults and annotations belong to the scope around the function.
        for part in (*node.decorator_list, node.args, *([node.returns] if node.returns else [])):
            self.visit(part)
        self._inside(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._inside(node, [node.body])

    def visit_Import(self, node: ast.Import) -> None:
        if any(_ours(alias.name) for alias in node.names):
            self._add(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if not node.level and node.module and _ours(node.module):
            self._add(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts = chain(node)
        if parts and (origin := self._origin(parts[0])):
            self.chains.append(Chain(node, origin, tuple(parts[1:])))
        else:
            self.generic_visit(node)

    def _add(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports.append(Import(node, any(isinstance(scope, _Function) for scope, _ in self._scopes)))

    def _inside(self, node: ast.AST, body: list[ast.stmt] | list[ast.expr]) -> None:
        self._scopes.append((node, bindings(node)))
        for part in body:
            self.visit(part)
        self._scopes.pop()

    def _origin(self, name: str) -> str | None:
        """Return the place in the library that a name means here; methods do not see their class's names."""
        for place, (node, scope) in enumerate(reversed(self._scopes)):
            if name in scope and not (place and isinstance(node, ast.ClassDef)):
                return scope[name]
        return None


def bindings(scope: ast.AST) -> _Scope:
    """Return the names that a scope binds: to a place in the library, or to None for anything else."""
    found: _Scope = {}
    for node in _own_nodes(scope):
        for name, origin in bound(node):
            # A name that is bound to different things may be either, so nothing is known about it.
            found[name] = origin if found.get(name, origin) == origin else None
    return found


def bound(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield the names that one node binds, without those inside it."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            origin = f"{alias.name if alias.asname else top}:"
            yield alias.asname or top, origin if _ours(top) else None
    elif isinstance(node, ast.ImportFrom):
        ours = not node.level and node.module is not None and _ours(node.module)
        for alias in node.names:
            yield alias.asname or alias.name, _imported(str(node.module), alias) if ours else None
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id, None
    elif isinstance(node, ast.arg):
        yield node.arg, None
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
        yield from [(node.name, None)] if node.name else []


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without the bodies of the functions and classes in it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _Function | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def chain(node: ast.expr) -> list[str]:
    """Return the parts of `a.b.c`; empty for anything else, such as the result of a call."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def dotted(place: str) -> str:
    return place.replace(":", ".").rstrip(".")


def _imported(module: str, alias: ast.alias) -> str:
    return f"{module}:" if alias.name == "*" else f"{module}:{alias.name}"


def _ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE
