"""Quality rules on real flights, through DVC: quarantine and features are one output, repeatable."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.test_run import MLOPS, environment, mlops

STAGES = ("--stage", "ingest", "--stage", "validate", "--stage", "featurize")
RULES = """

def quality_rules():
    from runtime_lib.data import quality

    return [
        quality.Range("distance", least=1, most=4000),
        quality.AllowedValues("origin", ["EWR", "JFK", "LGA"]),
        quality.Pattern("tailnum", "[A-Z0-9]{5,6}", action="warn"),
        quality.NotMissing("seats", max_bad=0.2, action="warn"),
        quality.Unique(["time_hour", "carrier", "flight", "origin"]),
        quality.Freshness("time_hour", hours=12, action="stop"),
        quality.Volume(least=20_000, least_share=0.5, most_share=2),
        quality.Range("departure", least=0, most=1439, at="inputs"),
    ]
"""


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(project: Path) -> list[str]:
    return json.loads(mlops(project, "run", *STAGES, "--json"))["ran"]


@pytest.mark.slow
def test_rules_set_flights_aside_and_without_them_every_byte_is_as_before(render):
    project = render(project_name="ruled", project_package="ruled")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)  # DVC asks for it
    params, code = project / "params.yaml", project / "src" / "ruled" / "features.py"
    mlops(project, "run", *STAGES, "--set", "data.last=2013-04")
    features, unruled, plain = project / "data" / "features", code.read_text(), contents(project / "data")
    assert "2013-04" in params.read_text()

    code.write_text(unruled + RULES)
    assert run(project) == ["featurize"]
    assert run(project) == []
    ruled = contents(project / "data")
    assert {path for path in plain if path.startswith("raw/")} <= set(ruled)
    raw = pd.concat([pd.read_parquet(path) for path in sorted((project / "data" / "raw").glob("*.parquet"))])
    aside = pd.concat([pd.read_parquet(path) for path in sorted((features / "quarantine").glob("*.parquet"))])
    kept = pd.concat([pd.read_parquet(path) for path in sorted(features.glob("*.parquet"))])
    far = raw[raw["distance"] > 4000]
    assert set(far["dest"]) == {"HNL"}
    assert len(aside) == len(far) == 240
    assert aside[raw.columns].reset_index(drop=True).equals(far.reset_index(drop=True))
    assert len(kept) == raw[raw["distance"] <= 4000]["arr_delay"].notna().sum()
    assert "HNL" not in set(kept["dest"])

    report = json.loads(mlops(project, "quality", "--exit-zero", "--json"))
    words = {each["rule"]["name"]: (each["rows"], each["bad"], each["word"]) for each in report["judgements"]}
    assert report["rows"] == len(raw)
    assert words["range distance"] == (len(raw), 240, "broken")
    assert words["set origin"] == (len(raw), 0, "proven")
    assert words["unique time_hour, carrier, flight, origin"] == (len(raw), 0, "proven")
    assert words["missing seats"] == (len(raw), int(raw["seats"].isna().sum()), "proven")
    assert words["freshness time_hour"] == (4, 0, "kept")
    assert words["volume"] == (4, 0, "kept")
    assert words["range departure"] == (len(raw) - 240, 0, "proven")
    assert "surely more than the accepted 0.1 %" in mlops(project, "quality", code=4)

    # The whole output comes back from DVC's cache, counts and quarantine included.
    shutil.rmtree(features)
    subprocess.run(
        [sys.executable, "-m", "dvc", "checkout", "-q", "data/features"],
        cwd=project,
        env=environment(),
        check=True,
        timeout=300,
    )
    assert contents(project / "data") == ruled

    code.write_text(unruled + RULES.replace("most=4000", "most=2500"))
    kill_in_featurize(project)
    assert not (features / "quarantine").exists() or contents(project / "data") == ruled
    assert run(project) == ["featurize"]
    found = json.loads((features / "quality.json").read_text())
    assert sum(month["quarantined"] for month in found["months"].values()) == (raw["distance"] > 2500).sum()
    assert not list((project / "data").glob(".*.tmp"))

    code.write_text(unruled)
    run(project)
    assert contents(project / "data") == plain


def kill_in_featurize(project: Path) -> None:
    """End a run and its stage with kill -9 once the first rows of the new quarantine are written."""
    started = subprocess.Popen(
        [MLOPS, "run", *STAGES],
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not list((project / "data").glob(".features.*.tmp/quarantine/*.parquet")):
            assert started.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(timeout=60)
