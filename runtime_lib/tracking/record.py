"""A training run on disk. Training writes here and never talks to a server.

`var/spool/<id>/` takes the record while it grows: `record.json` (format 1: id, times in milliseconds
since 1970 UTC, parameters, tags, data versions, status) and `metrics.jsonl`, one measured value a
line. `finish` copies it to `models/record/`, an output of the train stage; the spool's copy is
removed once it is delivered. A change of the format raises `FORMAT`, and `read` keeps reading the older one.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from runtime_lib.errors import DataError
from runtime_lib.files import atomic_file, atomic_folder, check_format
from runtime_lib.locks import try_lock
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings
from runtime_lib.tracking import lineage
from runtime_lib.tracking.summary import ERROR_TAG

__all__ = ["Measure", "Record", "RunState", "read", "record_folder", "spool_folder"]

FORMAT = 1
LOCK = "lock"


@dataclass(frozen=True)
class RunState:
    """What `record.json` holds. `status`: RUNNING, FINISHED or FAILED; `end` None while running."""

    id: str
    start: int
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    data: Mapping[str, str]
    status: str = "RUNNING"
    end: int | None = None
    model_digest: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class Measure:
    """One value of one metric; `time` in milliseconds since 1970 UTC."""

    name: str
    value: float
    step: int
    time: int


def record_folder(settings: Settings) -> Path:
    """Where the train stage leaves the record of the model in `models/candidate`."""
    return settings.record


def spool_folder(settings: Settings) -> Path:
    """Where records wait until they are delivered."""
    return settings.spool


@dataclass
class Record:
    """The record of the training under way; use it in a `with` block, or call `finish`.

    In a `with` block an exception marks the run as failed before it is raised again.
    """

    state: RunState
    folder: Path
    target: Path
    _metrics: IO[str] = field(repr=False)
    # Held as long as this process lives, so that a killed run can be told from a live one.
    _lock: IO[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        settings: Settings,
        params: Mapping[str, Any],
        *,
        target: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Record:
        """Open a record; `finish` copies it to `target` (default: `models/record`).

        `tags` are there from the start: a run that fails or is killed has them, too.
        """
        state = RunState(
            id=uuid.uuid4().hex,
            start=_now(),
            params=dict(params),
            tags={
                **lineage.tags(settings.root),
                **lineage.content_tags(settings),
                "mlops.environment": settings.environment,
                **(tags or {}),
            },
            data=lineage.data_versions(settings.root),
        )
        spool = spool_folder(settings)
        folder, new = spool / state.id, spool / f".{state.id}"
        new.mkdir(parents=True)
        lock = try_lock(new / LOCK)
        assert lock is not None, "a random name cannot be locked by another process"
        _write(new, state)
        new.rename(folder)  # appears whole and locked, so a shipper never sees it half made
        metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8", buffering=1)
        return cls(state, folder, target or record_folder(settings), metrics, lock)

    def metric(self, name: str, value: float, *, step: int = 0) -> None:
        """Append one value, some microseconds; a killed process keeps what it appended."""
        line = json.dumps({"name": name, "value": float(value), "step": int(step), "time": _now()})
        self._metrics.write(line + "\n")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append several values of one step."""
        for name, value in values.items():
            self.metric(name, value, step=step)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags, which the run keeps however it ends."""
        self.state = replace(self.state, tags={**self.state.tags, **tags})
        _write(self.folder, self.state)

    def finish(
        self, *, model_digest: str = "", tags: Mapping[str, str] | None = None, status: str = "FINISHED"
    ) -> None:
        """Close the record; one that FINISHED is copied to its target folder."""
        self._metrics.close()
        tags = {**self.state.tags, **(tags or {})}
        self.state = replace(self.state, status=status, end=_now(), model_digest=model_digest, tags=tags)
        _write(self.folder, self.state)
        if status == "FINISHED":
            _publish(self.folder, self.target)
        self._lock.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state.status != "RUNNING":
            return
        if kind is None:
            self.finish()
        else:
            what = without_secrets(f"{kind.__name__}: {error}")
            self.finish(status="FAILED", tags={ERROR_TAG: what[:500]})


def read(folder: Path) -> tuple[RunState, list[Measure]]:
    """Read a record; a line that was cut off when the process died is left out.

    Raises:
        DataError: no record there, or one that this version cannot read.
    """
    try:
        content = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"No training record in {folder} ({error}). Train first: `mlops run`.") from error
    check_format(content.get("format"), newest=FORMAT, where=f"The training record in {folder}")
    return RunState(**content), _measures(folder / "metrics.jsonl")


def _measures(path: Path) -> list[Measure]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    # Only the last line can be torn, and what follows the last newline is exactly that.
    return [Measure(**json.loads(line)) for line in lines[:-1] if line]


def _write(folder: Path, state: RunState) -> None:
    with atomic_file(folder / "record.json") as new:  # parameters may be of any type: text will do
        new.write_text(json.dumps(asdict(state), indent=2, default=str) + "\n", encoding="utf-8")


def _publish(folder: Path, target: Path) -> None:
    with atomic_folder(target) as new:
        shutil.copytree(folder, new, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LOCK))


def _now() -> int:
    return time.time_ns() // 1_000_000
