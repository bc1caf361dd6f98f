"""Reading months from the source: only those that must be, the others as they were read before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from runtime_lib import settings as settings_file
from runtime_lib.data import calendar
from runtime_lib.data.reads import Read, Reads, digest, late, link, plan
from runtime_lib.errors import DataError
from runtime_lib.files import atomic_file, atomic_folder
from runtime_lib.progress import track

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fetch"]


def fetch(load: Callable[[str], pd.DataFrame], folder: Path, months: list[str]) -> None:
    """Write the table of each month to `folder`: as it was read before, or as `load` returns it now.

    Without a ledger (`dvc repro`, a stage started by hand) every month is read.

    Raises:
        DataError: a month has no rows, or `load` returned no table.
    """
    if not (found := Reads.found()):
        with atomic_folder(folder) as new:
            for month in track(months, "Ingest months"):
                _read(load, month).to_parquet(new / f"{month}.parquet", index=False)
        return
    reads, key = found
    ledger, labels_after = reads.load(), settings_file.load().data.labels_after
    held = reads.held(ledger)
    today = calendar.now().date()
    why = plan(months, held, today=today, labels_after=labels_after, key=key)
    _say(why, held, today, labels_after)
    for month in track([month for month in months if why[month]], "Ingest months"):
        before = ledger.months.get(month)
        ledger.months[month] = _store(reads, month, _read(load, month), key)
        reads.save(ledger)
        if before and why[month] != "new":
            print(_changed(month, before, ledger.months[month]), file=sys.stderr)
    with atomic_folder(folder) as new:
        for month in months:
            link(reads.file(month), new / f"{month}.parquet")


def _read(load: Callable[[str], pd.DataFrame], month: str) -> pd.DataFrame:
    import pandas as pd

    try:
        table = load(month)
    except Exception as error:
        error.add_note(f"while load({month!r}) read that month")
        raise
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"load({month!r}) returned {type(table).__name__}, not a table.")
    if table.empty:
        raise DataError(
            f"The month {month} has no rows at the source. Set data.first and data.last in params.yaml; "
            f"if its rows are still to come, wait for them (labels_after below [data] in mlops.toml says "
            f"how many days, for data.last = latest)."
        )
    return table


def _store(reads: Reads, month: str, table: pd.DataFrame, key: str) -> Read:
    with atomic_file(reads.file(month)) as temporary:
        table.to_parquet(temporary, index=False)
    return Read(read=calendar.now(), key=key, rows=len(table), digest=digest(reads.file(month)))


def _say(why: Mapping[str, str], held: Mapping[str, Read], today: date, labels_after: int) -> None:
    """Print what is read again and why, and how old the rest is."""
    lines = [f"{month} is read: {reason}." for month, reason in why.items() if reason not in ("", "new")]
    kept = [month for month, reason in why.items() if not reason]
    early = [month for month in kept if late(month, held[month], labels_after)]
    if done := [month for month in kept if month not in early]:
        span = done[0] if len(done) == 1 else f"{len(done)} months from {done[0]} to {done[-1]}"
        ages = sorted({_age(held[month], today) for month in done})
        old = f"{ages[0]} days ago" if len(ages) == 1 else f"{ages[0]} to {ages[-1]} days ago"
        lines.append(f"{span} as read {old}; `mlops run --refresh MONTH` reads one again.")
    lines += [
        f"{month} as read {_age(held[month], today)} days ago, before its labels were complete "
        f"({calendar.complete_on(month, labels_after)}); `mlops run --refresh late` reads it again."
        for month in early
    ]
    for line in lines:
        print(f"Ingest: {line}", file=sys.stderr)


def _age(read: Read, today: date) -> int:
    return max((today - read.read.date()).days, 0)


def _changed(month: str, before: Read, after: Read) -> str:
    if before.digest == after.digest:
        return f"Ingest: {month} is as it was, {after.rows:,} rows."
    return f"Ingest: {month} has changed: {after.rows:,} rows, before {before.rows:,}."
