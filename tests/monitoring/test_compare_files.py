"""Files that cannot be compared are named, with what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift.files import compare_files


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


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    before, now = tmp_path / "before.parquet", tmp_path / "now.parquet"
    for path in (before, now):
        table(20_000).to_parquet(path)
    data = bytearray(now.read_bytes())
    data[4:60] = b"\xff" * 56  # the head of the first page
    now.write_bytes(data)
    with pytest.raises(DataError, match=r"now.parquet cannot be read as parquet"):
        compare_files(before, now)
