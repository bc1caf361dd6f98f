"""What is said when a stage ends badly, and what a kill of DVC itself leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime_lib.errors import PipelineError, SettingsError
from runtime_lib.pipeline.dvc import reproduce

# The second stage does what a kill does at the moment when DVC writes dvc.lock: half of it is there.
TORN = """stages:
  first:
    cmd: echo 1 >> first
    outs: [first]
  second:
    cmd: sh second.sh $PPID
    deps: [first]
    outs: [second]
"""
SECOND = r"""
touch second
test -f killed && exit
touch killed
printf 'schema: "2.0"\nstages:\n  first:\n    cm' > dvc.lock
kill -9 "$1"
"""


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ("exit 1", PipelineError, "The stage's own message is above"),
        ("exit 2", SettingsError, "The stage's own message is above"),
        ("kill -9 $$", PipelineError, "It was killed (Killed"),
        ("kill -6 $$", PipelineError, "A library in it crashed (Aborted)"),
        ("exit 130", KeyboardInterrupt, ""),
    ],
)
def test_how_a_stage_ended_decides_what_is_said_and_the_exit_code(
    tmp_path, monkeypatch, command, error, said
):
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {command}\n    outs: [model]\n")
    with pytest.raises(error) as caught:
        reproduce(tmp_path)
    assert said in str(caught.value)


@pytest.fixture
def killed(tmp_path, monkeypatch) -> Path:
    """A project in which DVC was killed while it wrote its dvc.lock."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    (tmp_path / "dvc.yaml").write_text(TORN)
    (tmp_path / "second.sh").write_text(SECOND)
    run = "from pathlib import Path; from runtime_lib.pipeline.dvc import reproduce; reproduce(Path.cwd())"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert (tmp_path / "dvc.lock").read_text().endswith("cm")
    return tmp_path


def test_a_kill_while_dvc_writes_dvc_lock_stops_nobody(killed):
    assert reproduce(killed) == ["first", "second"]
    assert (killed / "first").read_text() == "1\n", "what was finished came from the run cache"
    assert reproduce(killed) == []


def test_a_dvc_lock_that_is_wrong_for_another_reason_is_left_to_its_owner(killed):
    reproduce(killed)
    mine = "<<<<<<< HEAD\n" + (killed / "dvc.lock").read_text()
    (killed / "dvc.lock").write_text(mine)
    for _ in range(2):
        with pytest.raises(PipelineError, match=r"dvc\.lock"):
            reproduce(killed)
    assert (killed / "dvc.lock").read_text() == mine


def test_a_folder_that_is_not_dvcs_stays_as_it_was(tmp_path):
    (tmp_path / "dvc.yaml").write_text(TORN)
    with pytest.raises(PipelineError, match="DVC"):
        reproduce(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.yaml"]


def test_a_stage_that_fails_leaves_its_last_outputs(tmp_path, monkeypatch):
    """DVC deletes them before it starts the stage."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    train = "mkdir candidate && cp seed candidate/model && cp seed record && test ! -f broken"
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  train:\n    cmd: {train}\n    deps: [seed]\n    outs: [candidate, record]\n"
    )
    (tmp_path / "seed").write_text("7")
    reproduce(tmp_path)
    (tmp_path / "seed").write_text("8")
    (tmp_path / "broken").touch()
    with pytest.raises(PipelineError, match="train"):
        reproduce(tmp_path)
    assert (tmp_path / "candidate" / "model").read_text() == "7"
    assert (tmp_path / "record").read_text() == "7"
    (tmp_path / "broken").unlink()
    assert reproduce(tmp_path) == ["train"], "what is there is not taken for what was asked"
    assert (tmp_path / "candidate" / "model").read_text() == "8"
