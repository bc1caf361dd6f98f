"""`mlops upgrade`, ended at any moment: the project is as it was, or it has the upgrade. Never in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import scene
from tests.support.depth import examples
from tests.support.releases import RELEASES, commit, git

FIRST = f"v{RELEASES[0][0]}" if RELEASES else ""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(line, tmp_path_factory) -> Path:
    """With enough files of its owner's that exporting them takes a moment, in which it can be killed."""
    folder = scene.make(line.folder, FIRST, tmp_path_factory.mktemp("kill") / "project")
    scene.write(folder, {f"notes/{n:03d}.md": f"Note {n}\n".encode() * 200 for n in range(200)})
    with (folder / "AGENTS.md").open("a") as file:
        file.write("- Mine.\n")
    commit(folder, "Mine")
    return folder


@pytest.fixture(scope="module")
def whole(line, project, tmp_path_factory) -> tuple[str, float]:
    """The tree that an upgrade ends in when nobody disturbs it, and how long it takes (the second time)."""
    for _ in range(2):
        folder = scene.copy(project, tmp_path_factory.mktemp("whole") / "project")
        start = time.monotonic()
        done = scene.upgrade(folder, "--to", line.next, code=line.folder)
        took = time.monotonic() - start
        assert done.returncode == 0, done.stderr
    return git(folder, "rev-parse", "HEAD^{tree}"), took


def interrupt(project: Path, line, number: int, seconds: float) -> int:
    """Start an upgrade and send the signal to all of its processes; return its exit code."""
    process = subprocess.Popen(
        scene.command("--to", line.next),
        cwd=project,
        env=scene.variables_for(line.folder),
        stdout=subprocess.DEVNULL,
        stderr=(project.parent / f"{project.name}.log").open("w"),
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, number)
    code = process.wait(timeout=30)
    deadline = time.monotonic() + 30
    while (project / ".git/index.lock").exists():  # git's own last step goes on
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    return code


def check_before_or_after(project: Path, before: str, tree: str) -> bool:
    """Return whether the upgrade is there."""
    assert git(project, "status", "--porcelain", "--branch") == "## main"
    assert git(project, "fsck", "--no-dangling") == ""
    assert list(project.glob("**/*.tmp")) == []
    assert list((project / ".git").glob("*.lock")) == []
    head = git(project, "rev-parse", "HEAD")
    if head == before:
        return False
    assert git(project, "rev-parse", "HEAD^") == before
    assert git(project, "rev-parse", "HEAD^{tree}") == tree
    return True


# The first ones anywhere; the others around the end, where the project changes.
MOMENTS = [random.Random(seed).uniform(0.02, 1.0) for seed in range(examples(2, 12))]
MOMENTS += [random.Random(seed).uniform(0.8, 1.1) for seed in range(12, examples(13, 20))]


def test_killed_at_any_moment(line, project, whole, tmp_path, own_cache):
    tree, took = whole
    before = git(project, "rev-parse", "HEAD")
    landed = []
    for number, moment in enumerate(MOMENTS):
        one = scene.copy(project, tmp_path / str(number))
        interrupt(one, line, signal.SIGKILL, moment * took)
        landed.append(check_before_or_after(one, before, tree))
        if number % 4 == 0 or landed[-1]:
            done = scene.upgrade(one, "--to", line.next, code=line.folder)
            assert done.returncode == 0, done.stderr
            assert check_before_or_after(one, before, tree)
    assert False in landed
    # The next one has swept up what the killed ones left.
    scene.upgrade(project, "--plan", "--to", line.next, code=line.folder)
    one = scene.copy(project, tmp_path / "last")
    assert scene.upgrade(one, "--to", line.next, code=line.folder).returncode == 0
    assert [path for path in own_cache.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize("moment", [0.6, 0.95, 0.3, 0.8, 0.9, 1.0][: examples(2, 6)])
def test_interrupted_from_the_keyboard(line, project, whole, tmp_path, own_cache, moment):
    tree, took = whole
    before = git(project, "rev-parse", "HEAD")
    one = scene.copy(project, tmp_path / "project")
    code = interrupt(one, line, signal.SIGINT, moment * took)
    landed = check_before_or_after(one, before, tree)
    assert code == 130 or landed  # at its very end Python itself answers the signal
    if own_cache.exists():
        assert [path for path in own_cache.iterdir() if path.name.endswith(".tmp")] == []


def test_moved_to_by_a_git_that_outlives_it(line, project, whole, tmp_path):
    """Killed in the very step that changes the project: git is in a session of its own and goes on."""
    tree, _ = whole
    before = git(project, "rev-parse", "HEAD")
    one = scene.copy(project, tmp_path / "project")
    slow = tmp_path / "bin/git"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    scene.write(
        tmp_path,
        {
            "bin/git": f"""#!/bin/sh
case "$*" in *"merge --ff-only"*) touch '{tmp_path}/merging'; sleep 1;; esac
exec {real} "$@"
""".encode()
        },
    )
    slow.chmod(0o755)
    process = subprocess.Popen(
        scene.command("--to", line.next),
        cwd=one,
        env=scene.variables_for(line.folder, PATH=f"{slow.parent}:{os.environ['PATH']}"),
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "merging").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not check_before_or_after(one, before, tree)
    while git(one, "rev-parse", "HEAD") == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    assert check_before_or_after(one, before, tree)
