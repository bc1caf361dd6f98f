"""`mlops run` on real flights: a kill loses nothing, and only what depends on a change runs again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.depth import DEEP

STAGES = ("ingest", "validate", "featurize", "split", "train", "evaluate", "register")
MLOPS = str(Path(sys.executable).with_name("mlops"))


def mlops(project: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [MLOPS, *words], cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (
        f"mlops {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout if code == 0 else done.stdout + done.stderr


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "src", "PYTHONUNBUFFERED": "1"}


SMALL = [
    "data.last=2013-03",
    "split.test=1",
    "train.epochs=2",
    "train.learning_rate=0.003",
    "train.network.hidden=[8]",
    "evaluate.logistic=false",
]


def small(project: Path) -> Path:
    """Three months and a small network: the same path in seconds."""
    from runtime_lib.pipeline.run import set_params

    set_params(project / "params.yaml", SMALL)
    return project


def reports(project: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (project / "reports").glob("*.json")}


@pytest.fixture(scope="module")
def finished(render):
    """A project whose pipeline has run once."""
    project = small(render(project_name="calm", project_package="calm"))
    assert json.loads(mlops(project, "run", "--json"))["ran"] == list(STAGES)
    return project


@pytest.mark.slow
def test_a_second_run_skips_everything(finished):
    before = reports(finished)
    assert json.loads(mlops(finished, "run", "--json"))["ran"] == []
    assert reports(finished) == before


@pytest.mark.slow
@pytest.mark.parametrize("torn", ["", '{"read": {'])
def test_a_kill_while_dvc_writes_its_lock_stops_nobody(finished, torn):
    (finished / ".dvc" / "tmp" / "rwlock").write_text(torn)
    assert json.loads(mlops(finished, "run", "--json"))["ran"] == []


@pytest.mark.slow
def test_a_changed_parameter_runs_what_depends_on_it(finished):
    done = json.loads(mlops(finished, "run", "--set", "train.seed=8", "--no-promote", "--json"))
    assert done["ran"] == ["train", "evaluate", "register"]
    done = json.loads(mlops(finished, "run", "--set", "train.seed=7", "--no-promote", "--json"))
    assert "ingest" not in done["ran"]


@pytest.mark.slow
def test_a_kill_in_each_stage_loses_nothing(finished, render):
    project = small(render(project_name="calm", project_package="calm"))
    for stage in STAGES if DEEP else ("ingest", "split", "train", "register"):
        kill_in(project, stage)
    mlops(project, "run")
    calm, killed = reports(finished), reports(project)
    assert killed["registered"]["digest"] == calm["registered"]["digest"]
    assert killed["registered"]["version"] == "1"
    assert killed["evaluation"] == calm["evaluation"]
    assert killed["promotion"]["promoted"]
    leftovers = [p for folder in ("data", "models", "reports") for p in (project / folder).glob(".*.tmp")]
    assert leftovers == []


def kill_in(project: Path, stage: str) -> None:
    """Start a run, and end it with kill -9 once it is well inside the stage."""
    run = subprocess.Popen(
        [MLOPS, "run"],
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    seen = []
    for line in run.stderr:
        seen.append(line)
        if f"Running stage '{stage}'" in line:
            break
    else:
        pytest.fail(f"{stage} never ran:\n{''.join(seen)}")
    time.sleep(0.8)
    run.send_signal(signal.SIGKILL)
    run.stderr.close()
    run.wait()


@pytest.mark.slow
def test_a_model_of_shuffled_labels_is_refused(finished):
    """The gate is on, and the champion stays."""
    champion = reports(finished)["registered"]["version"]
    features = finished / "src" / "calm" / "features.py"
    honest = features.read_text()
    shuffled = honest.replace(
        ">= LATE_MINUTES)", ">= LATE_MINUTES).sample(frac=1, random_state=1).to_numpy()"
    )
    assert shuffled != honest
    try:
        features.write_text(shuffled)
        said = mlops(finished, "run", code=3)
    finally:
        features.write_text(honest)
    assert "refused" in said
    assert "naive baseline" in said
    from runtime_lib.registry.champion import champion as current
    from runtime_lib.settings import load

    held = current(load(finished))
    assert held is not None
    assert held.version == champion


@pytest.mark.slow
def test_another_clone_gets_the_same_data_from_the_remote(finished, tmp_path):
    def do(folder: Path, *command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    do(finished, "git", "init")
    do(finished, sys.executable, "-m", "dvc", "push")
    clone = tmp_path / "clone"
    ignore = shutil.ignore_patterns("data", "models", "reports", "var", "cache", "tmp", ".git", "storage")
    shutil.copytree(finished, clone, ignore=ignore)
    shutil.copytree(finished / "storage", clone / "storage")  # a shared folder, as the clone sees it
    do(clone, "git", "init")
    do(clone, sys.executable, "-m", "dvc", "pull", "data/raw", "models/candidate")
    for path in ("data/raw/2013-02.parquet", "models/candidate/model.safetensors"):
        assert (clone / path).read_bytes() == (finished / path).read_bytes()


@pytest.mark.slow
def test_two_runs_at_once_are_told_apart(finished):
    from runtime_lib.pipeline.run_lock import hold

    params = (finished / "params.yaml").read_text()
    with hold(finished / "var" / "run.lock"):
        said = mlops(finished, "run", "--set", "train.epochs=9", code=1)
    assert f"process {os.getpid()}" in said
    assert (finished / "params.yaml").read_text() == params, (
        "the run under way would record what it did not use"
    )


@pytest.mark.slow
def test_a_failing_stage_is_named_and_nothing_half_written_stays(render):
    project = small(render(project_name="calm", project_package="calm"))
    said = mlops(project, "run", "--set", "data.first=2012-12", code=1)
    assert "The month 2012-12 has no rows" in said
    assert "'ingest'" in said
    assert not (project / "data" / "raw").exists()
    mlops(project, "run", "--set", "data.first=2013-01", "--stage", "ingest")


@pytest.mark.slow
def test_a_version_that_waited_for_a_confirmation_is_judged_again_once_it_is_given(finished):
    """`mlops run` repeats what to do as long as it waits, and never calls it judged afterwards."""
    promotion, toml = finished / "reports" / "promotion.json", finished / "mlops.toml"
    decision, settings = promotion.read_text(), toml.read_text()
    waits = {"promoted": False, "suspects": ["distance"], "reasons": ["or write confirmed"]}
    try:
        promotion.write_text(json.dumps({**json.loads(decision), **waits}))
        said = mlops(finished, "run")
        assert "was judged before: refused" in said
        assert "or write confirmed" in said
        toml.write_text(settings.replace("[registry]", '[registry]\nconfirmed = ["distance"]'))
        said = mlops(finished, "run")
        assert "judged before" not in said
        assert "Gate: champion" in said
    finally:
        toml.write_text(settings)
        promotion.write_text(decision)
