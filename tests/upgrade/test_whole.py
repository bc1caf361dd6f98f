"""The whole of `mlops upgrade`, from the first release: merged, locked, installed, tested, committed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import scene
from tests.support.depth import DEEP
from tests.support.projects import environment, run
from tests.support.releases import RELEASES, commit, git
from tests.support.scene import state

FIRST = f"v{RELEASES[0][0]}" if RELEASES else ""
# One line in each of the marked functions, before a line that has stood there since the first release.
MARKED = {
    "data.py": ('weather = _read("weather.csv")', "# Mine: only the weather of New York is in there."),
    "features.py": ('day = pd.to_datetime(raw[["year"', "# Mine: local days, as travellers count them."),
    "model.py": ('return Architecture("mlp"', "# Mine: a plain network is enough here."),
}
# A network of its owner's and calls into the library, in the words of the first release.
NETWORK = """\
import torch
from runtime_lib.training import networks


def torch_network(inputs: int, width: int) -> torch.nn.Module:
    assert networks.__doc__
    return torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))
"""
CALLS = """\
import numpy as np
import runtime_lib.training.metrics
import runtime_lib.training.network as n
from runtime_lib.data import periods
from runtime_lib.hardware.device import choose_device
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.tracking import locks as guards, record
from runtime_lib.tracking.locks import (
    locked,  # also used by name
)
from runtime_lib.training.network import Architecture


def test_a_network_of_mine():
    mine = Architecture("late_flights.my_network", {"inputs": 3, "width": 4})
    network = n.build(mine, framework="torch", device="cpu", trusted=("late_flights",), seed=1)
    assert network.predict(np.zeros((2, 3), dtype="float32")).shape == (2,)


def test_calls_of_mine(tmp_path):
    from runtime_lib.training import stages

    months = periods.months("2013-01", "2013-03")
    assert months == ["2013-01", "2013-02", "2013-03"]
    assert callable(stages.train) and callable(stages.evaluate) and callable(add_labels)
    assert callable(runtime_lib.training.metrics.binary_metrics)
    assert isinstance(record.State, type)
    assert choose_device("torch").framework == "torch"
    with locked(tmp_path / "mine.lock"):
        assert guards.try_lock(tmp_path / "mine.lock") is None
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def edited(line, tmp_path_factory) -> Path:
    """Locked, with a dependency, a line of text, a setting edited functions and code of its owner's."""
    folder = scene.make(line.folder, FIRST, tmp_path_factory.mktemp("whole") / "project")
    for name, (anchor, mine) in MARKED.items():
        scene.replace(folder / "src" / "late_flights" / name, anchor, f"{mine}\n    {anchor}")
    own = {"src/late_flights/my_network.py": NETWORK, "tests/test_calls.py": CALLS}
    scene.write(folder, {path: text.encode() for path, text in own.items()})
    scene.replace(folder / "pyproject.toml", '"-ra --strict-markers', '"-x -ra --strict-markers')
    scene.replace(folder / "mlops.toml", "port = 8000", "port = 8008")
    with (folder / "AGENTS.md").open("a") as file:
        file.write("- Mine.\n")
    if not DEEP:
        (folder / "tests/test_flow.py").unlink()  # a run of the pipeline, as in test_living.py
    run(folder, "uv", "add", "--quiet", "--no-sync", "humanize>=4,<5", **environment())
    commit(folder, "Mine")
    return folder


@pytest.fixture
def project(edited, tmp_path) -> Path:
    return scene.copy(edited, tmp_path / "project")


def test_it_locks_and_tests_and_lands_in_one_commit(line, project, own_cache):
    before = git(project, "rev-parse", "HEAD")
    done = scene.upgrade(project, "--to", line.head, aside=())
    assert done.returncode == 0, done.stderr
    assert all(
        step in done.stderr
        for step in ("Lock the dependencies", "Install the merged project", "Run its tests")
    )
    assert git(project, "rev-list", f"{before}..HEAD", "--count") == "1"
    assert git(project, "status", "--porcelain") == ""
    assert "uv.lock" in git(project, "diff", "--name-only", "HEAD^", "HEAD").splitlines()
    run(project, "uv", "lock", "--check", "--quiet", **environment())
    assert (
        f"?tag={line.head}" in (project / "uv.lock").read_text()
        or line.head in (project / "uv.lock").read_text()
    )
    for path, words in (
        ("pyproject.toml", "humanize"),
        ("mlops.toml", "port = 8008"),
        ("AGENTS.md", "- Mine."),
        *((f"src/late_flights/{name}", mine) for name, (_, mine) in MARKED.items()),
    ):
        assert words in (project / path).read_text()
    assert "from runtime_lib.data import months as periods\n" in (project / "tests/test_calls.py").read_text()
    assert "tests/test_calls.py:9: runtime_lib.tracking.locks.locked is runtime_lib.locks.locked" in git(
        project, "log", "-1", "--format=%B"
    )
    assert not (project / ".venv").exists()  # all of it happened outside the project
    assert [path for path in own_cache.iterdir() if path.name.endswith(".tmp")] == []


def test_a_test_that_fails_on_the_merged_files_stops_it(line, project, own_cache):
    scene.write(project, {"tests/test_a_mine.py": FAILS_LATER.format(version=FIRST).encode()})
    commit(project, "A test that fails with any other version")
    before = state(project)
    done = scene.upgrade(project, "--to", line.head, aside=())
    assert done.returncode == 1
    assert "test_it_follows_its_version" in done.stderr
    assert "nothing was changed" in done.stderr
    assert state(project) == before
    assert [path for path in own_cache.iterdir() if path.name.endswith(".tmp")] == []


FAILS_LATER = """from pathlib import Path


def test_it_follows_its_version():
    assert "_commit: {version}\\n" in (Path(__file__).parents[1] / ".copier-answers.yml").read_text()
"""


def test_a_lock_that_is_impossible_stops_it(line, project):
    scene.replace(project / "pyproject.toml", '"humanize>=4,<5"', '"humanize>=4,<5", "humanize>=99"')
    commit(project, "Impossible")
    before = state(project)
    done = scene.upgrade(project, "--to", line.head, aside=())
    assert done.returncode == 1
    assert "`uv lock` failed on the merged files" in done.stderr
    assert "humanize" in done.stderr
    assert state(project) == before


def test_without_uv(line, project):
    """Said at the step that needs it; the project is as it was."""
    path = ":".join(folder for folder in os.environ["PATH"].split(":") if not (Path(folder) / "uv").exists())
    assert shutil.which("git", path=path)
    before = state(project)
    done = scene.upgrade(project, "--to", line.head, aside=(), PATH=path)
    assert done.returncode == 1
    assert "uv is not installed" in done.stderr
    assert state(project) == before
