"""P1 to P4: what the repository is. They describe and are not judged."""

from __future__ import annotations

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at
from runtime_lib.audit.records import Finding, check

__all__: list[str] = []


def _looked(repo: Repo) -> tuple[str, ...]:
    return (f"{len(repo.modules):,} modules", f"{len(repo.notebooks):,} notebooks")


@check(
    "P1",
    "project",
    "What trains or predicts here?",
    looks_for="Calls into frameworks of machine learning outside of tests, and classes made of theirs.",
    why="The framework decides which seeds, trackers and model formats there are.",
    false_answers="A service that only loads a model is known by its declared packages.",
    fix="Nothing to do.",
    effort="minutes",
    priority="low",
)
def frameworks(repo: Repo, project: Project) -> Finding:
    found = project.frameworks
    if not found:
        return Finding("n/a", "Nothing here trains a model or predicts with one.", looked_at=_looked(repo))
    return Finding(
        "pass", f"It works with {', '.join(found)}.", project.evidence["frameworks"], value=list(found)
    )


@check(
    "P2",
    "project",
    "How much of the code is in notebooks?",
    looks_for="Lines of code cells and of modules that are not blank.",
    why="What is in a notebook cannot be imported, so it is hard to test and to run by the clock.",
    false_answers="Vendored code and files that could not be read are left out.",
    fix="Move functions from notebooks to modules, and call them from there.",
    effort="days",
    priority="low",
    tools=("jupytext", "nbconvert"),
)
def notebooks(repo: Repo, project: Project) -> Finding:
    share = round(project.notebook_share, 4)
    return Finding(
        "pass" if share else "n/a",
        f"Notebooks hold {share:.0%} of the lines of code.",
        _books(repo),
        _looked(repo),
        value=share,
    )


def _books(repo: Repo) -> tuple[Evidence, ...]:
    longest = sorted(repo.notebooks.values(), key=lambda book: -sum(len(cell.source) for cell in book.cells))
    return tuple(at(book.path, 1, f"{len(book.cells)} cells") for book in longest[:3])


@check(
    "P3",
    "project",
    "How do predictions get out?",
    looks_for="Services, endpoints in a cloud, batch jobs, streams, exports for devices, packages, commands.",
    why="What is served needs monitoring and a gate; what is installed needs releases.",
    false_answers="A service in another language than Python is seen by its images alone.",
    fix="Nothing to do.",
    effort="minutes",
    priority="low",
    brings="`mlops serve` answers predictions from the registry's champion.",
)
def targets(repo: Repo, project: Project) -> Finding:
    found = list(project.targets)
    if found == ["none"]:
        return Finding("n/a", "Predictions stay where they are made.", looked_at=_looked(repo), value=found)
    return Finding(
        "pass",
        f"Predictions get out as: {', '.join(found)}.",
        project.evidence.get("targets", ()),
        value=found,
    )


@check(
    "P4",
    "project",
    "What kind of repository is it?",
    looks_for="Settings of a template, numbered lessons, a published package, or a model of its own.",
    why="A library releases instead of training; a course need not be watched.",
    false_answers="A library that also keeps its own model may be taken for either.",
    fix="Nothing to do.",
    effort="minutes",
    priority="low",
)
def kind(repo: Repo, project: Project) -> Finding:
    shown = project.evidence.get("kind", ())
    said = f"A {project.kind} in {project.stage}." if project.kind == "project" else f"A {project.kind}."
    return Finding("pass" if shown else "n/a", said, shown, _looked(repo), value=project.kind)
