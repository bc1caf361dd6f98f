"""The server's side of the registry: a champion that moved is released, a change of traffic recorded.

The registry may be slow, or away: nothing waits for it, and what could not be done is done later.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from runtime_lib.errors import MlopsError
from runtime_lib.serving import apart
from runtime_lib.serving.commands import Commands
from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Registrar"]

_PROBLEM = "champion"


class Registrar:
    """Looks at the registry when it is told to, and from time to time."""

    def __init__(self, supervisor: Supervisor, commands: Commands) -> None:
        self._supervisor, self._commands = supervisor, commands
        self._news = asyncio.Event()
        self._mark: object = None
        self._shipped = ""
        self._back: dict[str, str] | None = None
        # The champion that was seen last: released, or found to be none that can be.
        self._known = supervisor.state.followed

    def look(self) -> None:
        """Look at the registry soon: somebody has moved the champion, or traffic."""
        self._known = self._supervisor.state.followed
        self._news.set()

    def give_back(self, version: str, left: str, reason: str) -> None:
        """Make a version champion again, if the canary that has `left` was champion."""
        self._back = {"version": version, "left": left, "reason": reason}
        self._news.set()

    async def run(self) -> None:
        """Look until cancelled."""
        await self._supervisor.ready.wait()
        while True:
            told = self._news.is_set()
            self._news.clear()
            if told or self._unshipped() or (self._supervisor.settings.serving.follow and self._changed()):
                await self._sync()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._supervisor.settings.serving.follow_seconds):
                    await self._news.wait()

    async def _sync(self) -> None:
        held = self._supervisor
        try:
            asked = {"known": self._known, "back": self._back}
            found = await apart.ask("runtime_lib.serving.releases.sync", held.settings, **asked)
            self._shipped, self._back = found["shipped"], None
            held.problems.pop(_PROBLEM, None)
            if champion := found["champion"]:
                await self._release(champion)
        except MlopsError as error:
            held.problems[_PROBLEM] = f"The registry: {error}"

    async def _release(self, champion: dict[str, Any]) -> None:
        version = self._known = champion["version"]
        if version == self._supervisor.state.policy.only:  # a rollback has moved both
            return
        try:
            await self._commands.follow(version, champion["held"])
        except MlopsError as error:
            self._supervisor.problems[_PROBLEM] = (
                f"Version {version} became champion, and is not served: {error}"
            )

    def _unshipped(self) -> bool:
        last = self._supervisor.journal.last()
        return last is not None and last.key != self._shipped

    def _changed(self) -> bool:
        """Whether the registry may know something new; a file says so itself, a server has to be asked."""
        uri = self._supervisor.settings.tracking.uri
        if not uri.startswith("sqlite:"):
            return True
        path = self._supervisor.settings.root / uri.removeprefix("sqlite:///")
        mark = [_mark(Path(f"{path}{end}")) for end in ("", "-wal")]
        changed, self._mark = mark != self._mark, mark
        return changed


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
