"""What a supervisor knows of its workers: who is there, what they have counted, what went wrong with them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime_lib.errors import ServiceError
from runtime_lib.serving.control import Channel
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.traffic import Policy

__all__ = ["PROBE", "SHADOW", "Worker", "Workers"]

# How the names of processes begin that answer nobody: one tries whether a version loads, one shadows.
PROBE, SHADOW = "probe-", "shadow-"
# What happened to a worker is news for so long.
_SECONDS_OF_NEWS = 600.0


@dataclass
class Worker:
    """A worker that has connected.

    Attributes:
        address: where it is reached from other machines; empty: it shares the server's socket.
        leaving: it was asked to end, and finishes what is under way.
        failing: why it cannot log, and so does not answer.
        memory: resident bytes.
        shed: copies that it dropped because the shadow was behind.
        shadows: of a shadow: version → what it has compared.
    """

    name: str
    pid: int
    channel: Channel
    version: str
    address: str = ""
    since: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    ready: bool = False
    leaving: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    failing: str | None = None
    memory: int | None = None
    shed: int = 0
    shadows: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_probe(self) -> bool:
        return self.name.startswith(PROBE)

    @property
    def is_shadow(self) -> bool:
        return self.name.startswith(SHADOW)

    @property
    def age(self) -> float:
        """Seconds since it connected."""
        return time.monotonic() - self.since

    @property
    def silence(self) -> float:
        """Seconds since it last said something."""
        return time.monotonic() - self.heard

    def needs(self, policy: Policy) -> Sequence[str]:
        """The versions that it has to hold."""
        if self.is_probe:
            return policy.loaded
        return policy.shadows if self.is_shadow else tuple(policy.weights)

    def note(self, given: Mapping[str, Any]) -> None:
        """Take in what it says of itself."""
        self.heard = time.monotonic()
        if "counted" in given:
            self.metrics = Metrics.from_dict(given["counted"])
        self.failing = given.get("failing", self.failing)
        self.memory = given.get("memory", self.memory)
        self.shed = given.get("shed", self.shed)
        self.shadows = given.get("shadows", self.shadows)


class Workers(dict[str, Worker]):
    """The workers that are connected, by name."""

    def __init__(self) -> None:
        super().__init__()
        # How often a worker ended unasked.
        self.restarts = 0
        # Names of those that have answered: their end is no failure to start.
        self.answered: set[str] = set()
        self._ended = Metrics()
        self._news: deque[tuple[float, str]] = deque(maxlen=20)

    @property
    def ready(self) -> list[Worker]:
        """Those that carry out changes, a shadow included."""
        return [worker for worker in self.values() if worker.ready]

    @property
    def has_ready(self) -> bool:
        """Whether somebody answers."""
        return any(not worker.is_shadow for worker in self.ready)

    @property
    def news(self) -> tuple[str, ...]:
        """What went wrong lately, each once."""
        since = time.monotonic() - _SECONDS_OF_NEWS
        return tuple(dict.fromkeys(text for when, text in self._news if when > since))

    def of(self, channel: Channel) -> Worker:
        """The worker at the other end of a connection.

        Raises:
            ServiceError: it is none.
        """
        for worker in self.values():
            if worker.channel is channel:
                return worker
        raise ServiceError("This connection is of no worker.")

    def gone(self, channel: Channel) -> None:
        """Forget who was at the other end, but for what it has counted."""
        for name in [name for name, worker in self.items() if worker.channel is channel]:
            self._ended.add(self.pop(name).metrics)

    def ended(self, name: str, how: str) -> None:
        """Note that a worker's process ended unasked."""
        self.restarts += 1
        self.tell(f"{name} ended by {how}. Another one took its place.")

    def tell(self, news: str) -> None:
        """Say for some minutes that something went wrong."""
        self._news.append((time.monotonic(), news))

    def counted(self) -> Metrics:
        """What all have counted since the server started, those that have ended included."""
        together = Metrics()
        for metrics in (self._ended, *(worker.metrics for worker in self.values())):
            together.add(metrics)
        return together
