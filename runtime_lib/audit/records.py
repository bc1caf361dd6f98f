"""What a check is and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runtime_lib.audit.index.model import Evidence

if TYPE_CHECKING:
    from runtime_lib.audit.index.model import Repo
    from runtime_lib.audit.project import Project

__all__ = ["CHECKS", "PRINCIPLES", "Check", "Evidence", "Finding", "Principle", "Verdict", "check"]

Verdict = Literal["pass", "partial", "fail", "unknown", "n/a"]
Confidence = Literal["high", "medium", "low"]
Priority = Literal["critical", "high", "medium", "low"]
Effort = Literal["minutes", "hours", "days"]
Principle = Literal[
    "project", "automation", "versioning", "tracking", "testing", "monitoring", "reproducibility"
]
# In the order of reports; "project" describes and is not judged.
PRINCIPLES: tuple[Principle, ...] = (
    "automation",
    "versioning",
    "tracking",
    "testing",
    "monitoring",
    "reproducibility",
)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        message: one sentence; of "unknown" and "n/a" the reason.
        evidence: what shows it; never empty for "pass" and "partial".
        looked_at: of an absence where it was looked for, in words ("148 modules", "no CI configuration").
        value: what the fact of this check is (see `facts`); None: the verdict tells it.
    """

    verdict: Verdict
    message: str
    evidence: tuple[Evidence, ...] = ()
    looked_at: tuple[str, ...] = ()
    confidence: Confidence = "high"
    value: Any = None


Ask = Callable[["Repo", "Project"], Finding]


@dataclass(frozen=True)
class Check:
    """One question. Docs, SARIF's rules and `--explain ID` are made from this record.

    Attributes:
        id: as in "A1": the letter of the principle, and a number.
        pillar: whether the principle's mark depends on it.
        question: what it asks, answered by yes in a repository that is well.
        looks_for: what counts, and what does not.
        why: why it matters, in a sentence or two.
        false_answers: where it is known to be wrong.
        fix: the smallest step that closes the gap.
        tools: what brings it, the most usual first.
        brings: what the template or this library has for it; "" if nothing.
    """

    id: str
    principle: Principle
    pillar: bool
    question: str
    looks_for: str
    why: str
    false_answers: str
    fix: str
    effort: Effort
    priority: Priority
    tools: tuple[str, ...]
    brings: str
    ask: Ask


CHECKS: dict[str, Check] = {}


def check(
    id: str,
    principle: Principle,
    question: str,
    *,
    looks_for: str,
    why: str,
    fix: str,
    effort: Effort,
    priority: Priority,
    false_answers: str = "",
    tools: tuple[str, ...] = (),
    brings: str = "",
    pillar: bool = False,
) -> Callable[[Ask], Ask]:
    """Enter a function of the index and the project as the check `id`."""

    def enter(ask: Ask) -> Ask:
        CHECKS[id] = Check(
            id,
            principle,
            pillar,
            question,
            looks_for,
            why,
            false_answers,
            fix,
            effort,
            priority,
            tools,
            brings,
            ask,
        )
        return ask

    return enter
