"""What a module imports, and under which names."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from runtime_lib.audit.index.collector import Collector
from runtime_lib.audit.index.model import Import
from runtime_lib.audit.index.scopes import Scope

__all__ = ["Importer"]


class Importer(Collector):
    """Collects imports too. `package`: what relative ones begin from; `known`: see `read_module`."""

    def __init__(
        self, module: str, package: str, known: Mapping[str, str], lines: Sequence[str], at: Sequence[int]
    ):
        super().__init__(module, lines, at)
        self._package, self._known = package, known
        self._stars: list[str] = []

    def imported(self, node: ast.Import, scope: Scope) -> None:
        for one in node.names:
            name = self._home(one.name)
            self.imports.append(Import(name, self._at[node.lineno]))
            if one.asname:
                scope.names[one.asname] = name
            else:
                first, _, rest = one.name.partition(".")
                scope.names[first] = name.removesuffix(f".{rest}") if rest else name

    def imported_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        base = node.module or ""
        if node.level:
            parts = self._package.split(".") if self._package else []
            parts = parts[: max(0, len(parts) - node.level + 1)]
            base = ".".join([*parts, base] if base else parts)
        for one in node.names:
            name = self._home(f"{base}.{one.name}" if base else one.name)
            self.imports.append(Import(name, self._at[node.lineno]))
            if one.name != "*":
                scope.names[one.asname or one.name] = name
                continue
            self._stars.append(name.removesuffix(".*"))
            # Of several it cannot be told which one brings a name.
            self.top.star = self._stars[0] if len(self._stars) == 1 else ""

    def _home(self, name: str) -> str:
        """The name that a module of this repository has, for one under which it can be imported."""
        head = name
        while head and self._known:
            if head in self._known:
                return self._known[head] + name[len(head) :]
            head = head.rpartition(".")[0]
        return name
