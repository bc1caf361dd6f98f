"""Files that cannot be compared are named, with what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift import Reference, drift
from runtime_lib.monitoring.drift.files import compare_files
from runtime_lib.monitoring.drift.sample import MOST_ROWS, draw
from runtime_lib.profiles.table import profile_table
from runtime_lib.tables import csv_blocks, read_table


def table(count=600, seed=1):
    random = np.random.default_rng(seed)
    return pd.DataFrame({"speed": random.normal(10, 2, count), "place": random.choice(["A", "B"], count)})


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (table(), table().assign(speed="fast"), "'speed' holds numbers in .*before.* and names in .*now"),
        (table().assign(place=1.5), table(), "'place' holds numbers in .*before.* and names in .*now"),
        (table(), table()[[]].assign(other=1), "no column in common: speed, place; other"),
        (table().head(0), table(), "before.* has no rows"),
        (table(), table().head(0), r"now.* has no rows"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, before, now, message, suffix):
    paths = []
    for name, content in (("before", before), ("now", now)):
        paths.append(tmp_path / f"{name}.{suffix}")
        content.to_csv(paths[-1], index=False) if suffix == "csv" else content.to_parquet(paths[-1])
    with pytest.raises(DataError, match=message):
        compare_files(*paths)


def test_a_column_of_lists_cannot_take_the_place_of_numbers(tmp_path):
    before, now = tmp_path / "before.parquet", tmp_path / "now.parquet"
    table().to_parquet(before)
    table().assign(speed=[[1.0]] * 600).to_parquet(now)
    with pytest.raises(DataError, match=r"'speed' holds numbers in .* and values of another type in .*now"):
        compare_files(before, now)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.parquet", None, "There is no file .*gone.parquet"),
        ("gone.csv", None, "There is no file .*gone.csv"),
        ("broken.parquet", b"PAR1 no", "broken.parquet cannot be read as parquet"),
        ("empty.parquet", b"", "empty.parquet cannot be read as parquet"),
        ("empty.csv", b"", "empty.csv cannot be read as csv"),
        ("only-names.csv", b"speed,place\n", "only-names.csv has no rows"),
        ("table.xlsx", b"x", "cannot read '.xlsx' files. Bring a .parquet or a .csv file"),
        ("latin.csv", "speed,Stra\xdfe\n1,\xfc\n".encode("latin-1"), "latin.csv cannot be read as csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    other = tmp_path / "other.parquet"
    table().to_parquet(other)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for paths in ((other, tmp_path / name), (tmp_path / name, other)):
        with pytest.raises(DataError, match=message):
            compare_files(*paths)


def mixed(count, seed):
    """Columns whose types change within the file, which is more than one block."""
    random = np.random.default_rng(seed)
    half = count // 2
    code = [*map(str, random.integers(0, 30, half)), *(f"k{n}" for n in random.integers(0, 30, count - half))]
    fraction = [*map(str, random.integers(0, 9, half)), *map(str, random.normal(4, 2, count - half).round(2))]
    columns = {
        "code": code,
        "fraction": fraction,
        "late": np.where(np.arange(count) < half, np.nan, random.normal(size=count)),
        "flag": [*random.choice(["True", "False"], half), *[None] * (count - half)],
        "flag_or_code": [*random.choice(["True", "False"], half), *random.choice(["7", "8"], count - half)],
        "speed": random.normal(10, 2, count),
        "none": [None] * count,
    }
    return pd.DataFrame(columns | {f"one{n}": 1 for n in range(50 - len(columns))})


@pytest.mark.filterwarnings("ignore::pandas.errors.DtypeWarning")  # of reading it whole
def test_a_csv_file_whose_types_change_is_compared_as_if_it_were_read_whole(tmp_path):
    paths = tmp_path / "before.csv", tmp_path / "now.csv"
    for seed, path in enumerate(paths):
        mixed(40_000, seed).to_csv(path, index=False)
    assert sum(1 for _ in csv_blocks(paths[0])) == 3
    found = compare_files(*paths)
    before, now = map(read_table, paths)
    whole = profile_table([before])
    kinds = {name: kind for name, kind in whole.kinds.items() if name != "none"}
    assert found.kinds == {**kinds, "none": "category"}
    assert [name for name, kind in kinds.items() if kind == "category"] == ["code", "flag", "flag_or_code"]
    judged = {each.name: each for each in drift(Reference(whole), [profile_table([now], like=whole)])}
    for column in found.columns:
        other = judged[column.name]
        assert (column.rows, column.nulls, column.unseen) == (other.rows, other.nulls, other.unseen)
        for one, two in zip(column.evidence, other.evidence, strict=True):
            # Bins of numbers are chosen by the first rows; names are counted as they are.
            off = one.bound + two.bound + 1e-3 if column.kind == "number" else 0
            assert one.value == pytest.approx(two.value, abs=off), (column.name, one.name)


def test_the_same_rows_are_drawn_of_csv_and_of_parquet(tmp_path):
    """Of three blocks, in the first of which codes and fractions are whole numbers."""
    kinds = {"code": "category", "fraction": "number", "late": "number", "speed": "number"}
    table = mixed(40_000, 1)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table[[*kinds]].astype({"fraction": float}).to_parquet(tmp_path / "rows.parquet")
    csv, parquet = (draw(path, path, kinds) for path in (tmp_path / "rows.csv", tmp_path / "rows.parquet"))
    assert csv.columns == parquet.columns == (*kinds,)
    assert len(csv.values) == 2 * MOST_ROWS
    np.testing.assert_array_equal(csv.values, parquet.values)


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    before, now = tmp_path / "before.parquet", tmp_path / "now.parquet"
    for path in (before, now):
        table(20_000).to_parquet(path)
    data = bytearray(now.read_bytes())
    data[4:60] = b"\xff" * 56  # the head of the first page
    now.write_bytes(data)
    with pytest.raises(DataError, match=r"now.parquet cannot be read as parquet"):
        compare_files(before, now)
