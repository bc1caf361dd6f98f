"""Progress of long work, on stderr, so that stdout stays for results.

A terminal gets a bar; a log file or pipe gets whole lines, and few of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

__all__ = ["Advance", "counted", "step", "track"]

T = TypeVar("T")


class Advance(Protocol):
    """Say that `by` more is done; `note` is shown next to the count, and is a line of its own in a log."""

    def __call__(self, by: int = 1, note: str = "") -> None: ...


@contextmanager
def counted(total: int, label: str) -> Iterator[Advance]:
    """Show how much of `total` is done, as the block says by what it is given.

    In a log each note is a line (`epoch 3/12: …`); without notes there is one line at the end.
    """
    if not sys.stderr.isatty():
        log = _Log(total, label)
        yield log
        if not log.has_notes:
            print(f"{label}: {total} done", file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count, left = MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True)
    columns = (TextColumn(label), BarColumn(), count, TextColumn("{task.description}"), left)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)

        def advance(by: int = 1, note: str = "") -> None:
            progress.update(task, advance=by, description=note)

        yield advance


class _Log:
    def __init__(self, total: int, label: str) -> None:
        self._done, self._total, self._label = 0, total, label
        self.has_notes = False

    def __call__(self, by: int = 1, note: str = "") -> None:
        self._done += by
        if note:
            self.has_notes = True
            print(f"{self._label} {self._done}/{self._total}: {note}", file=sys.stderr)


def track(items: Collection[T], label: str) -> Iterator[T]:
    """Yield the items and show how many are done."""
    with counted(len(items), label) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def step(label: str) -> Iterator[None]:
    """Show that something without a measure of progress is under way, then how long it took."""
    from rich.console import Console

    started = time.monotonic()
    console = Console(stderr=True)
    with console.status(label):
        yield
    console.print(f"{label}: {time.monotonic() - started:.1f} s", highlight=False, style="dim")
