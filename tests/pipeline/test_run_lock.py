"""A stage lives as long as the run that started it, whoever holds the lock afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime_lib.pipeline.run_lock import hold

STAGE = """
import os, time
from runtime_lib.pipeline.run_lock import die_with_the_run
die_with_the_run(os.environ)
print("begun", flush=True)
time.sleep(60)
"""
ENDED = 70


def stage(**variables: str) -> subprocess.Popen[str]:
    environ = {**os.environ, **variables}
    return subprocess.Popen([sys.executable, "-c", STAGE], env=environ, stdout=subprocess.PIPE, text=True)


def begun(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "begun\n"


def test_a_stage_ends_with_its_run(tmp_path):
    with hold(tmp_path / "lock"):
        process = stage()
        assert begun(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    assert process.wait(30) == ENDED


def test_a_stage_whose_run_ended_before_it_began_does_not_begin_under_the_next_run(tmp_path):
    with hold(tmp_path / "lock"):
        process = stage(MLOPS_RUN_PROCESS="1")
        assert not begun(process)
        assert process.wait(30) == ENDED


def test_a_stage_that_another_run_overtook_ends(tmp_path):
    """The next run may have the lock before the stage looks again."""
    lock: Path = tmp_path / "lock"
    with hold(lock):
        process = stage()
        assert begun(process)
        lock.write_text("1")  # what the next run writes
        assert process.wait(30) == ENDED
