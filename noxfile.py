"""Every task of this repository. `nox -s demo` and `nox -s tests` are the two commands of the README."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
# File by file in each worker, the longest first (tests/durations.json); each has 1 to 2 GB of its own.
# One more than there are cores: a third of the time a test waits, for Ray, Airflow or a machine that is hot.
WORKERS = min(4, (os.cpu_count() or 1) + 1)
SIDE_BY_SIDE = ("-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
SLOWEST = "--durations=20"
# Replicas that come and go need the processor at once: next to other tests they once took over a minute each.
ALONE = "tests/serving/test_ray.py"
TESTING = ("dev", "lint", "servers")
ROOMS = "data,images,text,tracking,postgres,s3,serve,monitoring,torch,mlx,lightgbm,xgboost,airflow,upgrade"


def _prepare(session: nox.Session, *packages: str, groups: tuple[str, ...] = ()) -> None:
    """Install with the versions this release was tested with."""
    # uv knows pip's folder of extra wheels by another name.
    if links := os.environ.get("PIP_FIND_LINKS"):
        session.env.setdefault("UV_FIND_LINKS", links)
    # Without byte code every process compiles pandas and MLflow again: seconds per command.
    session.env["PYTHONDONTWRITEBYTECODE"] = None
    dependencies = [part for group in groups for part in nox.project.dependency_groups(PYPROJECT, group)]
    session.install("--constraint", "constraints.txt", *packages, *dependencies)


@nox.session
def demo(session: nox.Session) -> None:
    """Copy a project, run the whole flow on real flights, leave it for you. `-- FOLDER` names it."""
    _prepare(session, "-e", ".[upgrade]", "uv", "pyarrow", groups=("dev",))
    session.run("python", "-m", "tests.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, file by file side by side. `-- -m 'not slow'` leaves out what installs or serves."""
    _prepare(session, "-e", f".[{ROOMS}]", "uv", groups=TESTING)
    if any(Path(word.split("::")[0]).exists() for word in session.posargs):
        session.run("pytest", *SIDE_BY_SIDE, SLOWEST, *session.posargs)
        return
    # With `-m` none of its tests may be left to run, which pytest says by 5.
    session.run("pytest", ALONE, *session.posargs, success_codes=[0, 5])
    session.run("pytest", *SIDE_BY_SIDE, SLOWEST, f"--ignore={ALONE}", *session.posargs)


@nox.session
def deep(session: nox.Session) -> None:
    """Run the tests whole: every release, answer, kill and project. `-- --changed 6`: what a change reaches.

    6 is a number of minutes; what does not fit into them is named. `-- FILE` runs one file whole.
    """
    _prepare(session, "-e", f".[{ROOMS}]", "uv", groups=TESTING)
    session.env["MLOPS_TESTS_DEEP"] = "1"
    if session.posargs[:1] == ["--changed"]:
        session.run("python", "-m", "tests.support.affected", session.posargs[1], *SIDE_BY_SIDE, SLOWEST)
    else:
        session.run("pytest", *SIDE_BY_SIDE, SLOWEST, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    _prepare(session, groups=("lint",))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the library's types, strictly."""
    _prepare(session, "-e", f".[{ROOMS}]", groups=("lint",))
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Check the pages' links, files and commands, then build the site in docs/_build."""
    _prepare(session, "-e", ".[upgrade]", groups=("dev", "docs"))
    session.run("pytest", "--no-header", "-q", "tests/test_docs.py")
    strict = ("-W", "--keep-going", "-q")
    session.run("sphinx-build", *strict, "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed next to the peers, in one run, as ratios."""
    _prepare(session, "-e", f".[{ROOMS}]", "uv", groups=("dev",))
    session.run("python", "tests/bench.py", *session.posargs)
    session.run("python", "tests/bench_models.py")
    session.run("python", "tests/bench_serving.py")
    session.run("python", "tests/bench_monitoring.py")
    session.run("python", "tests/bench_drift.py")
    session.run("python", "tests/bench_monitored.py")
    session.run("python", "tests/bench_audit.py")


@nox.session
def release(session: nox.Session) -> None:
    """Run the deep tests, check that a version may be released, commit and tag it. `-- 0.3.0 [--dry-run]`."""
    _prepare(session, "-e", f".[{ROOMS}]", "uv", groups=TESTING)
    session.run("pytest", *SIDE_BY_SIDE, SLOWEST, env={"MLOPS_TESTS_DEEP": "1"})
    session.run("python", "-m", "tests.release", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write a new constraints.txt: the versions that the next release is tested with."""
    session.install("uv")
    # The file names versions for every platform, not where this machine found them.
    options = ("--universal", "--upgrade", "--no-header", "--no-annotate", "--no-emit-find-links")
    wanted = ("--all-extras", "--group", "dev", "--group", "docs", "--group", "lint", "--group", "servers")
    session.run("uv", "pip", "compile", *options, *wanted, "-o", "constraints.txt", "pyproject.toml")
