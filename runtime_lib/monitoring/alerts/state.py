"""What fires, who was told of it, and what is silenced: one small database of a project.

    var/monitoring/alerts/state.db      SQLite in WAL mode, format 1 (`PRAGMA user_version`)

A kill leaves what was last committed. A later format gets a number of its own and a step in `_open`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runtime_lib.errors import DataError
from runtime_lib.files import check_format
from runtime_lib.locks import locked
from runtime_lib.monitoring.alerts.alert import Alert
from runtime_lib.monitoring.alerts.silence import Silence

__all__ = ["State", "Told", "held", "opened"]

_FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS alerts (key TEXT PRIMARY KEY, silenced INTEGER NOT NULL, alert TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS told (
    key TEXT NOT NULL, channel TEXT NOT NULL, sends INTEGER NOT NULL, time TEXT NOT NULL,
    severity TEXT NOT NULL, members TEXT NOT NULL, PRIMARY KEY (key, channel)
);
CREATE TABLE IF NOT EXISTS silences (id TEXT PRIMARY KEY, silence TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Told:
    """What a channel has been told of an alert that fires.

    Attributes:
        sends: how often.
        time: when last; None: before a silence, so that it is due when that ends.
        severity: with which one.
        members: all that were ever named in this incident.
    """

    sends: int
    time: datetime | None
    severity: str
    members: frozenset[str]


class _DamagedError(Exception):
    """A row holds what this library never wrote."""


class State:
    """The database, open and held by this process alone."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @contextmanager
    def change(self) -> Iterator[None]:
        """All of the changes in the block, or none."""
        with self._database:
            yield

    def alerts(self) -> list[tuple[Alert, bool]]:
        """What fires, and what is gone or happened and is not told to all yet; and whether it is silenced."""
        with _readable():
            rows = self._database.execute("SELECT alert, silenced FROM alerts ORDER BY key")
            return [(Alert.from_dict(json.loads(alert)), bool(silenced)) for alert, silenced in rows]

    def put(self, alert: Alert, *, silenced: bool = False) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?)", (_row(alert), silenced, _json(alert.to_dict()))
        )

    def forget(self, alert: Alert) -> None:
        for table in ("alerts", "told"):
            self._database.execute(f"DELETE FROM {table} WHERE key = ?", (_row(alert),))  # noqa: S608 - of two names

    def told(self, alert: Alert) -> dict[str, Told]:
        """By channel."""
        rows = self._database.execute(
            "SELECT channel, sends, time, severity, members FROM told WHERE key = ?", (_row(alert),)
        )
        with _readable():
            return {channel: _told(*values) for channel, *values in rows}

    def tell(self, alert: Alert, channel: str, told: Told) -> None:
        time = told.time.isoformat() if told.time else ""
        members = _json(sorted(told.members))
        self._database.execute(
            "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?)",
            (_row(alert), channel, told.sends, time, told.severity, members),
        )

    def silences(self) -> list[Silence]:
        with _readable():
            rows = self._database.execute("SELECT silence FROM silences ORDER BY rowid")
            return [Silence.from_dict(json.loads(silence)) for (silence,) in rows]

    def put_silence(self, silence: Silence) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO silences VALUES (?, ?)", (silence.id, _json(silence.to_dict()))
        )

    def forget_silence(self, silence: Silence) -> None:
        self._database.execute("DELETE FROM silences WHERE id = ?", (silence.id,))


@contextmanager
def held(folder: Path, *, wait: float) -> Iterator[State]:
    """Open the state in `folder` for this process to send: no other does meanwhile.

    Args:
        wait: seconds that another may take.

    Raises:
        ServiceError: another process took longer.
        DataError: see `opened`.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(locked(folder / "lock", timeout=wait))
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error}.") from error
        yield stack.enter_context(opened(folder))


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """Open the state in `folder`, while another process may be sending.

    Raises:
        DataError: it is damaged, cannot be read or written, or is of a later format.
    """
    path = folder / "state.db"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with closing(_open(path)) as database:
            yield State(database)
    except (sqlite3.OperationalError, OSError) as error:  # a full disk, no permission
        raise DataError(f"{path} cannot be written or read: {error}.") from error
    except (sqlite3.DatabaseError, _DamagedError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Remove it: what still fires will be told again."
        ) from error


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # its columns' values are for its owner
    database = sqlite3.connect(path, timeout=30)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        [found] = database.execute("PRAGMA user_version").fetchone()
        if found:
            check_format(found, newest=_FORMAT, where=path)
        else:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_FORMAT}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _told(sends: int, time: str, severity: str, members: str) -> Told:
    when = datetime.fromisoformat(time) if time else None
    return Told(sends, when, severity, frozenset(json.loads(members)))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError(error) from error


def _row(alert: Alert) -> str:
    """Its place in the tables. An event shares its key with those before and after it."""
    return f"{alert.key}#{alert.incident}" if alert.status == "event" else alert.key


def _json(value: Mapping[str, object] | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
