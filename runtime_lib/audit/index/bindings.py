"""What assignments bind."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from runtime_lib.audit.index.model import UNKNOWN
from runtime_lib.audit.index.scopes import Scope, class_of, constant, resolve, written

__all__ = ["annotate", "arguments", "bind", "defaults_of"]

_FIELDS = frozenset({"field", "Field", "ib", "attrib"})


def bind(target: ast.AST, value: ast.AST | None, scope: Scope, at: Sequence[int]) -> None:
    """Bind a target of an assignment; `value` None: something unknown. `at`: see `Collector`."""
    if isinstance(target, ast.Name):
        _bind_name(target, value, scope, at)
    elif isinstance(target, ast.Tuple | ast.List):
        values: list[Any] = list(value.elts) if isinstance(value, ast.Tuple | ast.List) else []
        if len(values) != len(target.elts):
            values = [None] * len(target.elts)
        for one, its in zip(target.elts, values, strict=True):
            bind(one, its, scope, at)
    elif isinstance(target, ast.Starred):
        bind(target.value, None, scope, at)
    elif (
        isinstance(target, ast.Attribute) and value is not None and written(target.value) == scope.this != ""
    ):
        _bind_attribute(target, value, scope, at)


def annotate(target: ast.AST, annotation: ast.AST, scope: Scope) -> None:
    """Take the annotation for what its value does not tell."""
    known, name = class_of(annotation, scope), written(target)
    if scope.classname and not scope.function:
        if scope.attributes.get(name, "?") == "?":
            scope.attributes[name] = known
    elif isinstance(target, ast.Attribute):
        if written(target.value) == scope.this and scope.attributes.get(target.attr, "?") == "?":
            scope.attributes[target.attr] = known
    elif scope.names.get(name, "?") == "?":
        scope.names[name] = known


def _bind_name(target: ast.Name, value: ast.AST | None, scope: Scope, at: Sequence[int]) -> None:
    name = target.id
    what = resolve(value, scope) if value is not None else "?"
    given = constant(value, scope) if value is not None else UNKNOWN
    # `logger = None` where there is no logger does not make it unknown where there is one.
    absent = given is None and scope.names.get(name, "?") != "?"
    if not absent:
        scope.names[name] = "?" if what.startswith("?") or given is not UNKNOWN else what
    again = name in scope.assigned
    scope.values[name] = UNKNOWN if absent or (again and scope.values.get(name, UNKNOWN) != given) else given
    scope.assigned.add(name)
    if scope.function:
        return
    if scope.classname:
        scope.attributes[name] = scope.names[name]
        given = _default(value, scope) if given is UNKNOWN else given
    _keep(name, UNKNOWN if absent else given, scope, at[target.lineno])


def _keep(name: str, given: Any, scope: Scope, line: int) -> None:
    """Keep a constant of the module or class; what is later bound to something else is none."""
    owner = f"{scope.classname}." if scope.classname else ""
    if given is UNKNOWN:
        scope.constants.pop(owner + name, None)
    else:
        scope.constants.setdefault(owner + name, (given, line))


def _default(value: ast.AST | None, scope: Scope) -> Any:
    """What `field(default=…)` and `Field(…)` of dataclasses, pydantic and attrs set."""
    if not isinstance(value, ast.Call) or written(value.func).rpartition(".")[2] not in _FIELDS:
        return UNKNOWN
    given = [one.value for one in value.keywords if one.arg == "default"] or value.args[:1]
    return constant(given[0], scope) if given else UNKNOWN


def _bind_attribute(target: ast.Attribute, value: ast.AST, scope: Scope, at: Sequence[int]) -> None:
    what = resolve(value, scope)
    known = scope.attributes.get(target.attr, "?")
    scope.attributes[target.attr] = known if what.startswith("?") else what
    given = constant(value, scope)
    name = f"{scope.classname}.{target.attr}"
    if name in scope.constants and scope.constants[name][0] != given and name in scope.assigned:
        given = UNKNOWN
    if given is UNKNOWN and name in scope.constants:
        del scope.constants[name]
    elif given is not UNKNOWN and name not in scope.assigned:
        scope.constants.setdefault(name, (given, at[target.lineno]))
    scope.assigned.add(name)


def arguments(given: ast.arguments) -> list[ast.arg]:
    """All parameters, `*args` and `**more` included."""
    more = [one for one in (given.vararg, given.kwarg) if one]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *more]


def defaults_of(given: ast.arguments, scope: Scope) -> dict[str, Any]:
    """Parameters with constant defaults."""
    places = [*given.posonlyargs, *given.args]
    pairs = [*zip(places[len(places) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [
        (one, its) for one, its in zip(given.kwonlyargs, given.kw_defaults, strict=True) if its is not None
    ]
    found = {one.arg: constant(its, scope) for one, its in pairs}
    return {name: value for name, value in found.items() if value is not UNKNOWN}
