"""A scan says of a table what loading it would, whatever wrote it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime_lib.data.columns import columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.months import read_table
from runtime_lib.data.scan import scan
from runtime_lib.errors import DataError

ROWS = 150_000  # more than a piece
KINDS = {
    "whole": np.arange(ROWS),
    "gaps": np.where(np.arange(ROWS) == ROWS - 1, np.nan, 1.0),
    "small": np.ones(ROWS, dtype="float32"),
    "flag": np.arange(ROWS) % 2 == 0,
    "Int64": pd.array([None, *range(ROWS - 1)], dtype="Int64"),
    "text": pd.Series(["a", "b", "c"] * (ROWS // 3)),
    "text with gaps": pd.Series([None, "late", *["early"] * (ROWS - 2)]),
    "category": pd.Series(["x", None, "y"] * (ROWS // 3), dtype="category"),
    "nothing": pd.Series([None] * ROWS, dtype=object),
}
OWN = {"id": np.arange(ROWS).astype(str), "time": pd.Timestamp("2026-01-01"), "label": 0}


@pytest.fixture(params=[None, 1000], ids=["one row group", "many"])
def table(request, tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({**OWN, **KINDS}).to_parquet(path, index=False, row_group_size=request.param)
    return path


def test_a_scan_finds_what_loading_finds(table):
    loaded, found = read_table(table), scan(table)
    assert found.rows == len(loaded)
    assert found.columns == columns_of(loaded, without=KEYS)
    text = [column.name for column in found.columns if column.kind == "category"]
    assert found.levels == {name: loaded[name].nunique() for name in text}
    assert set(text) == {"text", "text with gaps", "category", "nothing"}


def test_a_nan_that_is_no_null_is_missing_as_well(tmp_path):
    values = pa.array([1.0, float("nan")], from_pandas=False)
    assert values.null_count == 0
    pq.write_table(pa.table({"x": values, "y": pa.array([1.0, 2.0])}), tmp_path / "t.parquet")
    assert [column.nullable for column in scan(tmp_path / "t.parquet").columns] == [True, False]


def test_a_type_that_no_model_takes_is_refused_by_name(tmp_path):
    pd.DataFrame({"when": pd.to_datetime(["2013-01-01"])}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="Column 'when' is of type datetime64"):
        scan(tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [None, b"", b"PAR1 torn"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "train.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"train.parquet cannot be read .* Make it again with `mlops run`"):
        scan(path)
