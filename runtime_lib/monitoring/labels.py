"""Labels: what happened after a prediction. They come late, in files, and are joined by id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib.data.functions import find_features, load_month
from runtime_lib.errors import DataError
from runtime_lib.monitoring.arrivals import arrivals, write_arrival
from runtime_lib.settings import Settings
from runtime_lib.tables import read_table
from runtime_lib.task.kinds import read_task
from runtime_lib.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

    from runtime_lib.data.raw import RawTypes

__all__ = ["add_labels", "add_month", "read_labels"]

_FORMAT = 2
_KEY = b"mlops.format"


def add_labels(settings: Settings, file: Path) -> int:
    """Keep the labels of a `.parquet` or `.csv` file with the columns `id` and `label`; others are ignored.

    An id may come again, in this file or a later one: the last label counts.

    Returns:
        The number of ids labelled by this file.

    Raises:
        DataError: the file cannot be read, lacks a column, misses an id, or holds what is no label of the
            project's task.
    """
    task = read_task(settings)
    table = read_table(file, text=["id", *(["label"] if task.stored == "str" else [])])
    return _add(settings, _check(table, file, task).drop_duplicates("id", keep="last"))


def add_month(settings: Settings, month: str, types: RawTypes | None = None) -> int:
    """Keep the labels that a month has by now: those that the project's `load` and `label` give.

    Args:
        month: as `YYYY-MM`; read from its source, not from `data/raw`.
        types: of the raw columns, for ids that are made as they were in training.

    Returns:
        The number of labels; 0 while all outcomes are open.

    Raises:
        DataError: the project's functions are not found, or return what cannot be used.
    """
    raw = load_month(settings.project.package, month)
    known = find_features(settings).known(types.cast(raw) if types else raw, month)
    return _add(settings, known[["id", "label"]].astype({"id": "str"})) if len(known) else 0


def _add(settings: Settings, labels: pd.DataFrame) -> int:
    write_arrival(settings.labels, labels)
    return len(labels)


def read_labels(folder: Path, task: Task) -> pd.DataFrame:
    """Return all labels in `folder`, one row per id: `id` (text), `label`, `time` it came (UTC).

    `join.labelled` has them next to the predictions, in memory that does not grow with their number.

    Args:
        task: whose labels they are; those of another, as the project had before, are left out.

    Raises:
        DataError: a file was written by a later version of this library.
    """
    import pandas as pd

    with arrivals(folder) as files:
        parts = [file.table().to_pandas() for file in files]
    parts = [part[~task.wrong_labels(part["label"])].astype({"label": task.stored}) for part in parts]
    if not parts:
        kinds = {"id": "str", "label": task.stored, "time": "datetime64[us, UTC]"}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
    return pd.concat(parts, ignore_index=True).drop_duplicates("id", keep="last", ignore_index=True)


def _check(table: pd.DataFrame, file: Path, task: Task) -> pd.DataFrame:
    import pandas as pd

    if missing := [name for name in ("id", "label") if name not in table]:
        found = ", ".join(map(str, table))
        raise DataError(f"{file} has no column '{missing[0]}', only {found}. Labels need 'id' and 'label'.")
    if table.empty:
        raise DataError(f"{file} has no rows.")
    if (missing_id := table["id"].isna()).any():
        row = int(missing_id.argmax())
        raise DataError(f"{file}, row {row}: the id is missing, so the label belongs to no prediction.")
    label = table["label"] if task.stored == "str" else pd.to_numeric(table["label"], errors="coerce")
    if (bad := task.wrong_labels(label)).any():
        row = int(bad.argmax())
        raise DataError(
            f"{file}, row {row}: the label is {table['label'].iloc[row]}; it must be {task.labels}. "
            "Leave out rows whose label is not known yet."
        )
    return pd.DataFrame({"id": table["id"].astype(str), "label": label.astype(task.stored)})
