"""`mlops monitor` compacts, deletes and merges before it judges, says so, and goes on if it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from runtime_lib import settings
from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.arrivals import write_arrival
from runtime_lib.monitoring.upkeep import tidy
from runtime_lib.serving.log import read_predictions
from tests.serving.test_log_disk import full_at
from tests.support.logged import DAY, Answered, aged, write
from tests.support.releases import REPOSITORY

TOML = '[project]\nname = "demo"\npackage = "demo"\n'


def project(folder: Path, more: str = "") -> settings.Settings:
    folder.mkdir(exist_ok=True)
    (folder / "mlops.toml").write_text(TOML + more)
    return settings.load(folder, environ={})


def minutes_ago(days: int) -> int:
    """After `DAY`, a moment so many days before today."""
    return int((datetime.now(UTC) - timedelta(days=days) - DAY).total_seconds() // 60)


def test_the_command_tidies_first_and_says_what_it_did(tmp_path: Path) -> None:
    here = project(tmp_path / "project", "[monitoring]\nkeep_days = 30\n")
    old = (40, 31, 3, 3, 0)
    write(here.predictions, [Answered(0, minutes_ago(days), [f"{days}", "twice"]) for days in old])
    aged(here.predictions, 3_600)
    for number in range(16):
        labels = pd.DataFrame({"id": pd.Series([str(number)], dtype="str"), "label": [1]})
        write_arrival(here.labels, labels.astype({"label": "int8"}))
    today = datetime.now(UTC).date()
    code = "from runtime_lib.cli import main; main()"
    command = [sys.executable, "-c", code, "monitor", "--json"]
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=here.root, env=env, capture_output=True, text=True, check=False)
    first, second, third = (today - timedelta(days=days) for days in (40, 31, 3))
    assert done.stderr.splitlines()[:2] == [
        f"mlops: deleted the predictions of 2 days, {first} to {second}: older than 30 days (keep_days).",
        f"mlops: compacted the predictions of {third}: 2 rows; 2 answers had been given anew.",
    ]
    assert "champion" in done.stderr.splitlines()[-1]  # which this project has none of
    assert done.returncode == 1
    assert done.stdout == "" or json.loads(done.stdout)
    assert len(list(here.labels.glob("*.parquet"))) == 1
    assert read_predictions(here.predictions)["id"].tolist() == ["3", "0", "twice"]


def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    here = project(tmp_path)
    write(here.predictions, [Answered(0, 0, ["a"])])
    aged(here.predictions, 3_600)
    with full_at(100):
        [line] = tidy(here)
    assert line.startswith("warning: The predictions in ")
    assert "File too large" in line
    assert list(tidy(here)) == ["compacted the predictions of 2026-05-04: 1 row."]
    assert list(tidy(here)) == []


def test_by_default_all_days_are_kept(tmp_path: Path) -> None:
    here = project(tmp_path)
    write(here.predictions, [Answered(0, 0, ["a"])])
    assert here.monitoring.keep_days == 0
    assert list(tidy(here)) == []
    assert len(read_predictions(here.predictions)) == 1


@pytest.mark.parametrize("value", ["-1", "1.5", '"a month"'])
def test_a_number_of_days_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"monitoring\.keep_days"):
        project(tmp_path, f"[monitoring]\nkeep_days = {value}\n")
