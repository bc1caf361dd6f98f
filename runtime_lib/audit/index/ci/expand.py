"""From the scripts of a job to the commands that are run at last."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from runtime_lib.audit.index.ci.runners import RUNNERS
from runtime_lib.audit.index.ci.shell import split, words
from runtime_lib.audit.index.ci.sources import Place, Sources, join
from runtime_lib.audit.index.ci.wrappers import as_text, once
from runtime_lib.audit.index.model import Command

__all__ = ["commands"]

_DEPTH = 5
_MOST = 400  # of one script; what includes itself in many ways ends here
# `x=$(command)` runs the command.
_CAPTURED = re.compile(r"^(?:export\s+|local\s+|readonly\s+)?\w+=\"?\$\((?!\()(.*)\)\"?$", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|\{\{\s*env\.(\w+)\s*\}\})")


def commands(sources: Sources, text: str, place: Place) -> tuple[Command, ...]:
    """The commands of a script, followed through make, nox, tox, scripts and their like, at most 5 deep."""
    found: list[Command] = []
    for one in _script(sources, text, place, frozenset()):
        found.append(one)
        if len(found) >= _MOST:
            break
    return tuple(found)


def _script(sources: Sources, text: str, place: Place, seen: frozenset[tuple[str, str]]) -> Iterator[Command]:
    folder = place.folder
    for piece in split(text, strict=place.strict, pipefail=place.pipefail):
        plain = _substitute(piece.text, place.variables)
        if (changed := _folder(plain, folder, place.path)) is not None:
            folder = changed
            continue
        may_fail = place.may_fail or piece.may_fail
        here = replace(place, line=place.line + piece.offset, folder=folder, may_fail=may_fail)
        yield from _command(sources, plain, here, seen)


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    """Variables whose values are written in the configuration, and are plain."""

    def value(found: re.Match[str]) -> str:
        known = variables.get(found[1] or found[2] or found[3], "")
        return known if known and "$" not in known and "\n" not in known else found[0]

    return _VARIABLE.sub(value, text) if variables and "$" in text else text


def _folder(text: str, folder: str, path: str) -> str | None:
    """Where `cd` leads; None if it is another command. A way that is not plain leads nowhere."""
    parts = text.split(maxsplit=1)
    if not parts or parts[0] not in ("cd", "pushd"):
        return None
    target = parts[1].strip("'\"") if len(parts) > 1 else ""
    if "dirname" in target or "BASH_SOURCE" in target:
        climbs = target.count("/..")
        return join(path.rpartition("/")[0], "../" * climbs)
    if re.match(r"^(\$\{?(GITHUB_WORKSPACE|CI_PROJECT_DIR|PWD)\}?|\$\(pwd\))", target):
        return join("", target.partition("/")[2])
    if target in ("-", "~") or "$" in target or target.startswith("/"):
        return "" if target == "-" else folder
    return join(folder, target)


def _command(
    sources: Sources, text: str, place: Place, seen: frozenset[tuple[str, str]]
) -> Iterator[Command]:
    """What one command runs at last: itself, or what a runner knows of it."""
    if (captured := _CAPTURED.match(text)) and (text, "") not in seen:
        yield from _script(sources, captured[1], place, seen | {(text, "")})
        return
    parts = words(text)
    for _ in range(8):
        if not parts:
            return
        if len(place.by) < _DEPTH and (text, place.folder) not in seen:
            for runner in RUNNERS:
                scripts = runner(sources, parts, place)
                if scripts is None:
                    continue
                by = (*place.by, text)
                for script in scripts:
                    may_fail = place.may_fail or script.place.may_fail
                    kept = {**place.variables, **script.place.variables}
                    inner = replace(script.place, by=by, may_fail=may_fail, variables=kept)
                    yield from _script(sources, script.text, inner, seen | {(text, place.folder)})
                return
        after = once(parts)
        if after == parts:
            break
        parts = after
    plain = text if parts == words(text) else as_text(parts)
    yield Command(plain, place.path, place.line, place.by, place.may_fail)
