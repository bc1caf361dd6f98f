"""`mlops run` on real flights: a kill loses nothing, and only what depends on a change runs again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.depth import DEEP
from tests.support.projects import free_port, with_library
from tests.support.releases import git

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
    return {**os.environ, "PYTHONPATH": with_library("src"), "PYTHONUNBUFFERED": "1"}


SMALL = [
    "data.last=2013-03",
    "split.test=1",
    "train.epochs=2",
    "train.learning_rate=0.003",
    "train.network.hidden=[8]",
    "evaluate.linear=false",
]


def small(project: Path) -> Path:
    """Three months and a small network: the same path in seconds."""
    from runtime_lib.pipeline.run import set_params

    set_params(project / "params.yaml", SMALL)
    # The network alone, so that it is the model whose parameters and files are followed here.
    [model] = project.glob("src/*/model.py")
    lines = model.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "GradientBoosting" not in line]
    assert len(kept) == len(lines) - 2
    model.write_text("".join(kept))
    return project


def reports(project: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (project / "reports").glob("*.json")}


@pytest.fixture(scope="module")
def finished(render):
    """A project whose pipeline has run once."""
    project = small(render(project_name="calm", project_package="calm"))
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)  # DVC advises where git is
    done = subprocess.run(
        [MLOPS, "run", "--json"], cwd=project, env=environment(), capture_output=True, text=True
    )
    assert json.loads(done.stdout)["ran"] == list(STAGES), done.stderr
    (project / "var" / "said.txt").write_text(done.stderr)
    return project


@pytest.mark.slow
def test_a_run_says_what_it_does_and_no_more(finished):
    said = (finished / "var" / "said.txt").read_text()
    assert "Running stage 'train'" in said
    assert "validation roc_auc" in said
    for noise in ("git add", "autostage", "lock file", "INFO", "Warning", "alembic", "mlflow"):
        assert noise not in said, said


@pytest.mark.slow
def test_a_run_names_its_page_of_the_evaluation(finished):
    page = finished / "reports" / "evaluation.html"
    page.unlink()
    assert mlops(finished, "run").splitlines()[-1] == f"Evaluation: {page}"
    assert "passed the gate" in page.read_text()


@pytest.mark.slow
def test_dvc_shows_the_figures_and_not_the_points_of_the_curves(finished):
    command = [sys.executable, "-m", "dvc", "metrics", "show", "--json"]
    told = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=True).stdout
    [shown] = json.loads(told).values()
    evaluation = shown["data"]["reports/evaluation.json"]["data"]
    assert evaluation["candidate"]["roc_auc"] == reports(finished)["evaluation"]["candidate"]["roc_auc"]
    assert not {"curves", "confusion", "importance"} & set(evaluation)


@pytest.mark.slow
def test_the_notebook_works_from_its_folder(finished):
    folder = finished / "notebooks"
    cells = json.loads((folder / "start_here.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code[-1] = "\n".join([*code[-1].splitlines()[:-1], "print(runs.to_json(orient='records'))"])
    before = sorted(folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=folder,
        env={**environment(), "PYTHONPATH": with_library(finished / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    version, runs = done.stdout.splitlines()
    assert version.startswith("version 1: [0.")
    [run] = json.loads(runs)
    assert run["tags.mlflow.runName"].startswith("2013-03 · 0.")
    figures = reports(finished)["evaluation"]["candidate"]
    assert run["metrics.test/roc_auc"] == pytest.approx(figures["roc_auc"])  # pandas writes ten digits
    assert sorted(folder.iterdir()) == before


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
    commit(finished)
    done = json.loads(mlops(finished, "run", "--set", "train.seed=8", "--no-promote", "--json"))
    assert done["ran"] == ["train", "evaluate", "register"]
    assert_dvc_shows_figures_of_the_commit(finished)
    done = json.loads(mlops(finished, "run", "--set", "train.seed=7", "--no-promote", "--json"))
    assert "ingest" not in done["ran"]


def commit(project: Path) -> None:
    git = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.invalid"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "As it ran"]):
        subprocess.run([*git, *words], cwd=project, check=True)


def assert_dvc_shows_figures_of_the_commit(project: Path) -> None:
    def dvc(*words: str) -> str:
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout

    diff = json.loads(dvc("metrics", "diff", "HEAD", "--json"))
    figure = diff["reports/evaluation.json"]["candidate.roc_auc"]
    assert 0.5 < figure["old"] < 1
    assert figure["diff"] == pytest.approx(figure["new"] - figure["old"])
    workspace, head = list(csv.DictReader(dvc("exp", "show", "--csv").splitlines()))
    assert float(workspace["candidate.roc_auc"]) == pytest.approx(figure["new"])
    assert float(head["candidate.roc_auc"]) == pytest.approx(figure["old"])


@pytest.mark.slow
def test_a_kill_in_each_stage_loses_nothing(finished, render):
    project = small(render(project_name="calm", project_package="calm"))
    for stage in STAGES if DEEP else ("ingest", "train"):
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
def test_a_model_of_shuffled_labels_is_refused_here_and_in_a_clone(finished):
    """The gate is on, the champion stays, and an empty registry elsewhere is no way round."""
    champion = reports(finished)["registered"]["version"]
    features = finished / "src" / "calm" / "features.py"
    honest = features.read_text()
    shuffled = honest.replace(
        ">= LATE_MINUTES)", ">= LATE_MINUTES).sample(frac=1, random_state=1).set_axis(raw.index)"
    )
    assert shuffled != honest
    try:
        features.write_text(shuffled)
        said = mlops(finished, "run", code=3)
        clone = second_machine(finished)
    finally:
        features.write_text(honest)
    assert "refused" in said
    assert "is not better than guessing's 0.5000 by 0.01" in said
    from runtime_lib.registry.champion import champion as current
    from runtime_lib.settings import load

    assert current(load(finished)).version == champion

    for path in ("data/raw/2013-02.parquet", "models/candidate/model.safetensors"):
        assert (clone / path).read_bytes() == (finished / path).read_bytes()
    there = json.loads(mlops(clone, "run", "--json"))
    assert (there["ran"], there["promoted"], there["judged"]) == ([], False, False), there
    assert any("guessing's" in reason for reason in there["reasons"])
    assert current(load(clone)) is None
    assert git(clone, "status", "--porcelain") == ""


def second_machine(project: Path) -> Path:
    """A clone beside the project, with what git and DVC bring."""
    git(project, "add", ".")
    git(project, "commit", "-m", "As it is")
    subprocess.run([sys.executable, "-m", "dvc", "push", "-q"], cwd=project, check=True)
    clone = project.parent / "clone"
    git(project, "clone", "-q", ".", str(clone))
    subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=clone, check=True)
    return clone


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
@pytest.mark.skipif(not DEEP, reason="decided in test_hand.py; by nine commands: nox -s deep")
def test_a_rollback_outlives_run_promote_and_the_dags_own_command(finished, monkeypatch):
    monkeypatch.setenv("MLOPS_REGISTRY__MAX_LOSS_TO_INCUMBENT", "1")  # any honest model passes
    first = json.loads(mlops(finished, "champion", "--json"))["version"]
    second = json.loads(mlops(finished, "run", "--set", "train.seed=9", "--json"))
    assert second["promoted"], second["reasons"]
    mlops(finished, "champion", "rollback", "--reason", "wrong in the evening")
    again = json.loads(mlops(finished, "run", "--json"))
    assert (again["ran"], again["version"], again["set_aside"]) == ([], second["version"], True)
    assert "wrong in the evening" in mlops(finished, "promote", code=3)
    mlops(finished, "promote", "--exit-zero")  # the DAG's last task
    assert json.loads(mlops(finished, "champion", "--json"))["version"] == first
    third = json.loads(mlops(finished, "run", "--set", "train.seed=10", "--json"))
    assert third["promoted"], third["reasons"]
    trail = json.loads(mlops(finished, "champion", "trail", "--json"))
    assert [(e["by"], e["action"], e["before"], e["after"]) for e in trail[-3:]] == [
        ("gate", "promoted", first, second["version"]),
        ("hand", "rolled back", second["version"], first),
        ("gate", "promoted", first, third["version"]),
    ]


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="given in test_verdict.py; and served: nox -s deep")
def test_another_registry_is_given_the_model_and_serves_it(finished, monkeypatch):
    lock = (finished / "dvc.lock").read_bytes()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLOPS_TRACKING__URI", "sqlite:///var/other.db")
        said = mlops(finished, "serve", "--engine", "local", "--port", str(free_port()), code=1)
        assert "var/other.db: it holds no version. `mlops run` registers" in said
        done = json.loads(mlops(finished, "run", "--json"))
        assert (done["ran"], done["version"], done["promoted"]) == ([], "1", True), done
        assert "registered as version 1" in done["reasons"][0]
        with serving(finished) as url:
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
    there = json.loads(mlops(finished, "run", "--json"))
    assert (there["ran"], there["judged"], there["promoted"]) == ([], False, True), there
    assert int(there["version"]) > 1
    assert (finished / "dvc.lock").read_bytes() == lock


@contextmanager
def serving(project: Path) -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [MLOPS, "serve", "--engine", "local", "--port", str(port)],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        assert "Serving" in server.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
