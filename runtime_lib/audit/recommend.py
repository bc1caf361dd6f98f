"""What to do about the gaps: one smallest step each, in the tools that are there already, and when.

At most three are critical: what blocks bringing the model to its users. A step never comes before the one
that it builds on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from runtime_lib.audit.records import PRINCIPLES, Check, Effort, Finding, Principle, Priority

if TYPE_CHECKING:
    from runtime_lib.audit.score import Level

__all__ = ["GAPS", "OWN", "WHEN", "Recommendation", "priority_of", "recommend", "roadmap"]

When = Literal["week", "month", "quarter"]
WHEN: tuple[When, ...] = get_args(When)
GAPS = frozenset({"fail", "partial"})
_PRIORITIES: tuple[Priority, ...] = get_args(Priority)
_EFFORTS: tuple[Effort, ...] = get_args(Effort)
_MOST_CRITICAL = 3
# More than this many steps fit into no week and no month; what is left over moves on.
_MOST = {"week": 5, "month": 8}
# The package by which a project of this template is known.
OWN = "runtime-lib"
_FOR_OTHERS = ("copier copy", "generated project", "The template")
# A secret that is out is critical whether or not something is served.
_ALWAYS = "V6"
# A check → the one that its step builds on.
_AFTER = {
    "A2": "A1",
    "A4": "Q1",
    "A5": "A1",
    "A7": "A1",
    "A8": "Q3",
    "A9": "A6",
    "V5": "V2",
    "V9": "V3",
    "T2": "T1",
    "T3": "T1",
    "T4": "T1",
    "T5": "T1",
    "T6": "T1",
    "T7": "T1",
    "Q4": "Q3",
    "Q6": "Q3",
    "Q8": "A4",
    "Q9": "Q1",
    "M2": "M5",
    "M3": "M5",
    "M4": "M1",
    "M7": "M1",
    "R3": "R2",
    "R5": "A1",
    "R6": "R2",
}
_PLACE: dict[Effort, dict[Priority, When]] = {
    "minutes": {"critical": "week", "high": "week", "medium": "week", "low": "month"},
    "hours": {"critical": "week", "high": "week", "medium": "month", "low": "quarter"},
    "days": {"critical": "week", "high": "month", "medium": "quarter", "low": "quarter"},
}


@dataclass(frozen=True)
class Recommendation:
    """A step that closes the gap of one check.

    Attributes:
        implementation: what to do, in order; with a command where the template or this library brings it.
        tools: those that the repository has, else the usual ones.
        after: the check of the step that it builds on, where that is open too.
    """

    check: str
    principle: Principle
    gap: str
    priority: Priority
    recommendation: str
    implementation: tuple[str, ...]
    tools: tuple[str, ...]
    effort: Effort
    when: When
    after: str | None = None


def recommend(
    checks: Mapping[str, Check],
    findings: Mapping[str, Finding],
    level: Level,
    *,
    serves: bool,
    has: Collection[str] = (),
    without: Collection[str] = (),
) -> tuple[Recommendation, ...]:
    """Recommend a step for each gap, the most urgent first.

    Args:
        serves: whether something of it answers predictions.
        has: names of tools that the repository uses.
        without: checks whose gaps are known and accepted.
    """
    next_up = {id for lack in level.lacks for id in lack.checks}
    gaps = {
        id: finding
        for id, finding in findings.items()
        if finding.verdict in GAPS and checks[id].principle != "project" and id not in without
    }
    urgent = {id: priority_of(checks[id], gaps[id], serves, id in next_up) for id in gaps}
    _lift(urgent)
    order = sorted(
        gaps,
        key=lambda id: (
            _PRIORITIES.index(urgent[id]),
            _depth(id, gaps),
            _EFFORTS.index(checks[id].effort),
            _principle(checks[id]),
            id,
        ),
    )
    order = _first_things_first(order)
    for id in [id for id in order if urgent[id] == "critical"][_MOST_CRITICAL:]:
        urgent[id] = "high"
    when = _when(order, checks, urgent)
    return tuple(_step(checks[id], gaps[id], urgent, when[id], has) for id in order)


def priority_of(check: Check, finding: Finding, serves: bool, is_next: bool = False) -> Priority:
    """How urgent a gap is: critical only where it blocks what is served, less where it is half closed."""
    place = _PRIORITIES.index(check.priority)
    if check.priority == "critical" and not serves and check.id != _ALWAYS:
        place += 1
    if finding.verdict == "partial":
        place += 1
    if is_next:  # the next level waits for it
        place = min(place, 1)
    return _PRIORITIES[min(place, len(_PRIORITIES) - 1)]


def roadmap(steps: Sequence[Recommendation]) -> dict[When, tuple[str, ...]]:
    """The checks to close by when."""
    return {when: tuple(step.check for step in steps if step.when == when) for when in WHEN}


def _principle(check: Check) -> int:
    return PRINCIPLES.index(check.principle)


def _depth(id: str, gaps: Collection[str]) -> int:
    """How many open gaps it builds on, one upon the other."""
    return 1 + _depth(_AFTER[id], gaps) if _AFTER.get(id) in gaps else 0


def _lift(urgent: dict[str, Priority]) -> None:
    """Make what others build on as urgent as they are, yet not critical for it."""
    for id in urgent:
        below = _AFTER.get(id)
        while below in urgent:
            needed = max(_PRIORITIES.index(urgent[id]), 1)
            if needed < _PRIORITIES.index(urgent[below]):
                urgent[below] = _PRIORITIES[needed]
            below = _AFTER.get(below)


def _first_things_first(order: Sequence[str]) -> list[str]:
    done: dict[str, None] = {}

    def add(id: str) -> None:
        if _AFTER.get(id) in order and _AFTER[id] not in done:
            add(_AFTER[id])
        done[id] = None

    for id in order:
        add(id)
    return list(done)


def _when(
    order: Sequence[str], checks: Mapping[str, Check], urgent: Mapping[str, Priority]
) -> dict[str, When]:
    """Place each step in the week, the month or the quarter; what has no room moves on."""
    found: dict[str, When] = {}
    for id in order:
        place = WHEN.index(_PLACE[checks[id].effort][urgent[id]])
        if below := found.get(_AFTER.get(id, "")):
            place = max(place, WHEN.index(below))
        while WHEN[place] in _MOST and list(found.values()).count(WHEN[place]) >= _MOST[WHEN[place]]:
            place += 1
        found[id] = WHEN[place]
    return found


def _step(
    check: Check, finding: Finding, urgent: Mapping[str, Priority], when: When, has: Collection[str]
) -> Recommendation:
    known = {_plain(name) for name in has}
    there = tuple(tool for tool in check.tools if _plain(tool) in known)
    brought = _brought(check, OWN in has)
    how = []
    after = _AFTER.get(check.id)
    after = after if after in urgent else None
    if after:
        how.append(f"First close {after}, which this builds on.")
    if finding.evidence:
        how.append("Look at " + ", ".join(f"{one.path}:{one.line}" for one in finding.evidence[:3]) + ".")
    if there:
        how.append(f"Use {' or '.join(there[:2])}, which the repository already has.")
    elif check.tools and not (OWN in has and brought):  # there the library is the way
        how.append(f"One way: {check.tools[0]}.")
    if brought:
        how.append(brought)
    return Recommendation(
        check.id,
        check.principle,
        finding.message,
        urgent[check.id],
        check.fix,
        tuple(how),
        there or check.tools,
        check.effort,
        when,
        after,
    )


def _brought(check: Check, is_ours: bool) -> str:
    """What the template or the library has for it: `copier copy` is no advice to what was made by it."""
    brings = check.brings.removesuffix(".") + "." if check.brings else ""
    if is_ours:
        return "" if any(word in brings for word in _FOR_OTHERS) else brings
    return f"In a project of this template, {brings}" if brings.startswith("`mlops ") else brings


def _plain(name: str) -> str:
    """A tool's name as it is compared: "GitHub Actions" is "github", "scikit-learn" is "scikitlearn"."""
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "".join(word for word in words if word not in _EXTRA)


_EXTRA = {"actions", "ci", "cd", "pipelines", "pipeline", "devops", "the", "or"}
