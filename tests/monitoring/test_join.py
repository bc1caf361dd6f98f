"""Predictions next to their labels: as the whole log merged with all labels would be, in constant memory."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from runtime_lib.errors import ServiceError
from runtime_lib.monitoring.arrivals import write_arrival
from runtime_lib.monitoring.join import LABEL, LABEL_TIME, Tally, labelled
from runtime_lib.monitoring.labels import read_labels
from runtime_lib.monitoring.lookup import Lookup
from runtime_lib.serving.log import Damage, compact, read_predictions
from runtime_lib.settings import Settings, load
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.task import Task
from tests.serving.test_log_disk import full_at
from tests.support.depth import examples
from tests.support.logged import DAY, LATER, Answered, answers, write
from tests.support.old_log import old_segment
from tests.support.releases import REPOSITORY

ROWS = examples(400_000, 1_000_000)
MOST = 48  # MiB that four times the rows and the labels may take more


def project(folder: Path) -> Settings:
    (folder / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    return load(folder, environ={})


def add(settings: Settings, labels: dict[str, Any], kind: str = "int8") -> None:
    series = pd.Series(list(labels.values()), dtype=kind)
    ids = pd.Series(list(labels), dtype="str")
    write_arrival(settings.labels, pd.DataFrame({"id": ids, "label": series}))


def rows(found: Iterator[Any]) -> list[dict[str, Any]]:
    return [row for batch in found for row in batch.to_pylist()]


def merged(settings: Settings, task: Task, version: str | None) -> dict[str, tuple[float, Any]]:
    """What it must give: by id the value of the prediction, which tells it apart, and the label."""
    table = read_predictions(settings.predictions, version=version).drop_duplicates("id", keep="last")
    if table.empty:
        return {}
    table = table.merge(read_labels(settings.labels, task)[["id", "label"]], on="id")
    return {row.id: (row.hour, row.label) for row in table.itertuples()}


IDS = ["a", "b", "c", "d", "order-17", "é", "", "x" * 50]
ANSWERED = answers(IDS, "primary", "primary", "shadow")


@given(
    st.lists(ANSWERED, max_size=20, unique_by=lambda a: a.minutes),
    st.lists(st.dictionaries(st.sampled_from(IDS), st.integers(0, 1), max_size=5), max_size=4),
    st.sampled_from(["1", "2", None]),
    st.integers(0, 20),
    st.booleans(),
)
@checked(max_examples=examples(20, 500), deadline=None)
def test_it_is_the_log_merged_with_the_labels(
    history: list[Answered], arrived: list[dict[str, int]], version: str | None, cut: int, ranges: bool
) -> None:
    """Some days compacted and others not; labels before and after; all at once and by ranges of buckets."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if ranges:
            patch.setattr("runtime_lib.monitoring.join._MOST", 0.01)
            patch.setattr("runtime_lib.monitoring.arrivals._GROUP", 1)
        settings = project(Path(name))
        write(settings.predictions, history[:cut])
        compact(settings.predictions, now=LATER)
        write(settings.predictions, history[cut:])
        for labels in arrived:
            add(settings, labels)
        tally = Tally()
        found = rows(labelled(settings, BINARY, version=version, columns=["hour"], tally=tally))
        expected = merged(settings, BINARY, version)
        assert len(found) == len(expected)
        assert {row["id"]: (row["hour"], row[LABEL]) for row in found} == expected
        assert tally == Tally(len({each for one in arrived for each in one}), len(expected))
        assert all(row["mlops.answer.probability"] == row["hour"] / 1000 for row in found)
        everything = rows(labelled(settings, BINARY, version=version, columns=["hour"], unlabelled=True))
        assert [row for row in everything if row[LABEL] is not None] == found
        without = {row["id"] for row in everything if row[LABEL] is None}
        known = read_predictions(settings.predictions, version=version)
        assert without == (set(known["id"]) - set(expected) if len(known) else set())


def test_the_newest_day_comes_first_with_what_was_asked_for(tmp_path: Path) -> None:
    settings = project(tmp_path)
    day = 24 * 60
    write(settings.predictions, [Answered(0, day * n, [f"{n}", f"{n}-no"], text=n == 1) for n in range(3)])
    add(settings, {"0": 1, "1": 0, "2": 1, "other": 1})
    asked = {"version": "1", "columns": ["carrier", "version", "unknown"]}
    batches = list(labelled(settings, BINARY, **asked))
    assert [batch["id"].to_pylist() for batch in batches] == [["2"], ["1"], ["0"]]
    names = ["id", "time", "version", "mlops.answer.probability", LABEL, LABEL_TIME]
    assert [batch.schema.names for batch in batches] == [names, [*names[:3], "carrier", *names[3:]], names]
    assert batches[0].schema.field(LABEL).type == pa.int8()
    assert batches[0]["time"].to_pylist() == [DAY + timedelta(days=2)]
    [time] = read_labels(settings.labels, BINARY)["time"].unique()
    assert batches[0][LABEL_TIME].to_pylist() == [time]
    since, until = DAY + timedelta(days=1), DAY + timedelta(days=2)
    assert [row["id"] for row in rows(labelled(settings, BINARY, since=since, until=until))] == ["1"]


def test_labels_of_another_task_are_left_out_and_texts_are_texts(tmp_path: Path) -> None:
    settings, task = project(tmp_path), Multiclass(classes=("no", "yes"))
    write(settings.predictions, [Answered(0, 0, ["a", "b", "c"])])
    add(settings, {"a": 1, "b": 0})
    add(settings, {"a": "yes", "c": "no"}, "str")
    assert {row["id"]: row[LABEL] for row in rows(labelled(settings, task))} == {"a": "yes", "c": "no"}
    assert {row["id"]: row[LABEL] for row in rows(labelled(settings, BINARY))} == {"a": 1, "b": 0}


@pytest.mark.parametrize("number", [1, 2])
def test_predictions_of_earlier_releases_are_joined(tmp_path: Path, number: int) -> None:
    settings = project(tmp_path)
    path = settings.predictions / "2026-05-04" / "1-0.arrows"
    old_segment(path, [["a", "b"], ["c"]], number=number, time=DAY)
    add(settings, {"a": 1, "c": 0})
    for _ in range(2):
        found = rows(labelled(settings, BINARY, version="1"))
        assert {row["id"]: (row["mlops.answer.probability"], row[LABEL]) for row in found} == {
            "a": (0, 1),
            "c": (0.002, 0),
        }
        compact(settings.predictions, now=LATER)


def test_ids_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever chooses ids can make such; a label must not go to another's row."""
    monkeypatch.setattr("runtime_lib.monitoring.lookup.hashes", lambda ids: np.full(len(ids), 7, np.uint64))
    labels, times = pa.array([0, 1, 1], pa.int8()), pa.array([0, 0, 0], pa.timestamp("us", tz="UTC"))
    lookup = Lookup(pa.array(["a", "b", "c"]), labels, times)
    found, places = lookup.find(pa.array(["x", "c", "a", "y", "b"]))
    assert found.tolist() == [1, 2, 4]
    assert places.tolist() == [2, 0, 1]
    alone = Lookup(pa.array(["a"]), labels[:1], times[:1])
    assert alone.find(pa.array(["x", "a"]))[0].tolist() == [1]


def test_damage_is_told_once_however_often_a_day_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime_lib.monitoring.join._MOST", 0.1)
    settings = project(tmp_path)
    write(settings.predictions, [Answered(0, 0, ["a"])])
    [path] = settings.predictions.glob("*/*.arrows")
    path.write_bytes(path.read_bytes() + b"half")
    add(settings, {"a": 1, "b": 1})
    for _ in range(2):
        found: list[Damage] = []
        assert len(rows(labelled(settings, BINARY, on_damage=found.append))) == 1
        assert [each.reason for each in found] == ["no batch begins where one should"]
        compact(settings.predictions, now=LATER)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    settings = project(tmp_path)
    write(settings.predictions, [Answered(0, 0, [f"{row}" for row in range(3_000)])])
    add(settings, {"1": 1})
    with full_at(10_000), pytest.raises(ServiceError, match=r"put aside .*\(File too large\)\. Free space"):
        rows(labelled(settings, BINARY))
    assert len(rows(labelled(settings, BINARY))) == 1


def test_nothing_logged_or_labelled_yet(tmp_path: Path) -> None:
    settings = project(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows(labelled(settings, BINARY)) == []
        add(settings, {"a": 1})
        assert rows(labelled(settings, BINARY, unlabelled=True)) == []


_JOIN = """
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
import runtime_lib.monitoring.join as join
from runtime_lib.settings import load
from runtime_lib.task.kinds import BINARY
join._MOST = 2**16
rows = sum(len(batch) for batch in join.labelled(load(Path(sys.argv[1]), environ={}), BINARY, version="1"))
print(rows, getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10))
"""


@pytest.mark.parametrize("compacted", [True, False])
def test_memory_grows_neither_with_the_rows_nor_with_the_labels(tmp_path: Path, compacted: bool) -> None:
    """Nine of ten rows have a label, so what is held must not be the labels either."""
    peaks = []
    for times in (1, 4):
        folder = tmp_path / str(times)
        folder.mkdir()
        settings, count = project(folder), ROWS * times
        ids = [f"order-{row:027}" for row in range(count)]
        history = [Answered(0, at // 1_000, ids[at : at + 1_000]) for at in range(0, count, 1_000)]
        write(settings.predictions, history)
        if compacted:
            compact(settings.predictions, now=LATER)
        for at in range(0, count, 200_000):
            add(settings, dict.fromkeys(ids[at : at + 180_000], 1))
        shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]
        command = [*shell, sys.executable, "-c", _JOIN, folder]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        found, peak = map(int, done.stdout.split())
        assert found == count * 9 // 10
        peaks.append(peak)
    assert peaks[1] - peaks[0] < MOST, peaks
