"""Say why a process waits: a status line on a terminal, in a log one line for each change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime_lib.hardware.share.order import Wait

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["Notice"]


class Notice:
    """Call it with each look at the queue, and `end` it; nothing is shown if there was no wait."""

    def __init__(self, on_wait: Callable[[Wait], None] | None) -> None:
        self._on_wait = on_wait
        self._shown: Wait | None = None
        self._status: Status | None = None
        self._begin = time.monotonic()

    def __call__(self, wait: Wait) -> None:
        changed = self._shown is None or _who(wait) != _who(self._shown)
        self._shown = wait
        if self._on_wait:
            if changed:
                self._on_wait(wait)
        elif sys.stderr.isatty():
            self._update(str(wait))  # the times in it change with each look
        elif changed:
            _write(str(wait))

    def _update(self, text: str) -> None:
        from rich.console import Console
        from rich.status import Status
        from rich.text import Text

        if self._status is None:
            self._status = Status(Text(text), console=Console(stderr=True))
            self._status.start()
        else:
            self._status.update(Text(text))  # as text: a project's name is no markup

    def end(self, *, got: bool) -> None:
        if self._status:
            self._status.stop()
        if got and self._shown and not self._on_wait:
            seconds = time.monotonic() - self._begin
            _write(f"'{self._shown.asked.project}' starts after {seconds:.0f} s of waiting for this machine")


def _who(wait: Wait) -> tuple[list[tuple[str, str]], ...]:
    # The project too: a lease whose file was damaged meanwhile is shown as one that cannot be read.
    return tuple([(lease.name, lease.project) for lease in leases] for leases in (wait.held, wait.before))


def _write(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
