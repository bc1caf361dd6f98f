"""Work that a server has done by a process of its own, as it imports what the server has no room for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.secrets import guard
from runtime_lib.serving.control import raised
from runtime_lib.settings import Settings
from runtime_lib.settings.wire import from_dict, to_dict

__all__ = ["answer", "ask"]


async def ask(module: str, settings: Settings, **question: Any) -> Any:
    """Have a module of this library answer, see `answer`.

    Raises:
        MlopsError: of the class and with the words that it gave.
        ServiceError: it ended without an answer.
    """
    pipe = asyncio.subprocess.PIPE
    # In a session of its own: Ctrl-C at a terminal is for the server, which then ends this process.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=pipe, stdout=pipe, start_new_session=True
    )
    # Not as an argument: settings may hold a password, and every user may see the arguments of a process.
    asked = json.dumps({"settings": to_dict(settings), "parent": os.getpid(), **question})
    try:
        said, _ = await process.communicate(asked.encode())
        found = json.loads(said)
    except ValueError:
        raise ServiceError(f"{module} ended without an answer; what it said is above.") from None
    finally:
        if process.returncode is None:  # whoever asked was cancelled
            process.kill()
    if "error" in found:
        raise raised(found["kind"], found["error"])
    return found["ok"]


def answer(work: Callable[..., Mapping[str, Any] | str]) -> None:
    """Answer one question of `ask` by a function of the settings and what else is in the question."""
    guard()
    asked = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=(asked.pop("parent"),), daemon=True).start()
    try:
        found = {"ok": work(from_dict(asked.pop("settings")), **asked)}
    except MlopsError as error:
        found = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps(found))


def _end_with(parent: int) -> None:
    """Nobody waits for the answer once the server was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
