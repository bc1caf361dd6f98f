"""The command line: exit codes that mean something, messages instead of tracebacks, help worth reading."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.pipeline.test_run import MLOPS, environment, small


def mlops(*words, cwd):
    return subprocess.run([MLOPS, *words], cwd=cwd, env=environment(), capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(render):
    return small(render(project_name="calm", project_package="calm"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--nope"], "--nope"),
        (["fly"], "fly"),
        (["run", "--set"], "--set"),
        (["serve", "--port", "99999"], "65535"),
        (["predict"], "Name one of FILE, --month YYYY-MM and --raw FILE"),
        (["run", "--set", "train.epoch=3"], "has no 'train.epoch'"),
        (["run", "--stage", "fly"], "no stage 'fly'"),
        (["serve", "--engine", "flask"], "serving.engine = 'flask': choose one of ray, local"),
    ],
)
def test_wrong_use_is_named_with_exit_code_2(project, words, named):
    done = mlops(*words, cwd=project)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_project_the_way_in_is_named(tmp_path):
    done = mlops("run", cwd=tmp_path)
    assert done.returncode == 2
    assert "copier copy" in done.stderr


def test_a_file_that_is_not_there_is_named(project):
    done = mlops("predict", "nowhere.parquet", cwd=project)
    assert done.returncode == 1
    assert "nowhere.parquet" in done.stderr


def test_a_command_too_early_says_what_comes_first(project):
    done = mlops("promote", cwd=project)
    assert done.returncode == 1
    assert "mlops run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "promote",
        "champion",
        "runs",
        "ui",
        "serve",
        "predict",
        "monitor",
        "doctor",
        "hardware",
        "airflow",
    ],
)
def test_each_command_has_help(command, tmp_path):
    done = mlops(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout) > 300


def test_hardware_speaks_json(tmp_path):
    found = json.loads(mlops("hardware", "--json", cwd=tmp_path).stdout)
    assert found["device"]["framework"] in ("mlx", "torch")
    assert found["memory_bytes"] > 2**30


def test_doctor_names_what_is_missing_and_how_to_fix_it(project):
    done = mlops("doctor", "--json", cwd=project)
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 4
    assert findings["champion"] == {
        "what": "champion",
        "level": "note",
        "ok": True,
        "found": "none yet",
        "fix": "uv run mlops run",
    }
    assert findings["mlflow"]["ok"]


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(project):
    run = subprocess.Popen(
        [MLOPS, "run"],
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in run.stderr:
        if "Running stage 'ingest'" in line:
            break
    time.sleep(0.8)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the command and to its stage
    said = run.stderr.read()
    assert run.wait(timeout=30) == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert mlops("run", "--stage", "ingest", cwd=project).returncode == 0
