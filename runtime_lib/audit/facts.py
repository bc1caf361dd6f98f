"""Facts about a repository, each a question with one answer, made from the findings of checks.

The answer is the finding's `value`; without one the verdict tells it: "pass" is yes, "partial", "fail" and
"n/a" are no. So a check that passes in part where the fact is true all the same says so by its `value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from runtime_lib.audit.records import Evidence, Finding

if TYPE_CHECKING:
    from runtime_lib.audit.index.model import Repo
    from runtime_lib.audit.project import Project

__all__ = ["FACTS", "UNKNOWN", "Answer", "Fact", "answers"]

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fact:
    """A question, answered by its checks: all of them have to hold, and the last that has a name gives it.

    Attributes:
        kind: of the value: "yes" true or false; "name" a name or false; "grade" a word.
        grades: of a grade, those of "pass", "partial" and all else.
    """

    means: str
    checks: tuple[str, ...]
    kind: Literal["yes", "name", "grade"] = "yes"
    grades: tuple[str, str, str] = ("", "", "")

    @property
    def no(self) -> str | bool:
        """The value of what is not there."""
        return self.grades[2] or False


@dataclass(frozen=True)
class Answer:
    """The value of a fact: true, false, a name, a number, a list, null, or "unknown" with the reason."""

    value: Any
    reason: str
    evidence: tuple[Evidence, ...] = ()


FACTS: dict[str, Fact] = {
    "data_versioning": Fact("tool that versions the data; CSV in git is none", ("V2",), "name"),
    "model_registry": Fact("tool in which the code registers model versions", ("V3",), "name"),
    "config_as_files": Fact("training parameters live in versioned files that the code reads", ("V4",)),
    "tracker": Fact("tracker that training calls, and that is on by default", ("T1", "T2"), "name"),
    "unit_tests": Fact("a test runs the repository's own code and asserts on it", ("Q1",)),
    "integration_tests": Fact("a test runs several parts together", ("Q2",)),
    "model_tests": Fact("a test or gate fails on the quality of a trained model, by default", ("Q3",)),
    "regression_tests": Fact("a new model is compared with an earlier one, a worse one stopped", ("Q4",)),
    "data_tests": Fact("checks of the data: schema, expectations, ranges", ("Q5",)),
    "ci": Fact("provider whose configuration is tracked", ("A3",), "name"),
    "ci_runs_tests": Fact("a push or pull request runs tests", ("A4",)),
    "ci_trains": Fact("CI trains or runs the training pipeline", ("A5",)),
    "cd": Fact("automation delivers model, image, service, package or pipeline", ("A6",)),
    "pipeline_tool": Fact("machine-readable steps from data to a trained model", ("A1",), "name"),
    "automatic_retraining": Fact("an active trigger reaches training", ("A7",)),
    "monitoring_system": Fact("metrics or errors of the running service", ("M1",)),
    "monitoring_model": Fact("predictions or their quality are watched after deployment", ("M2",)),
    "drift_detection": Fact("drift of data or predictions is computed for this model", ("M3",)),
    "alerts": Fact("a rule with a receiver that tells somebody", ("M4",)),
    "seeds": Fact(
        "stochastic steps take a fixed seed: yes, partial, no", ("R1",), "grade", ("yes", "partial", "no")
    ),
    "environment": Fact(
        "versions are fixed: lock, pinned, ranges, none", ("R2",), "grade", ("lock", "pinned", "none")
    ),
    "dockerfile": Fact("a Dockerfile, also a template of one, is tracked", ()),
    "deployment_target": Fact("how predictions leave it: api, batch, streaming …", ()),
    "notebook_share": Fact("share of the lines of code that is in notebooks' cells", ()),
    "level": Fact("maturity from 0 to 3; null: the scale does not apply", ()),
}
_GRADES = {"pass": 0, "partial": 1}


def answers(
    repo: Repo, project: Project, findings: Mapping[str, Finding], level: int | None
) -> dict[str, Answer]:
    """Answer every fact of `FACTS`, in its order."""
    found = {name: _answer(fact, findings) for name, fact in FACTS.items() if fact.checks}
    found["dockerfile"] = _dockerfile(repo)
    targets = list(project.targets) or ["none"]
    shown = tuple(project.evidence.get("targets", ()))
    found["deployment_target"] = Answer(targets, f"a {project.kind}", shown)
    found["notebook_share"] = Answer(round(project.notebook_share, 4), "non-blank lines")
    why = "the scale does not apply" if level is None else "by the rule of levels"
    found["level"] = Answer(level, why)
    return {name: found[name] for name in FACTS}


def _answer(fact: Fact, findings: Mapping[str, Finding]) -> Answer:
    given = [findings[id] for id in fact.checks if id in findings]
    if not given:
        return Answer(UNKNOWN, "no check answers it")
    values = [_value(finding, fact) for finding in given]
    evidence = tuple(one for finding in given for one in finding.evidence)
    for finding, value in zip(given, values, strict=True):
        if value == fact.no and finding.verdict != "n/a":
            return Answer(fact.no, finding.message, finding.evidence)
    for finding, value in zip(given, values, strict=True):
        if value == UNKNOWN:
            return Answer(UNKNOWN, finding.message, finding.evidence)
    # A tracker that is called may not be the one that is on.
    names = [value for value in values if isinstance(value, str)]
    return Answer(names[-1] if names else values[0], given[0].message, evidence)


def _value(finding: Finding, fact: Fact) -> Any:
    value = finding.value
    if value is None and finding.verdict == UNKNOWN:
        return UNKNOWN
    if fact.kind == "grade":
        return value or fact.grades[_GRADES.get(finding.verdict, 2)]
    if value is None:
        return finding.verdict == "pass"
    return bool(value) if fact.kind == "yes" and value != UNKNOWN else value or False


def _dockerfile(repo: Repo) -> Answer:
    found = [path for path in repo.files if _is_dockerfile(PurePosixPath(path).name.lower())]
    if not found:
        return Answer(False, f"There is no Dockerfile among {len(repo.files):,} files.")
    best = sorted(found, key=lambda path: (path.count("/"), path))[:5]
    return Answer(True, "tracked", tuple(Evidence(path, 1, "a Dockerfile") for path in best))


def _is_dockerfile(name: str) -> bool:
    words = name.replace("-", ".").replace("_", ".").split(".")
    # "Dockerfile.gpu", "train.dockerfile", "Dockerfile.j2"; no script about them, no `.dockerignore`.
    return ("dockerfile" in words or "containerfile" in words) and words[-1] not in _NO_DOCKERFILE


_NO_DOCKERFILE = {
    "py",
    "md",
    "txt",
    "sh",
    "yml",
    "yaml",
    "json",
    "dockerignore",
    "ipynb",
    "png",
    "html",
    "rst",
}
