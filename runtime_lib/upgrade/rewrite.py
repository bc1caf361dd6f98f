"""Rewrite a project's Python source so that it uses the library's present names.

Only names change. What an import binds keeps its name, so that the rest of the file, and other files that
import from it, still work: `from runtime_lib.data import months as periods`. Inside a function, where no
other code sees it, the new name is used throughout if it is free in the file. The template's own functions
then read as the template writes them now: after a merge, a line that the user added there would otherwise
use the name of an import that was changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from runtime_lib.upgrade.edits import Edits
from runtime_lib.upgrade.imports import PACKAGE, Chain, Reader, bound, dotted
from runtime_lib.upgrade.moved import HIDDEN

__all__ = ["Moves", "Rename", "rewrite"]

_TEXT = re.compile(rf"{PACKAGE}(\.\w+)+")
_FROM = re.compile(rb"from\s+")
_COMMA = re.compile(rb"\s*,[ \t]*")


@dataclass(frozen=True, order=True)
class Rename:
    """One use of a name in a file: its line before the rewrite, the old and the new dotted name."""

    line: int
    old: str
    new: str


class Moves:
    """Old → new dotted names. The longest known prefix of a name decides.

    Args:
        moved: old name → new name, of modules and of names in them.
        stay: names that are not rewritten, such as removed ones.
    """

    def __init__(self, moved: Mapping[str, str], stay: Iterable[str] = ()) -> None:
        # A new name may begin with an old one: `monitoring.alerts.webhook`. It is not moved again.
        self._known = {**{name: name for name in (*moved.values(), *stay)}, **moved}

    def row(self, name: str) -> tuple[str, str]:
        """Return the known prefix of a name and what it is now; both empty if there is none."""
        parts = name.split(".")
        known = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next(((each, self._known[each]) for each in known if each in self._known), ("", ""))

    def of(self, name: str) -> str:
        old, new = self.row(name)
        return new + name.removeprefix(old)

    def at(self, place: str) -> str:
        """Return the present name of a place; a package's name wins over the module that it hides."""
        module, name = place.partition(":")[0], dotted(place)
        hidden = any(f"{name}.".startswith(f"{each}.") for each in HIDDEN if each != module)
        return name if hidden else self.of(name)


def rewrite(content: bytes, moves: Moves) -> tuple[bytes, list[Rename]]:
    """Return the rewritten source and what was renamed in it, by line.

    A file that is not valid Python, or not in UTF-8, is returned unchanged.
    """
    if PACKAGE.encode() not in content:
        return content, []
    try:
        text = content.decode("utf-8-sig").encode()
        work = _Rewriting(text, moves)
        result = work.edits.result()
        ast.parse(result)
    except (SyntaxError, ValueError):
        return content, []
    return content[: len(content) - len(text)] + result, sorted(work.renames)


class _Rewriting:
    """Collects the edits of one file."""

    def __init__(self, content: bytes, moves: Moves) -> None:
        self._moves = moves
        self._tree = ast.parse(content)
        self._reader = Reader(self._tree)
        self._taken = {name for node in ast.walk(self._tree) for name in _identifiers(node)}
        self._aliases: dict[str, str] = {}  # name that left its module → its name in this file
        self._needed: dict[str, set[str]] = {}  # what an import binds → what must be imported next to it
        self.edits = Edits(content)
        self.renames: set[Rename] = set()
        spellings = dict(self._new_spellings())
        for use in self._reader.chains:
            self._chain(use)
        for each in self._reader.imports:
            if isinstance(each.node, ast.ImportFrom):
                self._import_from(each.node, spellings if each.local else {})
            else:
                self._import(each.node)
        self._texts()

    def _note(self, line: int, old: str, new: str) -> None:
        self.renames.add(Rename(line, old, new))

    def _new_spellings(self) -> Iterator[tuple[str, str]]:
        """Rename what only imports in functions bind, if the new name is free; yield old and new."""
        new: dict[str, set[str]] = {}
        for node in ast.walk(self._tree):
            for name, place in bound(node):
                now = self._moves.at(place) if place and not place.endswith(":") else ""
                new.setdefault(name, set()).add(now.rpartition(".")[2])
        outside = {
            a.asname or a.name for each in self._reader.imports if not each.local for a in each.node.names
        }
        for name in sorted(new.keys() - outside):
            [now, *others] = new[name]
            if others or now in ("", name) or now in self._taken:
                continue
            uses = [node for node in ast.walk(self._tree) if isinstance(node, ast.Name) and node.id == name]
            starts = [self.edits.span(node)[0] for node in uses]
            if all(self.edits.reads(start, name) for start in starts) and name in self._unaliased():
                for start in starts:
                    self.edits.replace(start, name, now)
                self._taken.add(now)
                yield name, now

    def _unaliased(self) -> set[str]:
        nodes = [each.node for each in self._reader.imports if isinstance(each.node, ast.ImportFrom)]
        given = {alias.asname for node in nodes for alias in node.names}
        return {alias.name for node in nodes for alias in node.names if alias.asname is None} - given

    def _chain(self, use: Chain) -> None:
        old, new = dotted(use.place), self._moves.at(use.place)
        if old == new:
            return
        base, line = self._moves.at(use.origin), use.node.lineno
        root_stop = self.edits.span(use.root)[1]
        if not new.startswith(f"{base}."):
            self._chain_of_its_own(use)
            return
        was, rest = "." + ".".join(use.parts), new.removeprefix(base)
        if was == rest or not self.edits.replace(root_stop, was, rest):
            return
        self._note(line, old, new)
        if use.origin == f"{PACKAGE}:":  # bound by `import runtime_lib.…`, which may import another module
            module = self._imported_module(old)
            if not f"{new}.".startswith(f"{self._moves.of(module)}."):
                self._needed.setdefault(module, set()).add(self._moves.row(old)[1].rpartition(".")[0])

    def _imported_module(self, name: str) -> str:
        """Return the longest module name, imported without `as`, that `name` begins with."""
        nodes = [each.node for each in self._reader.imports if isinstance(each.node, ast.Import)]
        named = [alias.name for node in nodes for alias in node.names if alias.asname is None]
        return max((each for each in named if f"{name}.".startswith(f"{each}.")), key=len, default=PACKAGE)

    def _chain_of_its_own(self, use: Chain) -> None:
        """Give a name that has left its imported module a separate import."""
        row, target = self._moves.row(dotted(use.place))
        count = row.count(".") - dotted(use.origin).count(".")
        was = ".".join((use.root.id, *use.parts))
        alias = self._alias("_".join((use.root.id, *use.parts[:count])), target)
        start, stop = self.edits.span(use.root)
        self.edits.forget(start, stop)
        if self.edits.replace(start, was, ".".join((alias, *use.parts[count:]))):
            self._needed.setdefault(use.origin, set()).add(target)
            self._note(use.node.lineno, row, target)

    def _alias(self, wanted: str, target: str) -> str:
        if target not in self._aliases:
            while wanted in self._taken:
                wanted += "_"
            self._taken.add(wanted)
            self._aliases[target] = wanted
        return self._aliases[target]

    def _texts(self) -> None:
        """Rewrite strings that are names, as in `monkeypatch.setattr("runtime_lib.…")`."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TEXT.fullmatch(node.value):
                new = self._moves.of(node.value)
                start, stop = self.edits.span(node)
                inside = self.edits.content[start:stop].find(node.value.encode())
                if new != node.value and inside >= 0 and self.edits.replace(start + inside, node.value, new):
                    self._note(node.lineno, node.value, new)

    # ------------------------------------------------------------ imports

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            new = self._moves.of(alias.name)
            self._bring(node, f"{alias.name}:")
            more = sorted(self._needed.get(alias.name, ())) if alias.asname is None else []
            if new != alias.name or more:
                self.edits.replace(self.edits.span(alias)[0], alias.name, ", ".join((new, *more)))
                self._note(alias.lineno, alias.name, new)

    def _import_from(self, node: ast.ImportFrom, spellings: Mapping[str, str]) -> None:
        module, (start, _) = str(node.module), self.edits.span(node)
        head = _FROM.match(self.edits.content, start)
        if head is None or not self.edits.reads(head.end(), module):
            return
        groups: dict[str, list[tuple[ast.alias, str]]] = {}
        for alias in node.names:
            parent, text = self._from(module, alias, spellings)
            groups.setdefault(parent, []).append((alias, text))
            self._bring(node, f"{module}:{alias.name}")
        stays = module if module in groups else next(iter(groups))
        if stays != module:
            self.edits.replace(head.end(), module, stays)
        for alias, text in groups.pop(stays):
            if text != _text(alias):
                self.edits.replace(self.edits.span(alias)[0], _text(alias), text)
        for parent, rows in groups.items():
            self.edits.put_before(start, f"from {parent} import {', '.join(text for _, text in rows)}")
        self._take_out(node, {id(alias) for rows in groups.values() for alias, _ in rows})

    def _from(self, module: str, alias: ast.alias, spellings: Mapping[str, str]) -> tuple[str, str]:
        """Return the present module of an imported name, and how it is written after `import`."""
        star = alias.name == "*"
        new = f"{self._moves.of(module)}.*" if star else self._moves.at(f"{module}:{alias.name}")
        if new != f"{module}.{alias.name}":
            self._note(alias.lineno, f"{module}.{alias.name}", new)
        parent, _, name = new.rpartition(".")
        bound_as = alias.asname or spellings.get(alias.name, alias.name)
        return parent, name if bound_as == name and not alias.asname else f"{name} as {bound_as}"

    def _bring(self, node: ast.Import | ast.ImportFrom, binds: str) -> None:
        for target in sorted(self._needed.get(binds, ())):
            parent, _, name = target.rpartition(".")
            statement = f"from {parent} import {name} as {self._aliases[target]}"
            self.edits.put_before(self.edits.span(node)[0], statement)

    def _take_out(self, node: ast.ImportFrom, away: set[int]) -> None:
        """Remove names from a statement's list; comments between them stay."""
        content, end = self.edits.content, self.edits.span(node)[1]
        open_ended = content[end - 1 : end] == b")"
        for (gone, _), run in groupby(
            node.names, key=lambda alias: (id(alias) in away, open_ended and alias.lineno)
        ):
            names = list(run)
            if not gone:
                continue
            first, stop = self.edits.span(names[0])[0], self.edits.span(names[-1])[1]
            comma = _COMMA.match(content, stop, end)
            if comma:
                stop = comma.end()
            else:  # the last of all: the comma in front goes instead
                before = content[:first].rstrip(b" \t" if open_ended else b" \t\\\r\n")
                first = len(before) - 1 if before.endswith(b",") else first
            self.edits.cut(first, stop)


def _text(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _identifiers(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    yield from (name for name, _ in bound(node))
