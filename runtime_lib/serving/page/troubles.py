"""What is wrong with a server, in words: the first thing that its page says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, NamedTuple

from runtime_lib.serving.status import Status

__all__ = ["Trouble", "troubles"]

_MOST_ERRORS = 0.01  # of the requests
_RECENT = timedelta(minutes=5)


class Trouble(NamedTuple):
    """`bad`: requests fail, or are about to. `look`: they do not, and somebody should know."""

    tone: Literal["bad", "look"]
    words: str


def troubles(status: Status) -> list[Trouble]:
    """The bad ones first."""
    found = [
        *_of_workers(status),
        *_of_log(status),
        *_of_release(status),
        *_of_versions(status),
        *(Trouble("look", words) for words in status.problems),
    ]
    return sorted(found, key=lambda trouble: trouble.tone != "bad")


def _of_workers(status: Status) -> Iterator[Trouble]:
    away = [worker for worker in status.workers if not worker.ready]
    if len(away) == len(status.workers):
        yield Trouble("bad", "No worker is ready: no request is answered.")
    for worker in away:
        again = f" It was restarted {_times(worker.restarts)}." if worker.restarts else ""
        yield Trouble("bad", f"Worker {worker.name} is not ready.{again}")
    for worker in status.workers:
        if worker.ready and worker.restarts and status.time - worker.since < _RECENT:
            yield Trouble(
                "look",
                f"Worker {worker.name} was restarted at {worker.since:%H:%M:%S} UTC, "
                f"{_times(worker.restarts)} in all.",
            )


def _of_log(status: Status) -> Iterator[Trouble]:
    if status.log.failing:
        yield Trouble(
            "bad", f"Predictions cannot be logged, so none is given: {status.log.failing.rstrip('.')}."
        )


def _of_release(status: Status) -> Iterator[Trouble]:
    release = status.release
    if release and release.verdict == "go back":
        why = f": {'; '.join(reason.rstrip('.') for reason in release.reasons)}" if release.reasons else ""
        yield Trouble("bad", f"Version {release.version} goes back to version {release.against}{why}.")


def _of_versions(status: Status) -> Iterator[Trouble]:
    for each in status.versions:
        if each.errors > each.requests * _MOST_ERRORS:
            yield Trouble(
                "look",
                f"Version {each.version} failed {each.errors:,} of {each.requests:,} requests "
                f"({each.errors / each.requests:.1%}).",
            )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
