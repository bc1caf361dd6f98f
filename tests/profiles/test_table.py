"""Profiles of tables: any split and any library give the same, in memory that does not grow."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.errors import DataError
from runtime_lib.profiles.table import TableFold, kinds_in, profile_parquet, profile_table
from tests.support.depth import DEEP, examples
from tests.support.samples import sample

ROWS = 2_000


def table(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "normal": sample("normal", rows, seed),
            "missing": pa.array(sample("with missing", rows, seed), from_pandas=True),
            "infinite": sample("with infinities", rows, seed),
            "rain": sample("zero-inflated", rows, seed),
            "whole": pa.array(rng.integers(0, 50, rows)),
            "moment": pa.array(np.arange(rows), pa.timestamp("s", "UTC")),
            "truth": pa.array(rng.random(rows) < 0.3),
            "name": pa.array([None if each == 7 else f"name {each}" for each in rng.integers(0, 9, rows)]),
        }
    )


def assert_same(one, other):
    assert one.kinds == other.kinds
    for name, column in one.columns.items():
        theirs = other.columns[name]
        if one.kinds[name] == "category":
            assert column == theirs, name
            continue
        assert np.array_equal(column.counts, theirs.counts), name
        assert np.array_equal(column.strays, theirs.strays), name
        assert (column.nulls, column.infinite, column.rows) == (theirs.nulls, theirs.infinite, theirs.rows)
        assert column.mean == pytest.approx(theirs.mean, rel=1e-9, abs=1e-9)
        assert column.sd == pytest.approx(theirs.sd, rel=1e-9)


@settings(max_examples=examples(30, 500), deadline=None)
@given(st.lists(st.integers(0, ROWS), max_size=6), st.integers(0, 9))
def test_any_split_of_a_table_equals_one_pass(cuts, seed):
    like, live = profile_table([table()]), table(seed)
    once = profile_table([live], like=like)
    starts, ends = [0, *sorted(cuts)], [*sorted(cuts), ROWS]
    parts = [live.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]
    assert_same(profile_table(parts, like=like), once)
    merged = profile_table([parts[0]], like=like)
    for part in parts[1:]:
        merged = merged.merge(profile_table([part], like=like))
    assert_same(merged, once)


def test_any_library_and_a_file_give_the_same(tmp_path):
    live, like = table(1), profile_table([table()])
    once = profile_table([live], like=like)
    pq.write_table(live, tmp_path / "live.parquet", row_group_size=300)
    columns = {name: live[name].to_pylist() for name in live.column_names}
    views = live.set_column(live.column_names.index("name"), "name", live["name"].cast(pa.string_view()))
    for batches in (
        [live.to_pandas()],
        [columns],
        live.to_batches(700),
        [views],
        [live.to_pandas().iloc[::-1]],
    ):
        assert_same(profile_table(batches, like=like), once)
    assert_same(profile_parquet(tmp_path / "live.parquet", like=like), once)


def test_polars_gives_the_same():
    pl = pytest.importorskip("polars")
    like = profile_table([table()])
    assert_same(profile_table([pl.from_arrow(table(1))], like=like), profile_table([table(1)], like=like))


def test_what_is_neither_number_nor_name_is_skipped_and_said():
    profile = profile_table([pa.table({"x": [1.0], "tags": [["a"]], "nothing": pa.nulls(1)})])
    assert list(profile.columns) == ["x"]
    assert profile.skipped == {"tags": "list<item: string>", "nothing": "null"}


def test_a_column_without_a_value_is_one_of_the_kind_that_is_expected(tmp_path):
    like = profile_table([pa.table({"x": [1.0, 2.0], "y": ["a", "b"]})])
    nothing = pa.table({"x": pa.nulls(3), "y": pa.nulls(3)})
    pq.write_table(nothing, tmp_path / "nothing.parquet")
    for found in (
        profile_table([nothing], like=like),
        profile_parquet(tmp_path / "nothing.parquet", like=like),
    ):
        assert [column.nulls for column in found.columns.values()] == [3, 3]
        assert found.rows == 3


def test_a_missing_column_is_named(tmp_path):
    like = profile_table([table()])
    live = table(1).drop_columns(["rain"])
    with pytest.raises(
        DataError, match=r"The rows lack the column 'rain'; they have normal, missing, infinite"
    ):
        profile_table([live], like=like)
    pq.write_table(live, tmp_path / "live.parquet")
    with pytest.raises(DataError, match=r"live\.parquet lacks the column 'rain'; it has normal, missing"):
        profile_parquet(tmp_path / "live.parquet", like=like)
    fold = TableFold()
    fold.add(table())
    with pytest.raises(DataError, match="lack the column 'rain'"):
        fold.add(live)


def test_a_column_of_another_kind_is_named(tmp_path):
    like = profile_table([pa.table({"height": [1.0, 2.0]})])
    live = pa.table({"height": ["tall", "small"]})
    pq.write_table(live, tmp_path / "live.parquet")
    for fold in (
        lambda: profile_table([live], like=like),
        lambda: profile_table([live.to_pandas()], like=like),
        lambda: profile_parquet(tmp_path / "live.parquet", like=like),
    ):
        with pytest.raises(
            DataError, match=r"Column 'height' is to hold numbers but holds others: .*(tall|small)"
        ):
            fold()


def test_profiles_of_other_columns_are_not_merged():
    one, other = profile_table([pa.table({"x": [1.0]})]), profile_table([pa.table({"x": ["a"], "y": [1]})])
    with pytest.raises(DataError, match="different columns: x; x, y"):
        one.merge(other)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        profile_parquet(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("id,x\n1,2\n" * 9)
    with pytest.raises(DataError, match=r"text\.parquet cannot be read as parquet"):
        kinds_in(tmp_path / "text.parquet")
    pq.write_table(table().slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(DataError, match=r"empty\.parquet has no rows"):
        profile_parquet(tmp_path / "empty.parquet")
    pq.write_table(table(), tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:4] + b"\xff" * 2_000 + whole[2_004:])
    with pytest.raises(DataError, match=r"cut\.parquet cannot be read as parquet"):
        profile_parquet(tmp_path / "cut.parquet")


MEMORY = """
import sys
from pathlib import Path
from runtime_lib.profiles.table import profile_parquet
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)
import pyarrow.parquet, pyarrow.compute
profile_parquet(Path(sys.argv[1]))
before = peak()
profile = profile_parquet(Path(sys.argv[2]))
assert "pandas" not in sys.modules
print(profile.rows, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Ids without an end, among them: a row in each batch has names that no other has."""
    rows = examples(2_000_000, 10_000_000)
    for name, many in (("small", 200_000), ("large", rows)):
        with pq.ParquetWriter(tmp_path / name, pa.schema({"id": pa.string(), "x": pa.float64()})) as writer:
            for start in range(0, many, 200_000):
                ids = pa.array(np.arange(start, start + 200_000)).cast(pa.string())
                writer.write_table(
                    pa.table({"id": ids, "x": np.random.default_rng(start).normal(size=200_000)})
                )
    code = [sys.executable, "-c", MEMORY, tmp_path / "small", tmp_path / "large"]
    found, kilobytes = map(
        int, subprocess.run(code, capture_output=True, text=True, check=True).stdout.split()
    )
    assert found == rows
    assert kilobytes < 150_000


def test_importing_is_light():
    code = "import sys, {}; print(sorted({{'pandas', 'scipy', 'pyarrow', 'sklearn'}} & sys.modules.keys()))"
    for module in ("runtime_lib.profiles.table", "runtime_lib.monitoring.drift"):
        found = subprocess.run(
            [sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == "[]", module


@pytest.mark.skipif(not DEEP, reason="a busy machine is slower")
def test_importing_takes_no_time():
    code = [sys.executable, "-c", "import runtime_lib.profiles.table, runtime_lib.monitoring.drift"]
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(code, check=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.6  # 0.3 on a machine that does nothing else


def test_rows_of_a_pandas_table_without_columns_of_the_profile_are_not_looked_at():
    like = profile_table([pa.table({"x": [1.0]})])
    assert list(profile_table([pd.DataFrame({"x": [2.0], "other": [object()]})], like=like).columns) == ["x"]
