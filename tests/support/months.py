"""What a month of a project goes through: served, labelled, monitored, and trained on."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runtime_lib.data.raw import as_json
from tests.pipeline.test_run import MLOPS, environment, mlops, serving


def replay(project: Path, month: str) -> tuple[Path, Path]:
    """The files of requests and labels that the example's own `replay` writes."""
    [module] = project.glob("src/*/replay.py")
    command = [sys.executable, "-m", f"{module.parent.name}.replay", month]
    subprocess.run(command, cwd=project, env=environment(), check=True, capture_output=True)
    folder = project / "var" / "replay"
    return folder / f"{month}-requests.parquet", folder / f"{month}-labels.parquet"


def serve(project: Path, requests: Path, *, tolerance: float = 0) -> pd.DataFrame:
    """Send a file of requests to the champion; return the answers by id.

    The first row is asked for by HTTP as well: it has the same answer.
    """
    first = pd.read_parquet(requests).head(1)
    with serving(project) as url:
        mlops(project, "predict", str(requests), "--url", url)
        by_http = ask(url, first)
    answers = pd.read_parquet(project / "predictions.parquet").set_index("id")
    row = answers.loc[first["id"].iloc[0]]
    if isinstance(by_http, dict) and "label" in by_http:
        assert row["label"] == by_http["label"]
        by_http = {f"probability.{name}": value for name, value in by_http["probability"].items()}
    by_http = by_http if isinstance(by_http, dict) else {answers.columns[0]: by_http}
    assert {name: row[name] for name in by_http} == pytest.approx(by_http, abs=tolerance)
    return answers


def ask(url: str, row: pd.DataFrame) -> Any:
    """What the server answers to one row of features."""
    body = {name: values[0] for name, values in as_json(row.drop(columns=["id", "time"])).items()}
    request = urllib.request.Request(
        f"{url}/invocations",
        json.dumps({"dataframe_records": [body]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read())["predictions"][0]


def watch(project: Path, labels: Path) -> dict[str, Any]:
    """What monitoring says once the labels are in."""
    found: dict[str, Any] = json.loads(
        mlops(project, "monitor", "--labels", str(labels), "--exit-zero", "--json")
    )
    return found


def train_again(project: Path, month: str) -> str:
    """Train up to a month; the gate compares with the champion and may refuse."""
    command = [MLOPS, "run", "--set", f"data.last={month}"]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    assert "better than the champion's" in done.stdout + done.stderr
    return done.stdout + done.stderr
