"""Marks of the six principles, their sum, and the level: pure functions of the findings, by published rules.

A principle is marked by its pillars. A pillar that passes counts 1, one that passes in part ½. All: mark 1;
half of them or more: ½; else 0. What cannot be told makes the mark a range; what does not apply is left out.

The level is cumulative: 1 = a pipeline (A1) that trains (A2); 2 = 1, and CI on changes (A3) that tests (A4)
or trains (A5), and automated delivery (A6); 3 = 2, and a trigger that reaches training (A7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime_lib.audit.records import PRINCIPLES, Check, Finding, Principle

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["LEVELS", "RULES", "Lack", "Level", "Mark", "level", "marks", "total", "weakest"]

LEVELS = ("manual", "pipeline", "CI/CD", "continuous training")
# Of each level what it adds to the one below: any check of a group is enough for it.
RULES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (),
    (("A1",), ("A2",)),
    (("A3",), ("A4", "A5"), ("A6",)),
    (("A7",),),
)
# Kinds that nobody brings into production as they are.
_NO_SCALE = {"library", "docs"}


@dataclass(frozen=True)
class Mark:
    """A principle's mark from 0 to 1: the lowest and highest it may be; None where nothing applies.

    `pillars`: the checks that it was made from, those that apply, with their verdicts.
    """

    principle: Principle
    low: float | None
    high: float | None
    pillars: tuple[tuple[str, str], ...] = ()

    @property
    def symbol(self) -> str:
        """✓, ⚠, ✗, or "?" where it cannot be told, and "-" where nothing applies."""
        if self.low is None:
            return "-"
        if self.low != self.high:
            return "?"
        return {1.0: "✓", 0.5: "⚠", 0.0: "✗"}[self.low]


@dataclass(frozen=True)
class Lack:
    """What a level lacks: one of these checks would do; `unknown`: one may pass, it cannot be told."""

    checks: tuple[str, ...]
    unknown: bool


@dataclass(frozen=True)
class Level:
    """`value`: what is reached surely, None where the scale does not apply; `lacks`: of the next one."""

    value: int | None
    why: str
    lacks: tuple[Lack, ...] = ()


def marks(checks: Mapping[str, Check], findings: Mapping[str, Finding]) -> tuple[Mark, ...]:
    """Mark the six principles, in the order of `PRINCIPLES`."""
    return tuple(_mark(principle, checks, findings) for principle in PRINCIPLES)


def _mark(principle: Principle, checks: Mapping[str, Check], findings: Mapping[str, Finding]) -> Mark:
    pillars = tuple(
        (id, findings[id].verdict)
        for id, check in checks.items()
        if check.principle == principle and check.pillar and id in findings and findings[id].verdict != "n/a"
    )
    if not pillars:
        return Mark(principle, None, None)
    sums = [sum(_POINTS[verdict][best] for _, verdict in pillars) / len(pillars) for best in (0, 1)]
    return Mark(principle, _rounded(sums[0]), _rounded(sums[1]), pillars)


# At worst, at best.
_POINTS = {"pass": (1.0, 1.0), "partial": (0.5, 0.5), "fail": (0.0, 0.0), "unknown": (0.0, 1.0)}


def _rounded(share: float) -> float:
    return 1.0 if share == 1 else 0.5 if share >= 0.5 else 0.0


def total(found: tuple[Mark, ...]) -> tuple[float, float, int]:
    """Add the marks up: lowest, highest, and out of how many."""
    lows = [mark.low for mark in found if mark.low is not None]
    highs = [mark.high for mark in found if mark.high is not None]
    return sum(lows), sum(highs), len(lows)


def weakest(found: tuple[Mark, ...]) -> Principle | None:
    """The principle with the lowest mark, of equals the one whose pillars pass least; None: all have 1."""
    weak = [mark for mark in found if mark.low is not None and mark.low < 1]
    return min(weak, key=lambda mark: (mark.low, mark.high, _share(mark))).principle if weak else None


def _share(mark: Mark) -> float:
    return sum(_POINTS[verdict][0] for _, verdict in mark.pillars) / len(mark.pillars)


def level(findings: Mapping[str, Finding], project: Project) -> Level:
    """The level that is reached, and what the next one lacks."""
    if not project.ml:
        return Level(None, "no machine learning was found")
    if project.kind in _NO_SCALE:
        return Level(None, f"the scale is for projects; this is {project.kind}")
    reached = 0
    for value, groups in enumerate(RULES):
        lacks = tuple(lack for group in groups if (lack := _lack(group, findings)))
        if lacks:
            return Level(reached, LEVELS[reached], lacks)
        reached = value
    return Level(reached, LEVELS[reached])


def _lack(group: tuple[str, ...], findings: Mapping[str, Finding]) -> Lack | None:
    verdicts = [findings[id].verdict for id in group if id in findings]
    return None if "pass" in verdicts else Lack(group, "unknown" in verdicts)
