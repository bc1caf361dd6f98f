"""What a name stands for at a place of a module: an import, a class, what a call made, a constant."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.audit.index.model import UNKNOWN

__all__ = ["Scope", "class_of", "constant", "resolve", "written"]

_BUILTINS = frozenset(dir(builtins))
# Longer chains are cut: each step of `x = x.filter()` would make the name longer.
_LONGEST_NAME = 200
_LONGEST_CHAIN = 40
_LONGEST_TEXT = 1000
_MOST_ELEMENTS = 100
_DEEPEST = 6


@dataclass(slots=True)
class Scope:
    """A module, a class or a function while it is read.

    Attributes:
        names: what is bound → what it stands for; "?": something unknown.
        values: names with constant values.
        constants: those of the whole module, "SEED" and "Config.seed" → (value, line).
        returns: functions of the module, "package.module.build()" → what they give.
        this: the first parameter of a method; `owner`: its class, "package.module.Trainer()"; `attributes`:
            what is assigned to `self.x`.
        asserts: where assertions go: the function's own list, and those of the functions around it.
        assigned: what is bound here; `shared`: of that what `global` gives to the module.
        star: what the only `from x import *` of the module brings names from.
    """

    module: str
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, tuple[Any, int]] = field(default_factory=dict)
    returns: dict[str, str] = field(default_factory=dict)
    function: str = ""
    classname: str = ""
    this: str = ""
    owner: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    asserts: tuple[list[tuple[int, str]], ...] = ()
    assigned: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    live: bool = True
    when: tuple[str, ...] = ()
    star: str = ""

    def inner(self) -> Scope:
        """A scope within this one, which sees its names and binds its own."""
        return Scope(
            self.module,
            dict(self.names),
            dict(self.values),
            self.constants,
            self.returns,
            this=self.this,
            owner=self.owner,
            attributes=self.attributes,
            live=self.live,
            star=self.star,
        )


def resolve(node: ast.AST, scope: Scope) -> str:
    """The name of what an expression is: "sklearn.svm.SVC().fit"; it begins with "?" if that is not known."""
    parts: list[str] = []
    while True:
        kind = node.__class__
        if kind is ast.Attribute:
            parts.append("." + node.attr)  # type: ignore[attr-defined]
            node = node.value  # type: ignore[attr-defined]
        elif kind is ast.Call:
            parts.append("()")
            node = node.func  # type: ignore[attr-defined]
        elif kind is ast.Await or kind is ast.NamedExpr:
            node = node.value  # type: ignore[attr-defined]
        elif kind is ast.IfExp:
            node = node.body  # type: ignore[attr-defined]
        elif kind is ast.BoolOp:
            # `client or Client()`
            node = node.values[-1]  # type: ignore[attr-defined]
        else:
            break
        if len(parts) > _LONGEST_CHAIN:
            return "?" + parts[0]
    if kind is not ast.Name:
        return "?" + "".join(reversed(parts))
    return _joined(_root(node.id, parts, scope), parts, scope)  # type: ignore[attr-defined]


def _root(name: str, parts: list[str], scope: Scope) -> str:
    if name == scope.this and name:
        if parts and (known := scope.attributes.get(parts[-1][1:])) and known != "?":
            parts.pop()
            return known
        return scope.owner
    root = scope.names.get(name)
    if root is None:
        return f"{scope.star}.{name}" if scope.star and name not in _BUILTINS else name
    return root


def _joined(root: str, parts: list[str], scope: Scope) -> str:
    if not parts:
        return root
    whole = root + "".join(reversed(parts))
    if scope.returns and "()" in whole:
        whole = _returned(whole, scope.returns)
    if len(whole) > _LONGEST_NAME and "()" in whole:
        return whole[: whole.index("()") + 2] + (parts[0] if parts[0] != "()" else "")
    return whole


def _returned(whole: str, returns: dict[str, str]) -> str:
    """With what a function of the module gives in place of its call."""
    end = -2
    while (end := whole.find("()", end + 2)) >= 0:
        found = returns.get(whole[: end + 2])
        if found:
            return found + whole[end + 2 :]
    return whole


def written(node: ast.AST) -> str:
    """A name with attributes as it is written, "args.seed"; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def class_of(annotation: ast.AST | None, scope: Scope) -> str:
    """What a parameter with this annotation is, "pandas.DataFrame()"; "?" unless the class is known here."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        first, *rest = annotation.value.split("[")[0].split(" | ")[0].strip().split(".")
        known = scope.names.get(first, "?")
        return "?" if known.startswith("?") or "(" in known else ".".join([known, *rest]) + "()"
    if isinstance(annotation, ast.BinOp):
        left = class_of(annotation.left, scope)
        return left if left != "?" else class_of(annotation.right, scope)
    if isinstance(annotation, ast.Subscript):
        outer = written(annotation.value).rpartition(".")[2]
        inner = annotation.slice
        if outer == "Annotated" and isinstance(inner, ast.Tuple) and inner.elts:
            inner = inner.elts[0]
        return class_of(inner, scope) if outer in {"Optional", "Annotated"} else "?"
    name = written(annotation) if annotation is not None else ""
    root = scope.names.get(name.partition(".")[0], "?")
    if not name or root.startswith(("?", "typing.")) or "(" in root:
        return "?"
    return root + name[len(name.partition(".")[0]) :] + "()"


def constant(node: ast.AST, scope: Scope, depth: int = 0) -> Any:
    """The value of an expression that is written as a constant, else `UNKNOWN`."""
    kind = node.__class__
    if kind is ast.Constant:
        value = node.value  # type: ignore[attr-defined]
        if value.__class__ is str:
            return value[:_LONGEST_TEXT]
        return value if value is None or value.__class__ in _PLAIN else UNKNOWN
    if kind is ast.Name:
        return scope.values.get(node.id, UNKNOWN)  # type: ignore[attr-defined]
    read = _READERS.get(kind)
    return read(node, scope, depth) if read and depth < _DEEPEST else UNKNOWN


_PLAIN = frozenset({bool, int, float})


def _attribute(node: Any, scope: Scope, depth: int) -> Any:
    if not scope.constants:
        return UNKNOWN
    name = resolve(node, scope).removeprefix(scope.module + ".").replace("()", "")
    return scope.constants.get(name, (UNKNOWN,))[0]


def _signed(node: Any, scope: Scope, depth: int) -> Any:
    value = constant(node.operand, scope, depth + 1)
    if isinstance(node.op, ast.Not):
        return UNKNOWN if value is UNKNOWN else not value
    if not isinstance(value, int | float):
        return UNKNOWN
    return -value if isinstance(node.op, ast.USub) else value


def _elements(node: Any, scope: Scope, depth: int) -> list[Any]:
    return [constant(one, scope, depth + 1) for one in node.elts[:_MOST_ELEMENTS]]


def _pairs(node: Any, scope: Scope, depth: int) -> dict[Any, Any]:
    found = {}
    for key, value in zip(node.keys[:_MOST_ELEMENTS], node.values, strict=False):
        name = constant(key, scope, depth + 1) if key is not None else UNKNOWN
        if name is not UNKNOWN and not isinstance(name, list | dict | tuple):
            found[name] = constant(value, scope, depth + 1)
    return found


def _text(node: Any, scope: Scope, depth: int) -> Any:
    parts = [constant(one, scope, depth + 1) for one in node.values]
    return "".join(map(str, parts)) if UNKNOWN not in parts else UNKNOWN


def _filled(node: Any, scope: Scope, depth: int) -> Any:
    plain = node.format_spec is None and node.conversion == -1
    return constant(node.value, scope, depth + 1) if plain else UNKNOWN


def _added(node: Any, scope: Scope, depth: int) -> Any:
    if not isinstance(node.op, ast.Add):
        return UNKNOWN
    left, right = constant(node.left, scope, depth + 1), constant(node.right, scope, depth + 1)
    both = isinstance(left, str) and isinstance(right, str)
    return (left + right)[:_LONGEST_TEXT] if both else UNKNOWN


_READERS = {
    ast.Attribute: _attribute,
    ast.UnaryOp: _signed,
    ast.List: _elements,
    ast.Tuple: lambda node, scope, depth: tuple(_elements(node, scope, depth)),
    ast.Set: _elements,
    ast.Dict: _pairs,
    ast.JoinedStr: _text,
    ast.FormattedValue: _filled,
    ast.BinOp: _added,
}
