"""The template without git and one way to render it; the repository with a tag for each release."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest

from tests.support.durations import Durations, longest_first
from tests.support.releases import REPOSITORY, clone_with_tags

Render = Callable[..., Path]

# Without byte code every process that a test starts compiles pandas and MLflow anew: seconds each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Next to other tests, the threads of a training would spend most of their time waiting for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# uv knows pip's folder of extra wheels by another name.
if "PIP_FIND_LINKS" in os.environ:
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])
# Copier makes a clone for each project and removes it. ext4 then looks for inodes that were not used lately,
# which took a quarter of all CPU time. pytest's own folders hold whole environments and stay on the disk.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="mlops-", dir=MEMORY)
    atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)

# A job in the background may be started with Ctrl-C or the end of its terminal ignored, and so would be all
# that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Durations())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


def pytest_collection_finish() -> None:
    # What is imported by now stays: the collector, a tenth of the CPU time, need not look at it each time.
    gc.freeze()


def copy_template(folder: Path) -> Path:
    """Copy what rendering reads, and nothing else of the working tree."""
    ignore = shutil.ignore_patterns("__pycache__", ".ruff_cache")
    shutil.copytree(REPOSITORY / "template", folder / "template", ignore=ignore)
    (folder / "runtime_lib").mkdir()
    for name in ("copier.yml", "LICENSE", "runtime_lib/VERSION"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is in the working tree, outside git, so that no commit is needed to test it."""
    return copy_template(tmp_path_factory.mktemp("source") / "template")


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(answer=...)` returns the folder of a new project; the library comes from the working tree."""

    def run(source: str = str(template), **answers: Any) -> Path:
        folder = tmp_path_factory.mktemp("render") / "project"
        answers = {"library_source": str(REPOSITORY), "project_name": "flight-delays", **answers}
        copier.run_copy(source, folder, data=answers, defaults=True, quiet=True)
        return folder

    return run


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository with a tag for each release, its HEAD the working tree. Never change it."""
    return clone_with_tags(tmp_path_factory.mktemp("tagged") / "repository")
