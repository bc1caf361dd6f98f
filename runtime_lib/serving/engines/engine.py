"""What a supervisor asks of the engine that runs its workers."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Engine"]


class Engine(Protocol):
    """What runs the workers."""

    def start(self, control: Path, supervisor: Any) -> Awaitable[Any]:
        """Run workers that connect to `control`; what is returned fails once they cannot be kept running."""

    def kill(self, name: str) -> None:
        """End a worker that does not do what it is told; another one takes its place."""

    async def probe(self, name: str) -> None:
        """Run a process that connects under this name and answers nobody, until it ends."""

    async def renew(self) -> None:
        """Replace the workers one after another, each once its successor answers: by other code.

        Raises:
            ServiceError: a new one does not come up. The others go on.
        """

    async def shadow(self, name: str) -> None:
        """Run a shadow that connects under this name, until it ends."""

    async def stop(self, seconds: float) -> None:
        """End all, once they have answered what is under way; after `seconds` whatever they do."""
