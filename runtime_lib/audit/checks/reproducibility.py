"""Reproducibility: does the same commit give the same model, on any machine?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime_lib.audit.environment import environment, locks
from runtime_lib.audit.index.dependencies.requirement import exact
from runtime_lib.audit.index.model import Evidence, Lock, Repo
from runtime_lib.audit.queries import at
from runtime_lib.audit.records import CHECKS, Finding, check
from runtime_lib.audit.seeds import seeds

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_BRINGS = "Projects of this template (`copier copy`) have one seed for all steps and a lock"


@check(
    "R1",
    "reproducibility",
    "Does every step of training that is left to chance take a fixed seed?",
    looks_for="`random_state` of splits and estimators, the global seeds of torch, TensorFlow, NumPy and "
    "`random`, in all that is started together with training; a seed that is null unless asked for is none.",
    why="Without seeds two runs differ by luck, and nobody can tell an improvement from it.",
    fix="Set one seed at the start of training, and hand it to splits and estimators as `random_state`.",
    effort="minutes",
    priority="high",
    false_answers="Seeds that a library of the company sets are not seen.",
    tools=("scikit-learn", "numpy", "torch"),
    brings=_BRINGS,
    pillar=True,
)
def _seeds(repo: Repo, project: Project) -> Finding:
    found = seeds(repo, project)
    looked = (f"{len(project.training)} modules and notebooks that train",)
    if found.grade == "yes":
        return Finding("pass", "Random steps of training have fixed seeds.", found.fixed[:5], value="yes")
    if found.grade == "partial":
        loose = found.loose[0] if found.loose else found.fixed[0]
        message = f"Some random steps have no fixed seed: {loose.what} in {loose.path}."
        return Finding("partial", message, (*found.loose[:3], *found.fixed[:2]), value="partial")
    if found.grade == "no":
        return Finding(
            "fail", "Training uses randomness without a fixed seed.", found.loose[:5], looked, value="no"
        )
    if bad := _unread(repo):
        return Finding(
            "unknown", f"{len(bad)} of {len(repo.modules)} modules cannot be read", looked_at=tuple(bad[:5])
        )
    why = "Nothing that trains is left to chance." if project.training else "Nothing here trains a model."
    return Finding("n/a", why, looked_at=looked, value="no")


def _unread(repo: Repo) -> list[str]:
    """Modules that could not be read, if they are most of all."""
    bad = [one.path for one in repo.modules.values() if one.problem]
    return bad if bad and 2 * len(bad) > len(repo.modules) else []


@check(
    "R2",
    "reproducibility",
    "Are the versions of all packages fixed, also of those that packages need?",
    looks_for="A lock of uv, Poetry, Pipenv, PDM, pixi, conda-lock or renv, compiled requirements, or a "
    "freeze; a list of direct pins is half of it.",
    why="A package that a package needs changes under you: the same commit gives another model, or none.",
    fix="Make a lock and commit it: `uv lock`, or `uv pip compile requirements.in -o requirements.txt`.",
    effort="minutes",
    priority="high",
    false_answers="A list of pins that happens to hold all that is needed is taken for a freeze.",
    tools=("uv", "pip-tools", "poetry", "conda-lock"),
    brings=_BRINGS,
    pillar=True,
)
def _lock(repo: Repo, project: Project) -> Finding:
    found = environment(repo, project)
    if found.grade == "lock":
        return Finding(
            "pass", f"{found.path} fixes the versions of all packages.", found.evidence, value="lock"
        )
    if found.grade == "pinned":
        message = f"{found.path} pins direct dependencies, but not the packages they need."
        return Finding("partial", message, found.evidence, value="pinned")
    if found.grade == "ranges":
        message = f"{found.path} leaves versions of packages open."
        return Finding(
            "fail", message, found.evidence, tuple(repo.dependencies.manifests[:5]), value="ranges"
        )
    looked = (f"{len(repo.files):,} files", "no declaration of packages")
    return Finding("fail", "No packages are declared.", looked_at=looked, value="none")


@check(
    "R3",
    "reproducibility",
    "Does the lock fit what is declared?",
    looks_for="Each declared package is in the lock, with the pinned version where there is one.",
    why="A lock that lags behind is not used, or installs what the code no longer fits.",
    fix="Lock again and commit the result; let CI install with `--locked` or `--frozen`.",
    effort="minutes",
    priority="medium",
    false_answers="Packages for other platforms only may be missing on purpose.",
    tools=("uv", "pip-tools", "poetry"),
)
def _fits(repo: Repo, project: Project) -> Finding:
    pairs = [(lock, lock.manifest or lock.path) for lock in locks(repo) if lock.manifest]
    if not pairs:
        return Finding(
            "n/a", "There is no lock next to the file it is made from.", looked_at=("locks with a manifest",)
        )
    stale = [one for lock, manifest in pairs for one in _stale(repo, lock, manifest)]
    if stale:
        return Finding(
            "fail",
            f"Declared packages that the lock lacks or pins otherwise: {len(stale)}.",
            tuple(stale[:5]),
        )
    shown = tuple(at(lock.path, 1, f"{lock.kind}: fits {manifest}") for lock, manifest in pairs[:5])
    return Finding("pass", "The lock fits the declared packages.", shown)


def _stale(repo: Repo, lock: Lock, manifest: str) -> list[Evidence]:
    found = []
    for one in repo.dependencies.requirements:
        # Extras and groups are locked by some tools only if they are asked for.
        if one.path != manifest or one.group or one.spec.startswith("@"):
            continue
        version, wanted = lock.names.get(one.name), exact(one.spec)
        if version is None or (wanted and version and _plain(version) != _plain(wanted)):
            found.append(at(one.path, one.line, f"{one.name}{one.spec}, locked: {version or 'not'}"))
    return found


def _plain(version: str) -> str:
    return re.sub(r"(?:\.0)+$", "", version.partition("+")[0])


@check(
    "R4",
    "reproducibility",
    "Is the version of Python fixed?",
    looks_for="`.python-version`, `requires-python` that allows one minor version, conda's `python=3.11`, an "
    "image `python:3.11`.",
    why="Another Python gets other wheels, and pickles that do not load.",
    fix="Write the minor version into `.python-version` and the image.",
    effort="minutes",
    priority="low",
    tools=("uv", "pyenv", "docker"),
    brings=_BRINGS,
)
def _python(repo: Repo, project: Project) -> Finding:
    named = repo.dependencies.python
    fixed = [one for one in named if _is_fixed(one[0])]
    if fixed:
        spec, path, line = fixed[0]
        return Finding(
            "pass",
            f"{path} fixes Python at {spec.lstrip('=')}.",
            tuple(at(p, n, f"Python {s}") for s, p, n in fixed[:5]),
        )
    if named:
        spec, path, line = named[0]
        return Finding(
            "partial",
            f"{path} allows several versions of Python: {spec}.",
            (at(path, line, f"Python {spec}"),),
        )
    if not repo.modules and not repo.notebooks:
        return Finding("n/a", "There is no Python code.", looked_at=(f"{len(repo.files):,} files",))
    return Finding(
        "fail", "No file names a version of Python.", looked_at=("manifests", "images", ".python-version")
    )


def _is_fixed(spec: str) -> bool:
    """Whether a spec allows one minor version."""
    spec = spec.replace(" ", "")
    if re.match(r"={1,2}3\.\d+|3\.\d+(?:\.\*|\.\d+)?$|2\.7", spec):
        return True
    if re.match(r"~=?3\.\d+(?:\.\d+)?$", spec):  # `~=3.11.0`, and Poetry's `~3.11`
        return spec.count(".") == 2 or not spec.startswith("~=")
    low, high = re.search(r">=?3\.(\d+)", spec), re.search(r"<3\.(\d+)", spec)
    return bool(low and high and int(high[1]) - int(low[1]) == 1)


@check(
    "R5",
    "reproducibility",
    "Can the model of this commit be made again from the repository?",
    looks_for="A pipeline or a documented command that trains, a lock, and data that is fetched by version.",
    why="Whoever inherits the model has to be able to make it, and an auditor to see it made.",
    fix="Add what is missing of the three: a pipeline, a lock, versioned data.",
    effort="days",
    priority="medium",
    tools=("dvc", "uv"),
    brings=_BRINGS,
    pillar=True,
)
def _rebuild(repo: Repo, project: Project) -> Finding:
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=(f"{len(repo.modules)} modules",))
    parts = {"a pipeline": "A1", "a lock": "R2", "versioned data": "V2"}
    asked = {what: CHECKS[id].ask(repo, project) for what, id in parts.items() if id in CHECKS}
    have = [what for what, one in asked.items() if one.verdict == "pass"]
    lacks = [what for what, one in asked.items() if one.verdict != "pass"]
    evidence = tuple(one.evidence[0] for one in asked.values() if one.verdict == "pass" and one.evidence)
    if not lacks:
        return Finding(
            "pass", "The pipeline, a lock and versioned data are in the repository.", evidence, value="yes"
        )
    missing = f"to train the same model again {_listed(lacks)} {'is' if len(lacks) == 1 else 'are'} missing."
    if have and evidence:
        return Finding("partial", f"There is {_listed(have)}; {missing}", evidence, value="partial")
    return Finding("fail", missing[0].upper() + missing[1:], looked_at=tuple(parts), value="no")


def _listed(names: Sequence[str]) -> str:
    """As in "a pipeline, a lock and versioned data"."""
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
