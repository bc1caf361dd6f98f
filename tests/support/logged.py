"""Prediction logs of any history, and what of them counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.serving.log import PredictionLog, Role, read_predictions, scan

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["DAY", "LATER", "Answered", "answers", "counted", "put", "rows_of", "write"]

DAY = datetime(2026, 5, 4, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=2)  # when every segment that a test wrote has settled


@dataclass(frozen=True)
class Answered:
    """One append: by which process, how long after `DAY`, ids, version and role; `text`: of another shape."""

    process: int
    minutes: int
    ids: Sequence[str]
    version: str = "1"
    role: Role = "primary"
    text: bool = False


def answers(ids: Sequence[str], *roles: Role) -> SearchStrategy[Answered]:
    """Appends within three days by either of two processes, of up to six of these ids."""
    from hypothesis import strategies as st  # not for those that are started to write a log

    return st.builds(
        Answered,
        process=st.integers(0, 1),
        minutes=st.integers(0, 3 * 24 * 60 - 1),
        ids=st.lists(st.sampled_from(ids), min_size=1, max_size=6),
        version=st.sampled_from(["1", "2"]),
        role=st.sampled_from(roles),
        text=st.booleans(),
    )


def put(log: PredictionLog, answered: Answered, value: float = 0.0) -> None:
    """Append it; `value` tells its rows apart."""
    count = len(answered.ids)
    rows: dict[str, Any] = {"hour": np.full(count, value)}
    if answered.text:
        rows["carrier"] = np.array(["UA", None, "é"] * count, dtype=object)[:count]
    log.append(
        answered.ids,
        rows,
        {"probability": np.full(count, value / 1000)},
        model="flights",
        version=answered.version,
        time=DAY + timedelta(minutes=answered.minutes),
        role=answered.role,
    )


def write(folder: Path, history: Sequence[Answered]) -> None:
    """Write a history, each process in its own log; the number of the append is its value."""
    logs = {number: PredictionLog(folder) for number in {each.process for each in history}}
    for number, answered in enumerate(history):
        put(logs[answered.process], answered, float(number))
    for log in logs.values():
        log.close()


def counted(folder: Path, **which: Any) -> list[tuple[Any, ...]]:
    """What `read_predictions` gives, as a sorted list of rows.

    Without columns that have no value: a replaced answer may have been the only one with that input.
    """
    table = read_predictions(folder, role=None, **which)
    names = sorted(name for name in table.columns if table[name].notna().any())
    return sorted((tuple(map(str, row)) for row in table[names].itertuples(index=False)), key=repr)


def rows_of(folder: Path, **which: Any) -> list[dict[str, Any]]:
    """Every row that `scan` gives."""
    return [row for batch in scan(folder, role=None, **which) for row in batch.to_pylist()]


def aged(folder: Path, seconds: float) -> None:
    """Make every segment look as if it had last been written so many seconds ago."""
    for path in folder.glob("*/*.arrows"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))
