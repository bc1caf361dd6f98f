"""One audit, from the folder to what follows: index, assess, ask every check, answer, mark, recommend."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.audit import facts, score
from runtime_lib.audit.accepted import NOTHING, Accepted, read_accepted
from runtime_lib.audit.library import known
from runtime_lib.audit.plugins import load_checks
from runtime_lib.audit.recommend import Recommendation, recommend
from runtime_lib.audit.records import Check, Finding
from runtime_lib.errors import SettingsError

if TYPE_CHECKING:
    from runtime_lib.audit.index.model import Repo
    from runtime_lib.audit.project import Project

__all__ = ["Audit", "audit", "judge"]

_ONE = re.compile(
    r"(?<![\w.,])1 ((?:CI |test |configuration |declared )?)"
    r"(module|notebook|file|document|function|comparison|configuration|Dockerfile)s\b"
)
_EMPTY = "The folder has no files: there is nothing to judge."


@dataclass(frozen=True)
class Audit:
    """What was found of a repository, and what follows from it.

    Attributes:
        checks, findings: by id, in the same order.
        recommendations: of the gaps that are not accepted, the most urgent first.
        accepted: gaps that the repository accepts, check → its reason.
        notes: what went wrong beside the audit, such as a plug-in that does not load.
    """

    repo: Repo
    project: Project
    checks: Mapping[str, Check]
    findings: Mapping[str, Finding]
    facts: Mapping[str, facts.Answer]
    marks: tuple[score.Mark, ...]
    level: score.Level
    recommendations: tuple[Recommendation, ...]
    accepted: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def audit(root: Path, *, strict: bool = False) -> Audit:
    """Audit a folder. Nothing in it is run, imported or changed.

    Args:
        strict: let an error of a check through, as tests want it; else the check cannot tell, with the error
            as its reason.

    Raises:
        SettingsError: `root` is no folder, or its file of accepted gaps is wrong.
    """
    from runtime_lib.audit.index import index
    from runtime_lib.audit.project import assess

    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise SettingsError(f"{root} {what}: name the folder of a repository.")
    checks, notes = load_checks()
    accepted = read_accepted(root, checks, forgive=bool(notes))
    with _without_collection():
        repo = index(root)
        project = assess(repo)
        return judge(repo, project, checks, accepted=accepted, notes=notes, strict=strict)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage: to walk an index of millions of objects takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def judge(
    repo: Repo,
    project: Project,
    checks: Mapping[str, Check],
    *,
    accepted: Accepted = NOTHING,
    notes: tuple[str, ...] = (),
    strict: bool = False,
) -> Audit:
    """Ask every check of an indexed repository, and draw the conclusions."""
    findings = {id: _counted(_ask(check, repo, project, strict)) for id, check in checks.items()}
    for id, finding in known(repo, project, findings).items():
        if id in findings and findings[id].verdict != "pass":
            findings[id] = finding
    level = score.level(findings, project)
    steps = recommend(
        checks,
        findings,
        level,
        serves=project.serves,
        has=_tools(repo, project, findings),
        without=accepted.reasons,
    )
    return Audit(
        repo,
        project,
        checks,
        findings,
        facts.answers(repo, project, findings, level.value),
        score.marks(checks, findings),
        level,
        steps,
        accepted.reasons,
        (*notes, *accepted.notes, *([] if repo.files else [_EMPTY])),
    )


def _ask(check: Check, repo: Repo, project: Project, strict: bool) -> Finding:
    try:
        return _sound(check, check.ask(repo, project), repo)
    except Exception as error:
        if strict:
            raise
        # A repository may hold anything, and one check that stumbles over it must not hide the others.
        return Finding(
            "unknown", f"the check failed: {type(error).__name__}: {error}"[:300], confidence="low"
        )


def _counted(finding: Finding) -> Finding:
    """With "1 module" where a check counts "1 modules"."""
    looked = tuple(_ONE.sub(r"1 \1\2", text) for text in finding.looked_at)
    return replace(finding, message=_ONE.sub(r"1 \1\2", finding.message), looked_at=looked)


def _sound(check: Check, finding: Finding, repo: Repo) -> Finding:
    """Refuse what nothing shows: a mistake of the check, ours or a plug-in's."""
    if wrong := [one.path for one in finding.evidence if one.path not in repo.files]:
        raise ValueError(f"{check.id} shows {wrong[0]!r}, which is no file of the repository")
    if finding.verdict in ("pass", "partial") and not finding.evidence:
        raise ValueError(f"{check.id} is {finding.verdict} without evidence")
    return finding


def _tools(repo: Repo, project: Project, findings: Mapping[str, Finding]) -> set[str]:
    """Names of tools that are used here: providers of CI, declared packages, what checks found."""
    values = {value for finding in findings.values() if isinstance(value := finding.value, str)}
    providers = {pipeline.provider for pipeline in repo.ci if pipeline.active}
    locks = {lock.kind for lock in repo.dependencies.locks}
    return values | providers | locks | set(repo.dependencies.names) | set(project.frameworks)
