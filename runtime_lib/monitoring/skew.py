"""Have served rows got other features than in training? Compares the log with `data/features`, by id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.data.images import summaries
from runtime_lib.data.months import read_table
from runtime_lib.data.skew import ColumnSkew, compare
from runtime_lib.monitoring.daily import Day, Source
from runtime_lib.serving.log import scan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Skew", "compare_served", "find_skew"]

_MOST = 100_000


@dataclass(frozen=True)
class Skew:
    """How many served rows are known with their features too, and the inputs that differ in some of them."""

    rows: int
    columns: tuple[ColumnSkew, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": [column.to_dict() for column in self.columns]}


def find_skew(source: Source, days: Sequence[Day], inputs: Mapping[str, Mapping[str, Any]]) -> Skew:
    """Compare each input of served rows whose ids are also among the months' features, the newest ones.

    Args:
        inputs: what the profile says of the model's inputs by name: it tells images, which are compared by
            size and sha256.

    Raises:
        DataError: a month's file cannot be read.
    """
    folder = source.settings.features
    ids = _ids(folder)
    served = _served(source, days, list(inputs), ids) if ids else None
    return compare_served(served, inputs, folder) if served is not None else Skew(0)


def compare_served(
    served: pd.DataFrame, inputs: Collection[str] | Mapping[str, Mapping[str, Any]], folder: Path
) -> Skew:
    """Compare served rows with the months' features.

    Args:
        served: a row for each `id`, with the inputs as they were logged.
        inputs: as for `find_skew`, or the names alone.
        folder: of the months' features; may not exist here.
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


def _ids(folder: Path) -> Any:
    """The ids of all months as one Arrow array; None where there are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [
        pq.read_table(path, columns=["id"])["id"].cast(pa.string())
        for path in sorted(folder.glob("*.parquet"))
    ]
    return pa.concat_arrays([chunk for each in found for chunk in each.chunks]) if found else None


def _served(source: Source, days: Sequence[Day], inputs: Sequence[str], ids: Any) -> pd.DataFrame | None:
    """The newest rows with these ids, some hundred thousand at most: the inputs of others are not read."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[Any] = []
    for day in reversed(days):
        read = partial(
            scan,
            source.settings.predictions,
            since=day.first,
            until=day.last + timedelta(microseconds=1),
            version=source.version,
            on_damage=lambda damage: None,
        )
        if not any(pc.any(pc.is_in(_of(batch, "id"), ids)).as_py() for batch in read(columns=["id"])):
            continue
        for batch in read(columns=["id", "time", *inputs]):
            rows = pa.Table.from_batches([batch]).filter(pc.is_in(_of(batch, "id"), ids))
            found += [rows] if len(rows) else []
        if sum(map(len, found)) >= _MOST:
            break
    if not found:
        return None
    table = pd.concat([each.to_pandas() for each in found], ignore_index=True)
    return table.sort_values("time", kind="stable").drop_duplicates("id", keep="last", ignore_index=True)


def _of(batch: Any, name: str) -> Any:
    return batch.column(batch.schema.names.index(name))


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
