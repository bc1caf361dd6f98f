"""Checks of a company's own: packages with an entry point of the group `mlops.audit`.

Such an entry point names a module, or a function without arguments; loading the one or calling the other
enters checks by `records.check`. One that fails, or takes the id of another check, is named and adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from runtime_lib.audit.records import CHECKS, PRINCIPLES, Check

__all__ = ["GROUP", "load_checks"]

GROUP = "mlops.audit"
_loaded: dict[str, tuple[dict[str, Check], str]] = {}


def load_checks() -> tuple[Mapping[str, Check], tuple[str, ...]]:
    """Return all checks by id, those of plug-ins last, and of each plug-in that failed what is wrong."""
    import_module("runtime_lib.audit.checks")
    notes = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        if point.value not in _loaded:
            _loaded[point.value] = _load(point)
        added, problem = _loaded[point.value]
        CHECKS.update(added)
        if problem:
            notes.append(f"The plug-in {point.name} ({point.value}) adds no checks: {problem}")
    return {id: CHECKS[id] for id in sorted(CHECKS, key=_place)}, tuple(notes)


def _place(id: str) -> tuple[bool, int, int, str]:
    """By principle and number; checks of plug-ins last."""
    check = CHECKS[id]
    ours = check.ask.__module__.startswith("runtime_lib.audit.")
    principle = PRINCIPLES.index(check.principle) if check.principle != "project" else -1
    return not ours, principle, len(id), id


def _load(point: EntryPoint) -> tuple[dict[str, Check], str]:
    """Load a plug-in: the checks that it adds, and what is wrong with it."""
    before = dict(CHECKS)
    try:
        thing = point.load()
        if point.attr:
            thing()
        added = {id: check for id, check in CHECKS.items() if before.get(id) is not check}
        problem = _problem(added, before)
    except (Exception, SystemExit) as error:
        added, problem = {}, f"{type(error).__name__}: {error}"
    CHECKS.clear()
    CHECKS.update(before)
    return ({}, problem) if problem else (added, "")


def _problem(added: Mapping[str, Check], before: Mapping[str, Check]) -> str:
    if taken := sorted(set(added) & set(before)):
        return f"the id {taken[0]} is taken"
    for id, check in added.items():
        if check.principle not in PRINCIPLES:
            return f"{id} has the principle {check.principle!r}; there are {', '.join(PRINCIPLES)}"
    return ""
