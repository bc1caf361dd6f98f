"""Reproducibility: what ties code to one machine, one image or one evening."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime_lib.audit.environment import locks
from runtime_lib.audit.index.dependencies.requirement import is_exact, parse
from runtime_lib.audit.index.model import Evidence, Notebook, Repo
from runtime_lib.audit.queries import at, once
from runtime_lib.audit.records import Finding, Verdict, check

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_FROZEN = re.compile(
    r"\buv sync\b|\bpoetry install\b|\bpdm (?:sync|install)\b|\bpipenv (?:sync|install)\b"
    r"|\bpixi install\b|\bconda-lock install\b|--require-hashes|\buv pip (?:sync|install)\b.*(?:lock|pylock)"
)
_FILE = re.compile(r"(?:-r|--requirement)[ =]?\s*(\S+)|\bpip-sync\s+(\S+)|\buv pip sync\s+(?:--\S+\s+)*(\S+)")
_PIP = re.compile(r"\bpip3?\s+install\s+(.*)")
_INSTALLS = re.compile(
    r"\b(?:pip3?|conda|mamba|micromamba|uv|poetry|pdm|pipenv|pixi)\s+(?:pip\s+|env\s+)?(?:install|sync|create|update)\b"
)
_VALUED = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--trusted-host"}
_VALUED |= {
    "-c",
    "--constraint",
    "-r",
    "--requirement",
    "--prefix",
    "--root",
    "--python",
    "--timeout",
    "--retries",
}
_VALUED |= {"--platform", "--progress-bar", "--cache-dir"}
_TOOLING = {
    "pip",
    "setuptools",
    "wheel",
    "uv",
    "poetry",
    "pipenv",
    "pdm",
    "pip-tools",
    "hatch",
    "virtualenv",
    "build",
}
# Somebody's home. These are nobody's: images, services, placeholders.
_HOME = re.compile(
    r"(?:^|[\"'\s=:(])(?:/(?:home|Users)/([\w.-]+)/"
    r"|[A-Za-z]:[\\/]+Users[\\/]+([\w. -]+)[\\/]+|[D-Zd-z]:[\\/]{1,2}\w)"
)
_NOBODY = re.compile(
    r"(?i)(?:user(?:name)?|your.*|my.*|name|me|jovyan|ubuntu|airflow|vscode|app\w*|runner|circleci|hadoop|ec2-user|docker|admin"
    r"|root|sagemaker-user|azureuser|glue_user|zeppelin|ray|mambauser|nonroot|model-server|work|worker|project|shared|public|default)$"
)


@once
def _dockerfiles(repo: Repo) -> tuple[str, ...]:
    names = (path for path in repo.texts if "dockerfile" in path.rpartition("/")[2].lower())
    return tuple(path for path in names if not path.endswith((".md", ".sh", ".dockerignore")))


def _run(repo: Repo, path: str) -> Iterator[tuple[int, str]]:
    """Commands of a Dockerfile with their first lines, continued ones as one."""
    start, held = 0, ""
    for number, line in enumerate(repo.texts[path].lines, 1):
        if line.lstrip().startswith("#"):
            continue
        start = start or number
        held += " " + line.rstrip().removesuffix("\\").strip()
        if not line.rstrip().endswith("\\"):
            if held.strip().upper().startswith("RUN "):
                yield from ((start, one.strip()) for one in re.split(r"&&|;", held.strip()[4:]))
            start, held = 0, ""


@check(
    "R6",
    "reproducibility",
    "Is the image built from the lock?",
    looks_for="`uv sync`, `poetry install`, or `pip install -r` of a file that fixes all versions.",
    why="Else the image of today is not that of yesterday, although nothing changed.",
    fix="Copy the lock into the image and install from it: `uv sync --locked`.",
    effort="hours",
    priority="medium",
    false_answers="Installs in a script that the Dockerfile calls are not seen.",
    tools=("uv", "pip-tools", "docker"),
)
def _image(repo: Repo, project: Project) -> Finding:
    found = _dockerfiles(repo)
    installs = [
        (path, line, text) for path in found for line, text in _run(repo, path) if _INSTALLS.search(text)
    ]
    if not installs:
        why = "No Dockerfile installs packages." if found else "There is no Dockerfile."
        return Finding("n/a", why, looked_at=(f"{len(found)} Dockerfiles",))
    fixed = [one for one in installs if _is_locked(repo, one[2])]
    if not fixed:
        first = installs[0]
        return Finding("fail", f"{first[0]} does not install from a lock.", (at(*first),), tuple(found[:5]))
    others = {path for path, _, _ in installs} - {path for path, _, _ in fixed}
    evidence = tuple(at(*one) for one in fixed[:5])
    if others:
        return Finding("partial", f"Some images do not install from a lock: {min(others)}.", evidence)
    return Finding("pass", "Images install from a lock.", evidence)


def _is_locked(repo: Repo, text: str) -> bool:
    fixed = {lock.path.rpartition("/")[2] for lock in locks(repo)}
    tools = {lock.kind for lock in locks(repo)}
    if _FROZEN.search(text) and tools & {
        "uv",
        "poetry",
        "pdm",
        "pipenv",
        "pixi",
        "conda-lock",
        "pylock",
        "hashes",
    }:
        return True
    named = (word for groups in _FILE.findall(text) for word in groups if word)
    return any(word.rpartition("/")[2] in fixed for word in named)


@check(
    "R7",
    "reproducibility",
    "Is the code free of paths that only its author has?",
    looks_for="Text in code like `/home/anna/data`, `C:\\Users\\anna`, `D:\\data`; homes of images are none.",
    why="On any other machine it fails, or reads nothing.",
    fix="Take paths from a configuration or the command line, relative to the repository.",
    effort="hours",
    priority="medium",
    false_answers="A path that is only an example in a message counts too.",
)
def _paths(repo: Repo, project: Project) -> Finding:
    found = [
        one
        for module in repo.code()
        if module.path not in project.tests
        for one in _homes(module.path, module.strings)
    ]
    count = len(repo.modules) + len(repo.notebooks)
    if not count:
        return Finding("n/a", "There is no code.", looked_at=(f"{len(repo.files):,} files",))
    if found:
        return Finding("fail", f"Paths of one person's machine in code: {len(found)}.", tuple(found[:5]))
    first = min(one.path for one in repo.code())
    return Finding(
        "pass",
        f"No paths of one person's machine in {count} modules and notebooks.",
        (at(first, 1, "first of the modules read"),),
    )


def _homes(path: str, strings: tuple[tuple[int, str], ...]) -> list[Evidence]:
    found = []
    for line, text in strings:
        one = _HOME.search(text) if ("/" in text or "\\" in text) else None
        if one and not _NOBODY.match((one[1] or one[2] or "").strip()) and "{" not in (one[1] or ""):
            found.append(at(path, line, text))
    return found


@check(
    "R8",
    "reproducibility",
    "Are packages installed only as they are declared?",
    looks_for="`pip install name` without a version in cells of notebooks and in Dockerfiles.",
    why="What is installed by hand is in no declaration: nobody else has it, or has another version.",
    fix="Declare the packages and install them from there, or write the version behind each.",
    effort="minutes",
    priority="low",
    tools=("uv", "pip-tools"),
)
def _loose(repo: Repo, project: Project) -> Finding:
    books = [book for book in repo.notebooks.values() if book.language == "python"]
    images = _dockerfiles(repo)
    if not books and not images:
        return Finding(
            "n/a", "There are neither notebooks nor Dockerfiles.", looked_at=(f"{len(repo.files):,} files",)
        )
    found = [at(book.path, line, text) for book in books for line, text in book.shell if _is_loose(text)]
    found += [at(path, line, text) for path in images for line, text in _run(repo, path) if _is_loose(text)]
    if found:
        return Finding("fail", f"Packages installed without a version: {len(found)}.", tuple(found[:5]))
    first = books[0].path if books else images[0]
    return Finding(
        "pass",
        f"No package is installed without a version in {len(books)} notebooks and {len(images)} Dockerfiles.",
        (at(first, 1, "first of those read"),),
    )


def _is_loose(command: str) -> bool:
    """Whether `pip install` names a package without a version."""
    found = _PIP.search(command)
    if not found:
        return False
    words, skip = re.sub(r"\s#.*|\s[|>].*", "", found[1]).split(), False
    for word in words:
        word = word.strip("\"'")
        if skip or word.startswith("-"):
            skip = not skip and word in _VALUED
            continue
        parsed = parse(word)
        if (
            not parsed
            or word in (".", "")
            or word.startswith((".", "/", "$", "{"))
            or word.endswith((".txt", ".whl"))
        ):
            continue
        if parsed[0] not in _TOOLING and not is_exact(parsed[1]) and not re.search(r"[=<>~]", word):
            return True
    return False


@check(
    "R9",
    "reproducibility",
    "Were the cells of notebooks run in their order?",
    looks_for="Numbers of executions that grow from the first to the last cell.",
    why="What was run out of order gives something else when it is run from the top.",
    fix="Restart and run all before a commit, or run notebooks in CI.",
    effort="minutes",
    priority="low",
    tools=("nbconvert", "papermill", "nbmake"),
)
def _order(repo: Repo, project: Project) -> Finding:
    run = [
        book for book in repo.notebooks.values() if sum(cell.count is not None for cell in book.cells) >= 2
    ]
    if not run:
        return Finding(
            "n/a", "No notebook has execution numbers.", looked_at=(f"{len(repo.notebooks)} notebooks",)
        )
    mixed = [found for book in run if (found := _backwards(book))]
    if not mixed:
        return Finding(
            "pass",
            f"Cells were run in order in {len(run)} notebooks.",
            tuple(at(book.path, 1, "in order") for book in run[:5]),
        )
    verdict: Verdict = "partial" if len(mixed) <= len(run) / 2 else "fail"
    return Finding(
        verdict, f"Cells were run out of order in {len(mixed)} of {len(run)} notebooks.", tuple(mixed[:5])
    )


def _backwards(book: Notebook) -> Evidence | None:
    last = 0
    for cell in book.cells:
        if cell.count is not None:
            if cell.count < last:
                return at(book.path, cell.line, f"cell {cell.count} stands behind cell {last}")
            last = cell.count
    return None
