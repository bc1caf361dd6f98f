"""The reading end of the prediction log: whole as a table, or in constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.locks import reading
from runtime_lib.serving.log.days import days, rows_of
from runtime_lib.serving.log.frames import Damage, OnDamage
from runtime_lib.serving.log.shape import ANSWER, OWN, ROLE, Role
from runtime_lib.serving.log.wanted import wanted

if TYPE_CHECKING:
    import pandas as pd

    from runtime_lib.data.columns import Array

__all__ = ["answers", "read_predictions", "scan"]

_ROWS = 65_536


def _warn(damage: Damage) -> None:
    warnings.warn(f"The prediction log is damaged: {damage}", stacklevel=2)


def scan(
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    version: str | None = None,
    role: Role | None = "primary",
    columns: Collection[str] | None = None,
    on_damage: OnDamage = _warn,
) -> Iterator[Any]:
    """Read the log in constant memory, day by day.

    Of a day that is compacted an id comes once for each version and role that answered it, with the last
    answer of that day; of other days every answer comes, in the order in which each process gave them.

    Args:
        folder: as given to `PredictionLog`; may not exist yet.
        since: only rows answered at or after this time (with a time zone).
        until: only rows answered before this time (with a time zone). Within a compacted day an answer that
            a later one replaced is gone, also where only the earlier one came before this time.
        version: only the answers of this version; default: of every one.
        role: only what was answered to clients, or only what shadows answered; None: both.
        columns: read only these, which takes a fraction of the time; what a version lacks is left out of its
            batches. Default: all.
        on_damage: is told of every part that could not be read; default: a warning.

    Yields:
        Arrow record batches of at most 65,536 rows, each of one version, with the columns `id`, `time`
        (UTC), `model`, `version`, one per input, `mlops.answer.<output>` for each output, `mlops.role`.

    Raises:
        DataError: a part was written by a later version of this library.
    """
    asked = wanted(since=since, until=until, version=version, role=role, columns=columns)
    for day in days(folder):
        if not asked.day(day.name):
            continue
        with reading(folder):
            for shape, table in rows_of(day, asked, on_damage):
                yield from shape.whole(table, asked.columns).to_batches(max_chunksize=_ROWS)


def read_predictions(
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    version: str | None = None,
    role: Role | None = "primary",
    columns: Collection[str] | None = None,
    on_damage: OnDamage = _warn,
) -> pd.DataFrame:
    """Read the log back, oldest first; of the answers of one version to one id the last one counts.

    Args:
        folder, since, until, version, role, on_damage: as `scan`; of every version, an id which several
            answered comes once for each.
        columns: inputs and answers to read, next to the log's own columns. Default: all.

    Returns:
        Columns `id`, `time` (UTC), `model`, `version`, one per input, and `mlops.answer.<output>` for each
        output, see `answers`; with `role=None` also `mlops.role`. Empty if nothing was logged.

    Raises:
        DataError: a part was written by a later version of this library.
    """
    import pyarrow as pa

    read = None if columns is None else {*OWN, ROLE, *columns}
    found = scan(
        folder, since=since, until=until, version=version, role=role, columns=read, on_damage=on_damage
    )
    tables = [_empty(), *(pa.Table.from_batches([batch]) for batch in found)]
    whole = pa.concat_tables(_agreed(tables), promote_options="default")
    del tables
    if role is not None and ROLE in whole.column_names:
        whole = whole.drop_columns([ROLE])
    # The inputs first: another model's may come later than the first one's answers.
    inputs = [name for name in whole.column_names if not name.startswith(ANSWER)]
    whole = whole.select([*inputs, *(name for name in whole.column_names if name.startswith(ANSWER))])
    table = whole.to_pandas(split_blocks=True, self_destruct=True)
    if not table["time"].is_monotonic_increasing:
        table = table.sort_values("time", kind="stable")
    identity = ["id", "version", *([ROLE] if role is None and ROLE in table else [])]
    if (again := table.duplicated(identity, keep="last")).any():
        table = table[~again]
    pa.default_memory_pool().release_unused()  # of tiny batches and of hash tables, as much as the table
    return table.reset_index(drop=True)


def answers(table: pd.DataFrame) -> dict[str, Array]:
    """The answers of a table from `read_predictions`: output → numbers, NaN where a version lacks it."""
    found = [name for name in table.columns if name.startswith(ANSWER)]
    return {name.removeprefix(ANSWER): table[name].to_numpy("float64") for name in found}


def _empty() -> Any:
    import pyarrow as pa

    kinds = (pa.string(), pa.timestamp("us", tz="UTC"), pa.string(), pa.string())
    return pa.schema(list(zip(OWN, kinds, strict=True))).empty_table()


def _agreed(tables: list[Any]) -> list[Any]:
    """Where an input was a number in one model and text in another, keep the later kind, null the rest."""
    import pyarrow as pa

    kinds = {field.name: field.type for table in tables for field in table.schema}
    for place, table in enumerate(tables):
        for number, column in enumerate(table.schema):
            if column.type != kinds[column.name]:
                nulls = pa.nulls(len(table), kinds[column.name])
                tables[place] = tables[place].set_column(number, column.name, nulls)
    return tables
