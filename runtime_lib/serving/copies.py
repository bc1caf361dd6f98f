"""Copies of answered requests, on their way from a worker to a shadow.

A worker hands a copy over after it has answered, and drops it where the shadow is behind: no shadow can hurt
who is answered. A copy is two lengths (4 bytes each, big-endian), a head of JSON with path, ids and answer,
and the body as it came.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from runtime_lib.serving.messages import Request
from runtime_lib.serving.predictor import Prediction
from runtime_lib.serving.protocols.infer import LENGTH_HEADER

__all__ = ["LENGTHS", "Copies"]

LENGTHS = struct.Struct("!II")
# Bytes that may wait on their way to the shadow; more are dropped, by each worker.
_MOST_WAITING = 1 << 20


class Copies:
    """The sending end, in a worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.shed = 0

    def send(self, request: Request, prediction: Prediction) -> None:
        """Hand over a copy of a request that was answered, or drop it."""
        writer = self._writer
        if writer is None or writer.is_closing():
            self.shed += 1
            self._connect()
            return
        if writer.transport.get_write_buffer_size() > _MOST_WAITING:
            self.shed += 1
            return
        head = orjson.dumps(_head(request, prediction))
        writer.write(LENGTHS.pack(len(head), len(request.body)) + head + request.body)

    def close(self) -> None:
        if self._writer:
            self._writer.close()

    def _connect(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        with suppress(OSError):  # it is not there yet, or being replaced
            self._writer = (await asyncio.open_unix_connection(self._path))[1]


def _head(request: Request, prediction: Prediction) -> dict[str, Any]:
    length = request.headers.get(LENGTH_HEADER.encode(), b"").decode("latin-1")
    label = None if prediction.label is None else prediction.label.tolist()
    return {
        "path": request.path,
        "json_length": length,
        "ids": list(prediction.ids),
        "answer": prediction.answer.tolist(),
        "label": label,
    }
