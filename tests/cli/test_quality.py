"""`mlops quality` in a project: the table, the figures for machines, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.shop import FEATURES, make_months, make_shop

RULES = """
def quality_rules():
    from runtime_lib.data.quality import AllowedValues, NotMissing, Range, Volume
    return [
        AllowedValues("country", ["DE", "FR"]),
        Range("price", least=0, most=1e6, max_bad=0.01),
        NotMissing("past", max_bad=0.2, action="warn"),
        Volume(least=200),
    ]
"""


def quality(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    start = "import sys; sys.argv[0] = 'mlops'; from runtime_lib.cli import main; main()"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "src"]), "COLUMNS": "200"}
    command = [sys.executable, "-c", start, "quality", *options]
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    settings = make_shop(tmp_path_factory.mktemp("quality") / "shop", features=FEATURES + RULES)
    make_months(settings)
    return settings.root


def test_the_table_has_each_rule_with_its_rate_and_word(shop):
    done = quality(shop)
    assert done.returncode == 4, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "2025-01 to 2025-04: 1,200 rows, 389 of them set aside"
    by_rule = {" ".join(line.split()[:2]): " ".join(line.split()) for line in lines[2:]}
    interval = "32.4 % (30.2 % to 34.7 %)"
    assert by_rule["set country"].startswith(
        f"set country country 1,200 389 {interval} 0.1 % broken 2025-01 "
    )
    assert ": AT" in lines[2]
    assert " 1,200 0 0 % (0 % to 0.249 %) 1 % proven" in by_rule["range price"]
    assert by_rule["volume 4"] == "volume 4 months 0 kept"
    assert "volume 1 month 0 kept" in " ".join(quality(shop, "--month", "2025-02").stdout.split())
    assert lines[-1].startswith("set country: 389 of 1,200 rows are bad, 32.4 %, surely more than")
    assert (shop / "reports" / "quality.json").is_file()


def test_machines_get_json_and_an_orchestrator_zero(shop):
    done = quality(shop, "--json", "--exit-zero", "--month", "2025-02")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["format"], report["of"], report["parts"]) == (1, "months", ["2025-02"])
    first = report["judgements"][0]
    raw = pd.read_parquet(shop / "data" / "raw" / "2025-02.parquet")
    assert (first["rows"], first["bad"]) == (300, int((raw["country"] == "AT").sum()))
    assert first["rate"]["lower"] < first["rate"]["share"] < first["rate"]["upper"]


def test_a_wrong_month_is_wrong_use(shop):
    done = quality(shop, "--month", "2031-01")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mlops: --month 2031-01: no quality was counted of it. Known: 2025-01, 2025-02, 2025-03, 2025-04.\n"
    )


def test_a_project_without_rules_is_told_how_to_get_some(tmp_path):
    settings = make_shop(tmp_path / "shop")
    make_months(settings)
    done = quality(settings.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No quality rules: declare them in quality_rules() of features.py.\n"
    assert not settings.reports.exists()
