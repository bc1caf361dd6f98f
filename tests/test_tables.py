"""Parquet and CSV come in by one way: texts stay texts, and what cannot be read is named."""

from __future__ import annotations

import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.tables import read_table


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
