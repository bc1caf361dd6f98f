"""Targets of a Makefile: recipes with those of their prerequisites, variables as far as they are plain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runtime_lib.audit.index.ci.sources import Sources, join
from runtime_lib.audit.index.model import Text

__all__ = ["Makefile", "Recipe", "read_makefile", "substitute"]

_VARIABLE = re.compile(r"^(?:export\s+|override\s+)*([\w.-]+)\s*(\?|:{1,3}|\+|!)?=\s*(.*)$")
_RULE = re.compile(r"^([^\s:#=][^:#=]*?)\s*(&?::?)(?!=)\s*([^=]*?)\s*(?:;\s*(.*))?$")
_USE = re.compile(r"\$(?:\(([\w.-]+)\)|\{([\w.-]+)\})")
_SIGNS = re.compile(r"^[@+-]+")


@dataclass(frozen=True)
class Recipe:
    """A line of a recipe, as the shell gets it."""

    text: str
    path: str
    line: int
    may_fail: bool


@dataclass
class Makefile:
    """Targets → prerequisites and recipe lines; `first`: what `make` alone makes."""

    variables: dict[str, str] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    recipes: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    first: str = ""

    def recipe(self, target: str, given: Mapping[str, str]) -> Iterator[Recipe]:
        """The lines that making `target` runs, prerequisites first, each target once."""
        variables = {"MAKE": "make", **self.variables, **given}
        for name in self._order(target, set()):
            for text, path, line in self.recipes.get(name, ()):
                signs = _SIGNS.match(text)
                plain = substitute(text[signs.end() if signs else 0 :], {**variables, "@": name}).strip()
                yield Recipe(plain.replace("$@", name), path, line, "-" in (signs[0] if signs else ""))

    def _order(self, target: str, seen: set[str]) -> Iterator[str]:
        if target in seen:
            return
        seen.add(target)
        for need in self.needs.get(target, ()):
            yield from self._order(need, seen)
        yield target


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """`$(X)` and `${X}` by what is known of them, at most 5 deep; the rest stays."""
    for _ in range(5):
        after = _USE.sub(lambda found: variables.get(found[1] or found[2], found[0]), text)
        if after == text:
            break
        text = after[:10_000]
    return text


def read_makefile(text: Text, sources: Sources, depth: int = 0) -> Makefile:
    """Targets of the file and of what it includes."""
    made = Makefile()
    current: list[str] = []
    for line, raw in _joined(text.lines):
        if raw.startswith("\t"):
            for target in current:
                made.recipes.setdefault(target, []).append((raw.strip(), text.path, line))
            continue
        plain = re.sub(r"(^|\s)#.*", "", raw).strip()
        if plain.startswith(("include ", "-include ", "sinclude ")) and depth < 3:
            _include(made, text, sources, plain, depth)
        elif variable := _VARIABLE.match(plain):
            _assign(made, variable)
        elif rule := _RULE.match(plain):
            current = _rule(made, rule, text.path, line)
    return made


def _joined(lines: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Lines with their continuations."""
    began, kept = 0, ""
    for number, line in enumerate(lines, 1):
        if not kept:
            began = number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        yield began, kept + (line.strip() if kept else line)
        kept = ""
    if kept:
        yield began, kept


def _assign(made: Makefile, found: re.Match[str]) -> None:
    name, how, value = found[1], found[2] or "", found[3].strip()
    if how == "+":
        made.variables[name] = f"{made.variables.get(name, '')} {value}".strip()
    elif how != "!" and not (how == "?" and name in made.variables):
        made.variables[name] = value


def _rule(made: Makefile, found: re.Match[str], path: str, line: int) -> list[str]:
    targets = substitute(found[1], made.variables).split()
    needs = found[3] or ""
    if found[1].startswith("."):
        return []
    if _VARIABLE.match(needs):  # a variable of this target alone
        return targets
    plain = [need for need in substitute(needs, made.variables).split() if need != "|"]
    for target in targets:
        made.first = made.first or target
        made.needs.setdefault(target, []).extend(plain)
        made.recipes.setdefault(target, [])
        if found[4]:
            made.recipes[target].append((found[4], path, line))
    return targets


def _include(made: Makefile, text: Text, sources: Sources, line: str, depth: int) -> None:
    folder = text.path.rpartition("/")[0]
    for name in substitute(line, made.variables).split()[1:]:
        if (other := sources.texts.get(join(folder, name))) is not None and other.path != text.path:
            read = read_makefile(other, sources, depth + 1)
            made.variables |= {key: one for key, one in read.variables.items() if key not in made.variables}
            made.needs |= {key: one for key, one in read.needs.items() if key not in made.needs}
            made.recipes |= {key: one for key, one in read.recipes.items() if key not in made.recipes}
            made.first = made.first or read.first
