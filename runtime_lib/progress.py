"""Progress bars for long work, on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["step", "track"]

T = TypeVar("T")


def track(items: Iterable[T], label: str) -> Iterator[T]:
    """Yield the items behind a progress bar; a log file or pipe gets one line at the end instead."""
    total = len(items) if isinstance(items, Sized) else None
    if not sys.stderr.isatty():
        yield from items
        print(f"{label}: {total if total is not None else 'all'} done", file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import track as bar

    yield from bar(items, description=label, total=total, console=Console(stderr=True))


@contextmanager
def step(label: str) -> Iterator[None]:
    """Show that something without a measure of progress is under way, then how long it took."""
    from rich.console import Console

    started = time.monotonic()
    console = Console(stderr=True)
    with console.status(label):
        yield
    console.print(f"{label}: {time.monotonic() - started:.1f} s", highlight=False, style="dim")
