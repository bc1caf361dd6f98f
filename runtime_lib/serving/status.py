"""What a server says of itself: the answer of `GET /status`, and all that the page at `/` shows.

Times are ISO 8601 in UTC, memory is in bytes. A version is text, as the registry numbers it. Whoever reads it
from another server ignores names that it does not know, so that fields may be added; none may be removed or
change its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

__all__ = [
    "SERIES_SECONDS",
    "WHOLE",
    "Change",
    "LogState",
    "Loss",
    "Point",
    "ReleaseState",
    "ShadowState",
    "Status",
    "Traffic",
    "VersionState",
    "WorkerState",
    "read_status",
]

WHOLE = 1000
"""What the weights of the versions sum to: they are tenths of a percent."""
SERIES_SECONDS = 10
"""How long each point of the series lasts."""

Weights = Mapping[str, int]


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A process that predicts.

    Attributes:
        since: when it was started last.
        memory_bytes: resident; null where the system does not say.
        restarts: how often a worker of this server ended unasked, and was started again; the same for each.
    """

    name: str
    pid: int
    ready: bool
    since: datetime
    memory_bytes: int | None = None
    restarts: int = 0


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Which version answers a request.

    Attributes:
        weights: version → tenths of a percent, which sum to 1000.
        sticky: the header whose value keeps a caller at one version; empty: each request is drawn anew.
        shadow: versions that are asked too, and whose answers nobody gets.
    """

    kind: Literal["single", "canary", "ab", "blue-green", "bandit", "custom"] = "single"
    weights: Weights
    sticky: str = ""
    shadow: tuple[str, ...] = ()


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of the rows whose labels have come, with its interval, in the unit of the task."""

    rows: int
    mean: float
    low: float
    high: float


class VersionState(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is loaded, and what it did since the server started.

    Attributes:
        roles: the aliases under which the registry knows it.
        errors: requests that failed by the server's fault (5xx).
        rate_per_s: requests a second, over the last minute.
        p50_ms, p95_ms, p99_ms: from request to answer, over the last minute; null without a request.
    """

    version: str
    roles: tuple[str, ...] = ()
    weight: int = 0
    requests: int = 0
    rows: int = 0
    errors: int = 0
    rate_per_s: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    loss: Loss | None = None


class ShadowState(msgspec.Struct, frozen=True, kw_only=True):
    """How a shadow's answers compare with those that were given.

    Attributes:
        compared: rows that both answered. shed: requests that it was spared, being behind.
        failed: requests on which it failed.
        label_changes: compared rows for which it would have decided otherwise.
    """

    version: str
    compared: int = 0
    shed: int = 0
    failed: int = 0
    mean_difference: float | None = None
    largest_difference: float | None = None
    label_changes: int | None = None


class ReleaseState(msgspec.Struct, frozen=True, kw_only=True):
    """A release that is under way.

    Attributes:
        step: the place in `steps`, from 0.
        steps: weights of the new version, in tenths of a percent.
        verdict: what the figures say now.
        reasons: why, in words.
    """

    kind: Literal["canary", "ab", "blue-green", "bandit"]
    version: str
    against: str
    step: int = 0
    steps: tuple[int, ...] = ()
    since: datetime
    verdict: Literal["wait", "go on", "go back"] = "wait"
    reasons: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the traffic, as the journal keeps it.

    Attributes:
        who: the person, or what runs on its own.
        by: what decided: "hand", "canary", "gate", …
    """

    time: datetime
    who: str
    action: str
    before: Weights | None = msgspec.field(default=None, name="from")
    after: Weights | None = msgspec.field(default=None, name="to")
    reason: str = ""
    by: str = "hand"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Ten seconds that began at `time`, by version: how many requests, and how slow the slowest hundredth."""

    time: datetime
    requests: Mapping[str, int] = {}
    p99_ms: Mapping[str, float | None] = {}


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """The prediction log. `failing`: why it takes no rows, in words; null when it does."""

    failing: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        time: when these figures were taken. since: when the server started.
        revision: of the traffic; each change raises it.
        front: what shares the connections out among the workers.
        follow: the alias whose version is served; empty where traffic is set by hand.
        history: the last ten changes.
        series: the last ten minutes, in order.
        problems: what else somebody should know, each in a sentence.
    """

    model: str
    task: str
    time: datetime
    since: datetime
    revision: int = 0
    engine: str = "local"
    front: Literal["haproxy", "none"] = "none"
    follow: str = ""
    workers: tuple[WorkerState, ...] = ()
    traffic: Traffic
    versions: tuple[VersionState, ...] = ()
    shadow: tuple[ShadowState, ...] = ()
    release: ReleaseState | None = None
    history: tuple[Change, ...] = ()
    series: tuple[Point, ...] = ()
    log: LogState = LogState()
    problems: tuple[str, ...] = ()


def read_status(found: Mapping[str, Any] | bytes) -> Status:
    """Read the answer of `GET /status`.

    Raises:
        msgspec.ValidationError: it is another document; the message names the field.
    """
    if isinstance(found, bytes):
        return msgspec.json.decode(found, type=Status)
    return msgspec.convert(found, Status)
