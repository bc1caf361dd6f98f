"""Have served rows got other features than in training? Compares the log with `data/features`, by id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.data.images import summaries
from runtime_lib.data.months import read_table
from runtime_lib.data.skew import ColumnSkew, compare

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Skew", "find_skew"]


@dataclass(frozen=True)
class Skew:
    """How many served rows are known with their features too, and the inputs that differ in some of them."""

    rows: int
    columns: tuple[ColumnSkew, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": [column.to_dict() for column in self.columns]}


def find_skew(
    served: pd.DataFrame, inputs: Collection[str] | Mapping[str, Mapping[str, Any]], folder: Path
) -> Skew:
    """Compare each input of the served rows whose ids are also among the months' features.

    Args:
        served: a row for each `id`, with the inputs as they were logged.
        inputs: the names of the model's inputs, or what the profile says of each by name: it tells images,
            which are compared by size and sha256.
        folder: of the months' features; may not exist here.

    Raises:
        DataError: a month's file cannot be read.
    """
    import pandas as pd

    ids = set(served["id"])
    months = [found for path in sorted(folder.glob("*.parquet")) if (found := _rows(path, ids)) is not None]
    if not months:
        return Skew(0)
    trained = pd.concat(months, ignore_index=True).drop_duplicates("id", keep="last", ignore_index=True)
    same = served.set_index("id").loc[trained["id"]].reset_index()
    for name, about in inputs.items() if isinstance(inputs, Mapping) else ():
        if about.get("of", about)["kind"] == "image" and name in trained.columns:
            trained = trained.assign(**{name: _summaries(trained[name], Column.from_dict(about["of"]))})
    return Skew(len(trained), tuple(compare(same, trained, list(inputs))))


def _summaries(images: Any, column: Column) -> list[str | None]:
    checked = check_rows({column.name: images.to_numpy()}, [replace(column, nullable=True)])
    return summaries(checked[column.name])


def _rows(path: Path, ids: set[str]) -> pd.DataFrame | None:
    """The month's rows with these ids, if there are any: of the others only the ids are read."""
    import pyarrow.parquet as pq

    known = pq.read_table(path, columns=["id"]).to_pandas()["id"].astype(str).isin(ids)
    if not known.any():
        return None
    table = read_table(path)
    return table[known.to_numpy()].assign(id=table["id"].astype(str))
