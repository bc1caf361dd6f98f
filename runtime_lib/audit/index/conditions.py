"""Conditions of an `if`: what is known of them, and what they guard."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from runtime_lib.audit.index.model import UNKNOWN
from runtime_lib.audit.index.scopes import Scope, constant, resolve, written

__all__ = ["assigned", "compares_sizes", "condition", "is_main", "stops", "truth"]

_ENDS = frozenset(
    {"sys.exit", "exit", "quit", "os._exit", "os.abort", "pytest.fail", "typer.Exit", "self.fail"}
)


def truth(test: ast.expr, scope: Scope) -> bool | None:
    """Whether the condition always holds, or never does; None if that depends."""
    if written(test).rpartition(".")[2] == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.BoolOp):
        known = [truth(one, scope) for one in test.values]
        decides = isinstance(test.op, ast.Or)
        if decides in known:
            return decides
        return None if None in known else not decides
    value = constant(test, scope)
    return None if value is UNKNOWN or isinstance(value, list | dict | tuple) else bool(value)


def condition(test: ast.expr, text: Callable[[ast.AST], str], scope: Scope, met: bool = True) -> str:
    """As `Call.when` has it."""
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, met = test.operand, not met
    name = written(test)
    if name:
        found = resolve(test, scope)
        name = name if found.startswith("?") else found
    name = name or text(test)
    if met:
        return name
    return f"not ({name})" if isinstance(test, ast.BoolOp | ast.IfExp) else f"not {name}"


def is_main(test: ast.expr) -> bool:
    """Whether it is `__name__ == "__main__"`."""
    if not isinstance(test, ast.Compare) or len(test.comparators) != 1:
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(one, ast.Name) and one.id == "__name__" for one in sides)


def compares_sizes(test: ast.expr) -> bool:
    """Whether `<` or `>` is in it."""
    if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        return False
    ordered = ast.Lt | ast.LtE | ast.Gt | ast.GtE
    return any(isinstance(one, ordered) for one in ast.walk(test))


def assigned(body: Sequence[ast.stmt]) -> tuple[str, ...]:
    """Names that the statements of a body assign, those of deeper ones left out."""
    found: list[str] = []
    for one in body:
        if isinstance(one, ast.Assign):
            found += [name for target in one.targets if (name := written(target))]
    return tuple(found)


def stops(body: Sequence[ast.stmt], scope: Scope) -> bool:
    """Whether the body ends in `raise`, or in the end of the process."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    return (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Call)
        and resolve(last.value.func, scope) in _ENDS
    )
