"""What a syntax tree says, in one pass; the tree itself is not kept.

Statements are followed in their order, so that a name stands for what was bound last. Functions come after
the module that they are in, a class's `__init__` before its other methods: they see all that is bound around
them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from runtime_lib.audit.index.bindings import annotate, arguments, bind, defaults_of
from runtime_lib.audit.index.conditions import assigned, compares_sizes, condition, is_main, stops, truth
from runtime_lib.audit.index.imports import Importer
from runtime_lib.audit.index.model import Branch, Call, Function
from runtime_lib.audit.index.scopes import Scope, class_of, resolve, written

__all__ = ["Reader"]

_FIRST_METHODS = ("__init__", "__post_init__", "setUp", "setUpClass", "setup", "setup_method", "setup_class")
_PLAIN_DECORATORS = frozenset({"property", "staticmethod", "classmethod"})
# Calls at module level that prepare it rather than do its work.
_PREPARES = frozenset(
    {"basicConfig", "filterwarnings", "simplefilter", "append", "insert", "extend", "add_middleware", "mount"}
    | {"include_router", "use", "seed", "set_option", "set_options", "load_dotenv", "manual_seed", "setLevel"}
    | {
        "addHandler",
        "update",
        "setdefault",
        "add_typer",
        "add_command",
        "config",
        "configure",
        "set",
        "register",
    }
    | {"set_page_config", "importorskip", "set_theme", "set_style", "add_argument"}
)


class Reader(Importer):
    """Reads a module; see `Importer` and `Collector` for what it takes."""

    def read(self, tree: ast.Module) -> None:
        """Follow the module, then its functions, then those in them."""
        self._body(tree.body, self.top)
        while self.later:
            self.later.popleft()()
        self.functions = [replace(one, asserts=tuple(one.asserts)) for one in self.functions]

    def _body(self, statements: Sequence[ast.stmt], scope: Scope) -> None:
        for node in statements:
            follow = _STATEMENTS.get(node.__class__)
            if follow:
                follow(self, node, scope)
            else:
                self.visit(node, scope)

    def _expression(self, node: ast.Expr, scope: Scope) -> None:
        value = node.value
        if value.__class__ is ast.Constant:
            return  # a docstring, or code that was put out of use
        if scope is self.top and scope.live and not self.is_script and isinstance(value, ast.Call):
            self.is_script = resolve(value.func, scope).rpartition(".")[2] not in _PREPARES
        self.visit(value, scope)

    # Statements that bind

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        self.visit(node.value, scope)
        self.judge(node, node.value, scope)
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self.visit(target.slice, scope)
            bind(target, node.value, scope, self._at)
            if scope.shared and (name := written(target)) in scope.shared and scope.names[name] != "?":
                self.top.names[name] = scope.names[name]

    def _global(self, node: ast.Global, scope: Scope) -> None:
        scope.shared.update(node.names)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.visit(node.value, scope)
            bind(node.target, node.value, scope, self._at)
        annotate(node.target, node.annotation, scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        self.visit(node.value, scope)
        scope.values.pop(written(node.target), None)

    def _loop(self, node: Any, scope: Scope) -> None:
        live = scope.live
        if isinstance(node, ast.While):
            self.visit(node.test, scope)
            scope.live = live and truth(node.test, scope) is not False
        else:
            self.visit(node.iter, scope)
            bind(node.target, None, scope, self._at)
        self._body(node.body, scope)
        scope.live = live
        self._body(node.orelse, scope)

    def _with(self, node: Any, scope: Scope) -> None:
        for item in node.items:
            self.visit(item.context_expr, scope)
            if item.optional_vars is not None:
                bind(item.optional_vars, item.context_expr, scope, self._at)
        self._body(node.body, scope)

    # Statements that branch

    def _if(self, node: ast.If, scope: Scope) -> None:
        live, when = scope.live, scope.when
        self._branches(node, scope)
        scope.live, scope.when = live, when
        if not node.orelse and isinstance(node.body[-1], ast.Return) and scope.function:
            # What follows `if not enabled: return` is only done if it is enabled.
            scope.when = (*when, condition(node.test, self.text, scope, met=False))

    def _branches(self, node: ast.If, scope: Scope) -> None:
        live, when = scope.live, scope.when
        while True:
            self.visit(node.test, scope)
            self._branch(node, scope)
            self.is_script |= scope is self.top and is_main(node.test)
            known = truth(node.test, scope)
            scope.live = live and known is not False
            scope.when = (*when, condition(node.test, self.text, scope))
            self._body(node.body, scope)
            scope.live = live = live and known is not True
            scope.when = when = (*when, condition(node.test, self.text, scope, met=False))
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        self._body(node.orelse, scope)

    def _branch(self, node: ast.If, scope: Scope) -> None:
        stop = stops(node.body, scope)
        # An `elif` is a branch of its own.
        other = [] if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If) else node.orelse
        else_stop = bool(other) and stops(other, scope)
        if not (stop or else_stop or compares_sizes(node.test)):
            return
        line, end = self._at[node.lineno], self._at[node.body[-1].end_lineno or node.lineno]
        last = self._at[other[-1].end_lineno or node.lineno] if other else end
        leaves = isinstance(node.body[-1], ast.Return)
        text, sets = self.text(node.test), assigned([*node.body, *other])
        place = (scope.function, scope.live, scope.when)
        self.branches.append(Branch(line, end, text, stop, leaves, *place, last, else_stop, sets))

    def _try(self, node: Any, scope: Scope) -> None:
        self._body(node.body, scope)
        for one in node.handlers:
            if one.type is not None:
                self.visit(one.type, scope)
            if one.name:
                scope.names[one.name] = "?"
            self._body(one.body, scope)
        self._body(node.orelse, scope)
        self._body(node.finalbody, scope)

    def _match(self, node: ast.Match, scope: Scope) -> None:
        self.visit(node.subject, scope)
        for case in node.cases:
            self.visit(case.pattern, scope)
            if case.guard is not None:
                self.visit(case.guard, scope)
            self._body(case.body, scope)

    def _assert(self, node: ast.Assert, scope: Scope) -> None:
        self.visit(node, scope)
        if scope.live:
            self.claim(node, scope)

    def _return(self, node: ast.Return, scope: Scope) -> None:
        if node.value is None:
            return
        self.visit(node.value, scope)
        if compares_sizes(node.value):
            line, text = self._at[node.lineno], self.text(node.value)
            found = Branch(line, line, text, False, True, scope.function, scope.live, scope.when)
            self.branches.append(found)
        what = resolve(node.value, scope)
        if scope.function and what.endswith("()") and not what.startswith("?"):
            owner = (
                f"{scope.owner}.{scope.function.rpartition('.')[2]}"
                if scope.owner
                else self._full(scope.function)
            )
            scope.returns.setdefault(f"{owner}()", what)

    # Definitions

    def _full(self, name: str) -> str:
        return f"{self.top.module}.{name}" if self.top.module else name

    def _decorators(self, node: Any, scope: Scope) -> tuple[str, ...]:
        for one in node.decorator_list:
            self.visit(one, scope)
            if not isinstance(one, ast.Call) and (name := resolve(one, scope)) not in _PLAIN_DECORATORS:
                self.calls.append(
                    Call(name, self._at[one.lineno], (), {}, scope.function, scope.live, {}, scope.when)
                )
        return tuple(
            resolve(one.func if isinstance(one, ast.Call) else one, scope) for one in node.decorator_list
        )

    def _define(self, node: Any, scope: Scope) -> None:
        name = ".".join(
            one for one in (scope.classname if not scope.function else "", scope.function, node.name) if one
        )
        decorators = self._decorators(node, scope)
        given = [one.arg for one in arguments(node.args)]
        defaults = defaults_of(node.args, scope)
        self.visit(node.args, scope)
        asserts: list[tuple[int, str]] = []
        live = scope.live
        if scope.classname and not scope.function:
            scope.attributes.setdefault(node.name, f"{scope.owner}.{node.name}")
        else:
            scope.names[node.name] = self._full(name)
            known = class_of(node.returns, scope)
            if known != "?":
                scope.returns[f"{self._full(name)}()"] = known
        line, end = self._at[node.lineno], self._at[node.end_lineno]

        def follow() -> None:
            inner = self._function_scope(node, scope, name)
            inner.asserts = (asserts, *(scope.asserts if scope.function else ()))
            inner.live = live
            self._body(node.body, inner)

        self.later.append(follow)
        # The list of assertions is filled later, and becomes a tuple then.
        found = Function(name, line, end, decorators, asserts, defaults, tuple(given))  # type: ignore[arg-type]
        self.functions.append(found)

    @staticmethod
    def _function_scope(node: Any, scope: Scope, name: str) -> Scope:
        inner = scope.inner()
        inner.function, inner.classname = name, scope.classname
        everything = arguments(node.args)
        for one in everything:
            inner.names[one.arg] = class_of(one.annotation, scope)
            inner.values.pop(one.arg, None)
        if scope.classname and not scope.function and everything:
            static = any(written(one) == "staticmethod" for one in node.decorator_list)
            inner.this = "" if static else everything[0].arg
        return inner

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        around = scope.function or scope.classname
        name = f"{around}.{node.name}" if around else node.name
        self._decorators(node, scope)
        for one in (*node.bases, *(word.value for word in node.keywords)):
            self.visit(one, scope)
        bases = tuple(
            resolve(one.value if isinstance(one, ast.Subscript) else one, scope) for one in node.bases
        )
        self.classes[name] = (bases, self._at[node.lineno])
        scope.names[node.name] = self._full(name)
        inner = scope.inner()
        inner.classname, inner.owner, inner.attributes = name, f"{self._full(name)}()", {}
        first = [one for one in node.body if getattr(one, "name", "") in _FIRST_METHODS]
        self._body([*first, *(one for one in node.body if one not in first)], inner)


_STATEMENTS: dict[type, Callable[..., None]] = {
    ast.Expr: Reader._expression,
    ast.Import: Reader.imported,
    ast.ImportFrom: Reader.imported_from,
    ast.Global: Reader._global,
    ast.Assign: Reader._assign,
    ast.AnnAssign: Reader._annotated,
    ast.AugAssign: Reader._augmented,
    ast.For: Reader._loop,
    ast.AsyncFor: Reader._loop,
    ast.While: Reader._loop,
    ast.With: Reader._with,
    ast.AsyncWith: Reader._with,
    ast.If: Reader._if,
    ast.Try: Reader._try,
    ast.TryStar: Reader._try,
    ast.Match: Reader._match,
    ast.Assert: Reader._assert,
    ast.Return: Reader._return,
    ast.FunctionDef: Reader._define,
    ast.AsyncFunctionDef: Reader._define,
    ast.ClassDef: Reader._class,
}
