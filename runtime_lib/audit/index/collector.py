"""What expressions hold: calls, strings, assertions."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runtime_lib.audit.index.conditions import condition, truth
from runtime_lib.audit.index.model import Branch, Call, Function, Import
from runtime_lib.audit.index.scopes import Scope, constant, resolve, written

__all__ = ["Collector"]

_NOT_CHILDREN = frozenset(
    {
        "ctx",
        "op",
        "ops",
        "attr",
        "id",
        "arg",
        "name",
        "names",
        "level",
        "module",
        "kind",
        "conversion",
        "simple",
    }
    | {"is_async", "rest", "annotation", "returns", "kwd_attrs", "tag", "target", "targets", "type_comment"}
)
# Children by kind of node; what is left out holds neither calls nor strings, or is followed apart.
_CHILDREN: dict[type, tuple[str, ...]] = {
    kind: tuple(one for one in kind._fields if one not in _NOT_CHILDREN)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_NOTHING: Mapping[str, Any] = {}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_NAMED = (ast.Name, ast.Attribute, ast.Call)
_MOST_NAMES = 10
_LONGEST_TEXT = 200
_MOST_STRINGS = 5000


class Collector:
    """Collects what a module holds.

    `lines`: of its source; `at`: line of the source → line of the file, which begins at 1.
    """

    def __init__(self, module: str, lines: Sequence[str], at: Sequence[int]):
        self._lines, self._at = lines, at
        self.imports: list[Import] = []
        self.calls: list[Call] = []
        self.functions: list[Function] = []
        self.classes: dict[str, tuple[tuple[str, ...], int]] = {}
        self.strings: list[tuple[int, str]] = []
        self.branches: list[Branch] = []
        self.asserts: list[tuple[int, str]] = []
        self.is_script = False
        self.later: deque[Callable[[], None]] = deque()
        self.top = Scope(module, asserts=(self.asserts,))

    def visit(self, node: ast.AST, scope: Scope) -> None:
        """Take the calls and strings of an expression, or of a statement that holds no other."""
        waiting: list[Any] = [node]
        children, strings, at = _CHILDREN, self.strings, self._at
        while waiting:
            node = waiting.pop()
            kind = node.__class__
            if kind is ast.Name:
                continue
            if kind is ast.Constant:
                if node.value.__class__ is str and len(strings) < _MOST_STRINGS:  # type: ignore[attr-defined]
                    strings.append((at[node.lineno], node.value[:_LONGEST_TEXT]))  # type: ignore[attr-defined]
                continue
            if kind is ast.Call:
                self._call(node, scope)  # type: ignore[arg-type]
            elif kind is ast.IfExp:
                self._either(node, scope)  # type: ignore[arg-type]
                continue
            elif kind is ast.NamedExpr:
                scope.names[node.target.id] = resolve(node.value, scope)  # type: ignore[attr-defined]
            elif kind is ast.comprehension:
                _unknown(node.target, scope)  # type: ignore[attr-defined]
            for name in children.get(kind, ()):
                child = getattr(node, name)
                if child.__class__ is list:
                    waiting.extend(child)
                elif child is not None:
                    waiting.append(child)

    def _either(self, node: ast.IfExp, scope: Scope) -> None:
        """`Logger() if args.log else None`: each side under its condition."""
        self.visit(node.test, scope)
        live, when, known = scope.live, scope.when, truth(node.test, scope)
        for side, met in ((node.body, True), (node.orelse, False)):
            scope.when = (*when, condition(node.test, self.text, scope, met))
            scope.live = live and known is not (not met)
            self.visit(side, scope)
        scope.live, scope.when = live, when

    def _call(self, node: ast.Call, scope: Scope) -> None:
        name = resolve(node.func, scope)
        if name == "?":
            name = written(node.func) or name
        args: tuple[Any, ...] = ()
        keywords, names = _NOTHING, _NOTHING
        if node.args:
            args = tuple([constant(one, scope) for one in node.args])
            names = {
                key: found for n, one in enumerate(node.args) for key, found in _called(str(n), one, scope)
            }
        if node.keywords:
            keywords = {one.arg or "**": constant(one.value, scope) for one in node.keywords}
            for one in node.keywords:
                self.judge(one, one.value, scope)
            named = {
                key: found
                for one in node.keywords
                for key, found in _called(one.arg or "**", one.value, scope)
            }
            names = {**names, **named} if names else named
        line = self._at[node.lineno]
        self.calls.append(
            Call(name, line, args, keywords, scope.function, scope.live, names or _NOTHING, scope.when)
        )
        if scope.live and _is_claim(name, scope):
            self.claim(node, scope)

    def judge(self, node: ast.AST, value: ast.AST, scope: Scope) -> None:
        """Take `accepted = new > old`, which a later `if` may ask; masks of tables are none."""
        if isinstance(value, ast.IfExp):  # `(new < old) if lower_is_better else (new > old)`
            value = value.body
        if not isinstance(value, ast.Compare) or len(value.ops) != 1:
            return
        sides = (value.left, value.comparators[0])
        # As an argument `found["auc"] > 0.7` is an answer; elsewhere it may be a mask.
        plain = _is_plain if not isinstance(node, ast.keyword) else _is_figure
        if isinstance(value.ops[0], _ORDER) and all(map(plain, sides)):
            line = self._at[value.lineno]
            text = self.text(node)
            self.branches.append(
                Branch(line, line, text, False, False, scope.function, scope.live, scope.when)
            )

    def claim(self, node: ast.AST, scope: Scope) -> None:
        """Take an assertion for the function that it is in, and those around that."""
        found = (self._at[node.lineno], self.text(node))  # type: ignore[attr-defined]
        for asserts in scope.asserts:
            asserts.append(found)

    def text(self, node: ast.AST) -> str:
        """The source of a node in one line, cut where it is long."""
        first, last = node.lineno - 1, node.end_lineno  # type: ignore[attr-defined]
        if last - first == 1:
            # Columns count bytes.
            line = self._lines[first].encode(errors="replace")
            cut: bytes = line[node.col_offset : node.end_col_offset]  # type: ignore[attr-defined]
            return cut.decode(errors="replace")[:_LONGEST_TEXT]
        lines = self._lines[first : min(last, first + 6)]
        return " ".join(line.strip() for line in lines)[:_LONGEST_TEXT]


def _called(key: str, node: ast.AST, scope: Scope) -> Iterator[tuple[str, str]]:
    """What an argument is, as `Call.names` has it; nothing for a constant and for what has no name."""
    if isinstance(node, _NAMED):
        found = resolve(node, scope)
        found = written(node) if found.startswith("?") else found
        if found:
            yield key, found
    elif isinstance(node, ast.List | ast.Tuple):
        for n, one in enumerate(node.elts[:_MOST_NAMES]):
            if isinstance(one, _NAMED):
                yield from _called(f"{key}.{n}", one, scope)


def _is_figure(node: ast.AST) -> bool:
    """A number by its name or key, or as it is."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
    return isinstance(node, ast.Constant) or _is_plain(node)


def _is_plain(node: ast.AST) -> bool:
    """A number by its name, perhaps with something added to it."""
    if isinstance(node, ast.BinOp):
        return _is_plain(node.left) and (isinstance(node.right, ast.Constant) or _is_plain(node.right))
    return isinstance(node, ast.Name | ast.Attribute)


def _is_claim(name: str, scope: Scope) -> bool:
    last = name.rpartition(".")[2]
    if last.startswith("assert"):
        return True
    if last in {"raises", "warns", "fail"}:
        return name.startswith(("pytest.", "nose.", "testtools.")) or (
            last == "fail" and name == f"{scope.owner}.fail"
        )
    return False


def _unknown(target: ast.AST, scope: Scope) -> None:
    for one in ast.walk(target):
        if isinstance(one, ast.Name):
            scope.names.setdefault(one.id, "?")
