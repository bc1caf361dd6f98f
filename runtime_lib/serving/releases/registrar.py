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

# By these names a server's problems with its registry are known.
_REGISTRY, _CHAMPION = "registry", "champion"
# A change of traffic is recorded so soon, and a champion that is left moves.
_SECONDS_TO_LOOK = 0.2


class Registrar:
    """Looks at the registry when it is told to, and from time to time."""

    def __init__(self, supervisor: Supervisor, commands: Commands) -> None:
        self._supervisor, self._commands = supervisor, commands
        self._news = asyncio.Event()
        self._mark: object = None
        self._shipped = ""
        # A champion that cannot be served, which is not tried again and again.
        self._refused = ""

    def look(self) -> None:
        """Look at the registry soon: somebody has moved the champion, or traffic."""
        self._refused = ""
        self._news.set()

    async def run(self) -> None:
        """Look until cancelled."""
        await self._supervisor.ready.wait()
        while True:
            state, told = self._supervisor.state, self._news.is_set()
            self._news.clear()
            try:
                if told or self._unshipped() or self._changed():
                    await self._sync()
            except MlopsError as error:  # the journal cannot be read
                self._supervisor.problems[_REGISTRY] = f"Nothing is recorded in the registry: {error}"
                self._shipped, self._mark = "", None  # once it can, all is looked at again
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._supervisor.settings.serving.follow_seconds):
                    while self._supervisor.state is state and not self._news.is_set():
                        await asyncio.sleep(_SECONDS_TO_LOOK)

    async def _sync(self) -> None:
        problems, settings = self._supervisor.problems, self._supervisor.settings
        if (path := self._database()) and not path.exists():  # MLflow would start an empty one
            problems[_REGISTRY] = f"The registry: {path} is gone. Bring it back."
            return
        try:
            known = [self._supervisor.state.followed, self._refused]
            found = await apart.ask("runtime_lib.serving.releases.sync", settings, known=known)
        except MlopsError as error:
            problems[_REGISTRY] = f"The registry: {error}"
            self._mark = None  # look again, whether the file changes or not
            return
        problems.pop(_REGISTRY, None)
        self._shipped = found["shipped"]
        if found["champion"] != self._refused:
            problems.pop(_CHAMPION, None)
            await self._release(found)

    async def _release(self, found: dict[str, Any]) -> None:
        version, why = found["champion"], found["damage"]
        if version is None and self._supervisor.settings.serving.follow:
            self._supervisor.problems[_CHAMPION] = (
                "The registry has no champion any more. Traffic stays as it is; "
                "`mlops champion set VERSION` names one."
            )
        if found["held"] and version != self._supervisor.state.followed:
            try:
                await self._commands.follow(version, found["held"])
                self._news.set()  # it is to be recorded
            except MlopsError as error:
                why = str(error)
        if why:
            self._refused = version
            self._supervisor.problems[_CHAMPION] = (
                f"Version {version} became champion, and is not served: {why}"
            )

    def _unshipped(self) -> bool:
        last = self._supervisor.journal.last()
        return last is not None and last.key != self._shipped

    def _changed(self) -> bool:
        """Whether the registry may know something new; a file says so itself, a server has to be asked."""
        if not self._supervisor.settings.serving.follow:
            return False
        path = self._database()
        if path is None:
            return True
        mark = [_mark(Path(f"{path}{end}")) for end in ("", "-wal")]
        changed, self._mark = mark != self._mark, mark
        return changed

    def _database(self) -> Path | None:
        settings = self._supervisor.settings
        path = settings.tracking.uri.removeprefix("sqlite:///")
        return None if path == settings.tracking.uri else settings.root / path


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
