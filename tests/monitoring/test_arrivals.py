"""The files of the labels: adding one leaves the others, many small ones become few, no label changes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from runtime_lib.errors import ServiceError
from runtime_lib.locks import one_at_a_time, reading
from runtime_lib.monitoring.arrivals import arrivals, merge_arrivals, write_arrival
from runtime_lib.monitoring.labels import read_labels
from runtime_lib.serving.log.ids import BUCKETS
from runtime_lib.task.kinds import BINARY
from tests.serving.test_log_disk import full_at
from tests.support.depth import examples
from tests.support.killed import killed_at_each_step


def add(folder: Path, labels: dict[str, object], kind: str = "int8") -> None:
    ids = pd.Series(list(labels), dtype="str")
    write_arrival(folder, pd.DataFrame({"id": ids, "label": pd.Series(list(labels.values()), dtype=kind)}))


def kept(folder: Path) -> list[tuple[object, ...]]:
    return sorted(read_labels(folder, BINARY).itertuples(index=False, name=None))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


ARRIVED = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1), min_size=1, max_size=6)


@given(st.lists(st.tuples(ARRIVED, st.booleans()), min_size=1, max_size=12), st.integers(1, 6))
@checked(max_examples=examples(10, 300), deadline=None)
def test_merging_changes_no_label(arrived: list[tuple[dict[str, int], bool]], large: int) -> None:
    """Small and large files in any order, text among numbers, merged after each as far as they are many."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime_lib.monitoring.arrivals._SMALL_ONES", 3)
        patch.setattr("runtime_lib.monitoring.arrivals._GROUP", large)
        folder, last = Path(name) / "labels", dict[str, int]()
        for labels, text in arrived:
            if text:
                add(folder, dict.fromkeys(labels, "late"), "str")
            else:
                add(folder, labels)  # type: ignore[arg-type]
                last |= labels
            before = kept(folder)
            merge_arrivals(folder)
            assert kept(folder) == before
            assert {row[0]: row[1] for row in before} == last


def test_a_year_of_daily_labels_is_a_few_files_that_earlier_releases_read(tmp_path: Path) -> None:
    for day in range(100):
        add(tmp_path, {f"{day}": day % 2, "every": day % 2})
        merge_arrivals(tmp_path)
    assert len(files(tmp_path)) < 32
    labels = dict(row[:2] for row in kept(tmp_path))
    assert labels == {**{f"{day}": day % 2 for day in range(100)}, "every": 1}
    tables = [pq.read_table(path) for path in files(tmp_path)]
    assert {table.schema.metadata[b"mlops.format"] for table in tables} == {b"2"}
    assert {str(table.schema.field("label").type) for table in tables} == {"int8"}
    times = [time for table in tables for time in table["time"].to_pylist()]
    assert times == sorted(times)


def test_adding_labels_leaves_the_other_files_as_they_are(tmp_path: Path) -> None:
    add(tmp_path, {"a": 1})
    [first] = files(tmp_path)
    before = first.stat()
    add(tmp_path, {"a": 0, "b": 1})
    assert first.stat() == before
    assert len(files(tmp_path)) == 2


def test_a_large_file_is_read_by_the_row_groups_of_the_wanted_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime_lib.monitoring.arrivals._GROUP", 100)
    add(tmp_path, {str(number): number % 2 for number in range(3_000)})
    read: list[list[int]] = []
    real = pq.ParquetFile.read_row_groups

    def counting(self: pq.ParquetFile, groups: list[int], **options: object) -> object:
        read.append(groups)
        return real(self, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counting)
    with arrivals(tmp_path) as found:
        [file] = found
        parts = [file.table(range(at, at + 64)) for at in range(0, BUCKETS, 64)]
    assert read == [[*range(at, at + 8)] for at in range(0, 32, 8)]
    assert sorted(int(name) for part in parts for name in part["id"].to_pylist()) == [*range(3_000)]


def test_nothing_is_merged_while_someone_reads_or_merges(tmp_path: Path) -> None:
    for number in range(20):
        add(tmp_path, {f"{number}": 1})
    with reading(tmp_path):
        assert merge_arrivals(tmp_path) == 0
    with one_at_a_time(tmp_path):
        assert merge_arrivals(tmp_path) == 0
    assert len(files(tmp_path)) == 20
    assert merge_arrivals(tmp_path) == 19
    assert merge_arrivals(tmp_path / "none") == 0


def test_a_full_disk_leaves_the_labels_as_they_are(tmp_path: Path) -> None:
    for number in range(16):
        add(tmp_path, {f"{number}-{row}": 1 for row in range(500)})
    before, names = kept(tmp_path), files(tmp_path)
    largest = max(path.stat().st_size for path in names)
    with full_at(largest), pytest.raises(ServiceError, match=r"cannot be brought together \(.*too large\)"):
        merge_arrivals(tmp_path)
    assert (kept(tmp_path), files(tmp_path)) == (before, names)
    assert merge_arrivals(tmp_path) == 15
    assert kept(tmp_path) == before


def test_a_kill_before_any_step_of_a_merge_changes_no_label(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    for number in range(18):
        add(labels, {"every": number % 2, f"{number}": 1})
    expected = kept(labels)
    copies = killed_at_each_step(labels, "from runtime_lib.monitoring.arrivals import merge_arrivals as work")
    counts = set()
    for copy in copies:
        counts.add(len(files(copy)))
        assert kept(copy) == expected, copy.name
        merge_arrivals(copy)
        assert kept(copy) == expected, copy.name
        assert len(files(copy)) < 16
    assert {18, 19, 1} <= counts  # before, with both, after
    assert len(copies) > 18


def test_labels_of_the_first_format_are_merged(tmp_path: Path) -> None:
    """As releases until 0.6 wrote them: no number in the file, whole numbers of 64 bits."""
    time = pa.timestamp("us", tz="UTC")
    for number in range(16):
        columns = {"id": [f"{number}", "every"], "label": [1, number % 2]}
        table = pa.table({**columns, "time": pa.array([number, number], time)})
        pq.write_table(table, tmp_path / f"20250101T0000{number:02}.000000Z-abcdef01.parquet")
    before = kept(tmp_path)
    assert merge_arrivals(tmp_path) == 15
    assert kept(tmp_path) == before
    assert dict(row[:2] for row in before)["every"] == 1
