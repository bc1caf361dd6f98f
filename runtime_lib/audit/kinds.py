"""Whether a repository is a project, a library, a template, a course or docs; and how far along it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.parts import examples, serving, tests, training, web
from runtime_lib.audit.queries import at, commands, distribution, entries, files, lines, uses
from runtime_lib.audit.tools import used

__all__ = ["Kind", "Stage", "kind", "stage"]

Kind = Literal["project", "library", "template", "course", "docs"]
Stage = Literal["exploration", "development", "production"]

_NUMBERED = re.compile(
    r"(?:(?:week|lesson|module|chapter|ch|lecture|lec|day|lab|exercise|homework|hw|session|part|tutorial|assignment"
    r"|unit|project)[-_ ]?)?\d{1,2}(?:[-_. a-z]|$)",
    re.IGNORECASE,
)
_WEEKS = re.compile(
    r"(?:week|lesson|lecture|chapter|homework|exercise)[-_ ]?\d{1,2}(?:[-_. a-z]|$)", re.IGNORECASE
)
_LESSONS = re.compile(
    r"\b(?:courses?|textbook|books?|bootcamp|lessons?|exercises|curriculum|workshop|chapters?|zoomcamp|tutorials?"
    r"|lectures?|homeworks?|assignments?|syllabus|learn(?:ing)? path|handbook|nanodegree|specialization)\b",
    re.IGNORECASE,
)
_SOURCE = (
    "*.py", "*.ipynb", "*.r", "*.rmd", "*.jl", "*.java", "*.scala", "*.cpp", "*.c", "*.cc", "*.cs",
    "*.go", "*.rs", "*.js", "*.ts", "*.swift", "*.kt", "*.m", "*.sql", "*.lua", "*.rb", "*.php",
)  # fmt: skip
_PUBLISHES = r"\btwine upload\b|\b(?:poetry|flit|uv|hatch|pdm) publish\b"


def kind(repo: Repo) -> tuple[Kind, tuple[Evidence, ...]]:
    """What it is, and what shows it; a project where nothing says otherwise."""
    if found := tuple(_template(repo)):
        return "template", found[:3]
    if not files(repo, *_SOURCE):
        written = files(repo, "*.md", "*.rst", "*.txt", "*.adoc", "*.html")
        return ("docs", (at(written[0], 1, "text and no code"),)) if written else ("project", ())
    if found := tuple(_list(repo)):
        return "docs", found
    if files(repo, "/description") and files(repo, "/namespace"):
        return "library", (at("DESCRIPTION", 1, "a package of R"),)
    if found := tuple(_course(repo)):
        return "course", found[:3]
    own = list(_own(repo))
    public = list(_public(repo, trains=bool(own))) if _packaged(repo) else []
    if sum(weight for weight, _ in public) > max(1, sum(weight for weight, _ in own)):
        return "library", tuple(one for _, one in public)[:3]
    return "project", tuple(one for _, one in own)[:3]


def _template(repo: Repo) -> Iterator[Evidence]:
    marks = (
        "/cookiecutter.json",
        "/copier.yml",
        "/copier.yaml",
        "/databricks_template_schema.json",
        "/copier.toml",
    )
    yield from (at(path, 1, "settings of a template") for path in files(repo, *marks))
    pattern = re.compile(r"(?:[^/]+/)?\{[{%] ?-? ?cookiecutter\.[^/]*/")
    yield from (at(path, 1, path) for path in repo.files if pattern.match(path))
    # A package that writes projects holds their modules, unfilled.
    unfilled = files(repo, "*.py.j2", "*.py.jinja", "*.py.jinja2", "*.py.tmpl", "*.py.tpl", "*.py.mustache")
    if len(unfilled) >= 3:
        yield from (at(path, 1, path) for path in unfilled)


def _list(repo: Repo) -> Iterator[Evidence]:
    """A list of links, with no more code than what checks them."""
    code = sum(module.lines for module in repo.modules.values())
    if code < 200 and not repo.notebooks and len(files(repo, *_SOURCE)) <= 5:
        said = lines(
            repo, r"(?i)^#\s.*\b(?:awesome|curated|reading list|list of)\b|awesome\.re/", within="/readme*"
        )
        yield from (at(text, line, words) for text, line, words in said if line <= 10)


def _course(repo: Repo) -> Iterator[Evidence]:
    """Numbered lessons in one folder, and a README that speaks of a course or names that do."""
    said = list(_title(repo))
    words = {word.lower().rstrip("s") for one in said for word in _LESSONS.findall(one.what)}
    # Notebooks of a project are numbered too: the less is said of a course, the more there must be.
    enough = 3 if len(words) >= 2 else 4
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for path in sorted(repo.files):
        parts = PurePosixPath(path).parts
        for depth in (1, 2):
            if len(parts) >= depth and (len(parts) > depth or path.endswith((".ipynb", ".py"))):
                places.setdefault(parts[: depth - 1], {}).setdefault(parts[depth - 1], path)
    for lessons in places.values():
        numbered = [path for name, path in lessons.items() if _NUMBERED.match(name)]
        weeks = [name for name in lessons if _WEEKS.match(name)]
        if (said and len(numbered) >= enough) or len(weeks) >= 4:
            yield from said[:1]
            yield from (at(path, 1, "a lesson") for path in numbered[:2])


def _title(repo: Repo) -> Iterator[Evidence]:
    """Where the README's first lines speak of a course."""
    for text, line, words in lines(repo, _LESSONS.pattern.replace(r"\b(?:", r"(?i:\b", 1), within="/readme*"):
        if line <= 25:
            yield at(text, line, words)


def _packaged(repo: Repo) -> bool:
    """Whether it can be built and holds a package: a folder with __init__.py at the root, in src or lib."""
    if not files(repo, "/pyproject.toml", "/setup.py", "/setup.cfg"):
        return False
    pattern = re.compile(r"(?:src/|lib/|python/)?(?!tests?/|docs?/|examples?/)[a-zA-Z]\w*/__init__\.py")
    return any(pattern.fullmatch(path) for path in repo.files)


def _public(repo: Repo, *, trains: bool) -> Iterator[tuple[int, Evidence]]:
    """What speaks for a package that others install; `trains`: something speaks for a model of its own."""
    yield from ((3, at(one.path, one.line, one.text)) for _, _, one in commands(repo, _PUBLISHES))
    yield from (
        (3, at(where, line, name)) for where, _, name, line in uses(repo, r"pypi-publish|release-to-pypi")
    )
    name = distribution(repo).replace("-", "[-_.]")
    if name:
        pattern = rf"(?i)(?:pip3? install|uv add|conda install|poetry add)\b.* [\"']?{name}\b(?![./])"
        yield from (
            (2, at(text, line, words))
            for text, line, words in list(lines(repo, pattern, within="/readme*"))[:1]
        )
    if not trains and not (training(repo) | web(repo)) - examples(repo):
        yield (
            2,
            at(
                files(repo, "/pyproject.toml", "/setup.py", "/setup.cfg")[0],
                1,
                "a package that trains nothing",
            ),
        )
    found = list(_classifiers(repo))
    audience = re.compile("Development Status|Intended Audience|Topic ::")
    for said in sorted(found, key=lambda one: not audience.match(one.what))[:1]:
        # Who says how mature it is and for whom speaks to others.
        yield 1 + bool(audience.match(said.what)), said


def _classifiers(repo: Repo) -> Iterator[Evidence]:
    keys = ("project.classifiers.*", "tool.poetry.classifiers.*", "metadata.classifiers*")
    for document, entry in entries(repo, *keys):
        if "/" in document.path:
            continue
        yield from (at(document, entry.line, word) for word in str(entry.value).splitlines() if word.strip())
    setup = repo.modules.get("setup.py")
    for call in setup.calls if setup else ():
        words = call.keywords.get("classifiers") if call.name.endswith("setup") else None
        yield from (
            at("setup.py", call.line, str(word)) for word in (words if isinstance(words, list) else ())
        )


def _own(repo: Repo) -> Iterator[tuple[int, Evidence]]:
    """What speaks for a model of this repository's own: steps to it, its data, where it is served."""
    aside = examples(repo) | tests(repo)
    for path in files(
        repo, "dvc.yaml", "/mlproject", "/dags/*.py", "/conf/base/*.yml", "*.dvc", "/params.yaml"
    )[:3]:
        if path not in aside:
            yield 2, at(path, 1, path)
    steps = [one for _, one in used(repo, "pipeline", by=("calls",)) if one.path not in aside]
    if steps:
        # One module among hundreds is what a library offers for that tool.
        yield 3 if len({one.path for one in steps}) * 25 >= len(repo.modules) else 1, steps[0]
    scripts = re.compile(r"(?:scripts/|src/)?(?:[a-z]+_)?train(?:ing|er)?(?:_[a-z]+)?\.py")
    yield from ((2, at(path, 1, "a script that trains")) for path in repo.modules if scripts.fullmatch(path))
    served = sorted(serving(repo) - aside)
    if served and files(repo, "dockerfile*", "docker-compose*"):
        yield 1, at(served[0], 1, "answers predictions")


def stage(repo: Repo, share: float) -> Stage:
    """Production where a service is packed and CI runs; exploration where notebooks rule."""
    jobs = [job for pipeline in repo.ci if pipeline.active for job in pipeline.jobs if not job.disabled]
    packed = serving(repo) and files(
        repo, "dockerfile*", "*deployment*.y*ml", "chart.yaml", "serverless.y*ml", "*.tf"
    )
    if packed and jobs:
        return "production"
    return "exploration" if share > 0.6 and not jobs and not packed else "development"
