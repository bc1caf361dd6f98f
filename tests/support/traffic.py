"""Clients of a server at a steady rate, and what each of their requests came to, by the clock."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

from runtime_lib.serving.control import ask
from runtime_lib.serving.releases.orders import control
from tests.support.servers import ROWS, Server

_BODY = json.dumps({"inputs": ROWS}).encode()


class Asked(NamedTuple):
    """One request: when it was sent and answered, by which version, its key, and why it failed if it did.

    `kept`: its connection had answered others; `last`: its answer said that it is the last one there.
    """

    sent: float
    answered: float
    version: str
    key: str
    failure: str
    kept: bool = False
    last: bool = False


class Clients:
    """Threads that each send one request after another on a kept connection, together `rate` a second.

    `key`: each request has a key of its own, of so many that come again and again. `retry`: a request that a
    broken connection has lost is sent once more, as its sender may where it is marked as idempotent.
    """

    def __init__(
        self,
        server: Server,
        *,
        rate: float = 400,
        clients: int = 8,
        keys: int = 0,
        retry: bool = False,
        path: str = "/invocations",
        body: bytes = _BODY,
    ) -> None:
        self.asked: list[Asked] = []
        self._host = server.url.removeprefix("http://")
        self._pause, self._keys, self._retry = clients / rate, keys, retry
        self._path, self._body = path, body
        self._ended = False
        self._number = itertools.count()
        self._threads = [threading.Thread(target=self._run, args=(turn / rate,)) for turn in range(clients)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> Counter[str]:
        return Counter(each.failure for each in self.asked if each.failure)

    def versions(self, since: float = 0.0) -> Counter[str]:
        """How often each version answered what was sent since a time (`time.monotonic`)."""
        return Counter(each.version for each in self.asked if each.sent >= since and not each.failure)

    def wait_for(self, requests: int) -> None:
        """Return once so many more have been answered."""
        wanted = len(self.asked) + requests
        while len(self.asked) < wanted and not self._ended:
            time.sleep(0.005)

    def _run(self, begin: float) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=30)
        due = time.monotonic() + begin
        while not self._ended:
            time.sleep(max(0.0, due - time.monotonic()))
            due += self._pause
            self.asked.append(self._ask(connection))
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> Asked:
        number = next(self._number)
        key = f"user-{number % self._keys}" if self._keys else ""
        sent = time.monotonic()
        kept = connection.sock is not None
        for again in (self._retry, False):
            try:
                version, failure, last = self._once(connection, key, f"call-{number}")
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                version, failure, last = "", type(error).__name__, False
                if not again:
                    break
        return Asked(sent, time.monotonic(), version, key, failure, kept, last)

    def _once(self, connection: http.client.HTTPConnection, key: str, name: str) -> tuple[str, str, bool]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": name, "X-Mlops-Key": key}
        connection.request("POST", self._path, self._body, headers)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        failure = "" if reply.status == 200 else f"{reply.status} {answer}"
        return answer.get("version", ""), failure, reply.getheader("Connection") == "close"


def order(server: Server, do: str, **given: Any) -> Any:
    """Give a running server an order, as the commands do, without a registry."""
    return ask(control(server.settings), do, seconds=120, by="hand", who="ann", reason="a test", **given)
