"""Parquet and CSV come in by one way: texts stay texts, and what cannot be read is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.tables import csv_blocks, read_table


def test_text_stays_as_it_is_written(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("id,carrier,hour,other\n007,NA,NA,1\n,,3,null\n")
    found = read_table(file, text=["id", "carrier", "not there"])
    assert found["id"].tolist()[0] == "007"
    assert found["carrier"].tolist()[0] == "NA"
    assert found.isna().to_numpy().tolist() == [[False, False, True, False], [True, True, False, True]]
    assert found["hour"].tolist()[1] == 3


def test_parquet_is_read_with_its_own_kinds(tmp_path):
    table = pd.DataFrame({"id": ["007"], "hour": [6.5]})
    table.to_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "rows.parquet", text=["hour"]), table)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("rows.xlsx", b"", r"rows.xlsx: cannot read '.xlsx' files. Bring a .parquet or a .csv file"),
        ("rows", b"", "cannot read a file without a suffix"),
        ("rows.csv", b"", r"rows.csv cannot be read as csv: .*\. Make it again"),
        ("rows.csv", b"\xff\xfe\x00", "rows.csv cannot be read as csv"),
        ("rows.parquet", b"PAR1", "rows.parquet cannot be read as parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=named):
        read_table(tmp_path / name, fix="Make it again.")


def test_a_missing_file_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*rows\.csv\. Make it again"):
        read_table(tmp_path / "rows.csv", fix="Make it again.")


ROWS, COLUMNS = 2_500, 1_000  # pandas tells types anew each 1,024 rows

# What a column holds in the first block, in the second, and in the last.
HOLDS = {
    "whole": ("7", "8", "9"),
    "then_fractions": ("7", "7", "7.5"),
    "then_names": ("7", "7", "x"),
    "fractions_then_names": ("7.0", "8", "x"),
    "names_then": ("x", "7", "8.50"),
    "gone": ("x", "", ""),
    "late": ("", "", "7"),
    "late_names": ("", "NA", "x"),
    "flags": ("True", "false", ""),
    "flags_then": ("True", "TRUE", "7"),
    "huge": ("7", str(2**63), "8"),
    "larger": ("7", str(2**70), "8"),
    "codes": ("007", "007", "a"),
    "nothing": ("", "null", "NaN"),
}


def wide(path, *, last=""):
    """A CSV file of three blocks, in which types change at the borders and within a block."""
    others = ",1" * (COLUMNS - len(HOLDS))
    lines = [",".join(HOLDS) + "".join(f",c{i}" for i in range(COLUMNS - len(HOLDS)))]
    for row in range(ROWS):
        lines.append(",".join(holds[row * 3 // ROWS] for holds in HOLDS.values()) + others)
    path.write_text("\n".join(lines) + f"\n{last}", encoding="latin-1")
    return path


def test_blocks_of_csv_hold_what_the_whole_holds(tmp_path, recwarn):
    blocks = [*csv_blocks(wide(tmp_path / "wide.csv"))]
    assert [len(block) for block in blocks] == [1_024, 1_024, 452]
    assert not recwarn.list
    with pytest.warns(pd.errors.DtypeWarning):
        whole = read_table(tmp_path / "wide.csv")
    for name in HOLDS:
        parts = [value for block in blocks for value in block[name].tolist()]
        if pd.api.types.is_numeric_dtype(whole[name]):
            np.testing.assert_array_equal(np.array(parts, dtype=whole[name].dtype), whole[name].to_numpy())
        else:
            assert [*map(repr, parts)] == [*map(repr, whole[name].tolist())], name


@pytest.mark.parametrize("last", ["1,2" + ",3" * COLUMNS, '"', "\xfc" + ",1" * (COLUMNS - 1)])
def test_a_file_that_is_damaged_far_behind_is_named_as_if_it_were_read_whole(tmp_path, last):
    path = wide(tmp_path / "wide.csv", last=last)
    with pytest.raises(DataError) as whole:
        read_table(path)
    with pytest.raises(DataError) as blocks:
        list(csv_blocks(path))
    assert str(blocks.value) == str(whole.value)


@pytest.mark.parametrize("name", ["rows.csv", "rows.xlsx"])
def test_blocks_of_what_is_no_file_or_of_another_kind_are_refused_alike(tmp_path, name):
    for read in (read_table, lambda path: list(csv_blocks(path))):
        with pytest.raises(DataError, match=r"There is no file|cannot read '.xlsx' files"):
            read(tmp_path / name)
