"""A shadow: a process that is sent a copy of each answered request, and compares what other versions say.

It shares nothing with the workers but a socket, and has a lower priority. See `copies` for the other end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from runtime_lib.serving.copies import LENGTHS
from runtime_lib.serving.endpoints import Endpoints, protocol_of
from runtime_lib.serving.log import PredictionLog
from runtime_lib.serving.messages import Intake, Request
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.predictor import Prediction, TooLate
from runtime_lib.serving.protocols.infer import LENGTH_HEADER
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.serving.version import Version
from runtime_lib.serving.worker import Worker, main
from runtime_lib.settings.wire import from_dict

if TYPE_CHECKING:
    from runtime_lib.serving.endpoints import AskServer

__all__ = ["Compared", "ShadowWorker"]

# Copies that the shadow works on at a time.
_MOST_AT_ONCE = 64
_NICENESS = 10


@dataclass
class Compared:
    """What a shadow answered beside what was given; differences are of the numbers in the answers.

    Attributes:
        compared: rows that both answered. shed: requests that it was spared. failed: that it failed.
        total, largest: sum, and largest, of the absolute difference of a row's numbers (their mean).
        label_changes: rows for which it would have decided otherwise.
    """

    compared: int = 0
    shed: int = 0
    failed: int = 0
    total: float = 0.0
    largest: float = 0.0
    label_changes: int = 0

    def add(self, given: Mapping[str, Any], prediction: Prediction) -> None:
        answer = np.asarray(given["answer"], dtype=np.float64)
        if answer.shape != prediction.answer.shape:
            self.failed += 1
            return
        differences = np.abs(prediction.answer - answer).reshape(len(answer), -1).mean(axis=1)
        self.compared += len(answer)
        self.total += float(differences.sum())
        self.largest = max(self.largest, float(differences.max()))
        if given["label"] is not None and prediction.label is not None:
            self.label_changes += int((np.asarray(given["label"]) != prediction.label).sum())


class ShadowWorker(Worker):
    """A worker that reads copies instead of requests, and answers nobody."""

    def _open(self, given: Mapping[str, Any], ask: AskServer) -> None:
        os.nice(_NICENESS)
        settings = from_dict(given["settings"])
        self._log = PredictionLog(settings.predictions)
        self._service = Service(settings, name=given["model"], log=self._log, role="shadow")
        self._endpoints = Endpoints(self._service, Metrics(), None)
        self._intake = Intake(1 << 62, 1 << 62, settings.serving.timeout)
        self._found: dict[str, Compared] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def _commit(self, policy: Policy) -> None:
        self._service.shadow(policy)
        self._found = {version: self._found.get(version, Compared()) for version in policy.shadows}
        if self._serving is None:
            server = await asyncio.start_unix_server(self._read, sock=self._listener)
            self._serving = asyncio.create_task(server.serve_forever())

    def _counted(self) -> dict[str, Any]:
        return {
            "shadows": {version: asdict(found) for version, found in self._found.items()},
            "failing": self._log.failing,
        }

    async def _stop(self) -> None:
        if self._serving:
            self._serving.cancel()
        self._service.stop()
        self._log.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                lengths = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
                head, body = [await reader.readexactly(length) for length in lengths]
                self._take(orjson.loads(head), body)
        writer.close()

    def _take(self, given: Mapping[str, Any], body: bytes) -> None:
        for name, found in self._found.items():
            if len(self._working) >= _MOST_AT_ONCE:
                found.shed += 1
                continue
            task = asyncio.create_task(self._compare(self._service.versions[name], given, body, found))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _compare(
        self, version: Version, given: Mapping[str, Any], body: bytes, found: Compared
    ) -> None:
        try:
            request = _request(given, body, self._intake)
            protocol, ids = protocol_of(given["path"]), given["ids"]
            prediction, _ = await self._endpoints.predict(request, version, protocol, ids)
            found.add(given, prediction)
        except TooLate:
            found.shed += 1
        except Exception:  # whatever it is, it is the shadow's: nobody else notices
            found.failed += 1


def _request(given: Mapping[str, Any], body: bytes, intake: Intake) -> Request:
    headers: Sequence[tuple[bytes, bytes]] = ()
    if given["json_length"]:
        headers = ((LENGTH_HEADER.encode(), given["json_length"].encode()),)
    scope = {"method": "POST", "path": given["path"], "headers": headers}
    request = Request(scope, _nothing, intake)
    request.body = body
    return request


async def _nothing() -> Any:
    raise AssertionError("a copy has been read")


if __name__ == "__main__":
    sys.exit(main(ShadowWorker))
