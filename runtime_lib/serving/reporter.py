"""The status of a server, made of what its supervisor knows: for the page, for commands, for machines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal

import msgspec

from runtime_lib.errors import DataError
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.releases.controller import Controller
from runtime_lib.serving.releases.figures import Figures, Moments
from runtime_lib.serving.status import (
    SERIES_SECONDS,
    Change,
    LogState,
    Loss,
    Point,
    ReleaseState,
    ShadowState,
    Status,
    Traffic,
    VersionState,
    WorkerState,
)
from runtime_lib.serving.supervisor import Supervisor
from runtime_lib.serving.workers import Worker

__all__ = ["Reporter"]

_POINTS = 60
# Points that rates and latencies are of: the last minute.
_RECENT = 6
_CHANGES = 10
_Z90 = NormalDist().inv_cdf(0.95)

Kind = Literal["single", "canary", "ab", "blue-green", "bandit", "custom"]


class Reporter:
    """Remembers the last ten minutes, point by point."""

    def __init__(self, supervisor: Supervisor, controller: Controller) -> None:
        self._supervisor, self._controller = supervisor, controller
        self._since = datetime.now(UTC)
        # What had been counted at the beginning of each point.
        self._counted: deque[tuple[datetime, Metrics]] = deque(maxlen=_POINTS + 1)
        self._counted.append((self._since, Metrics()))

    async def run(self) -> None:
        """Remember until cancelled."""
        while True:
            await asyncio.sleep(SERIES_SECONDS)
            self._counted.append((datetime.now(UTC), self._supervisor.workers.counted()))

    def status(self) -> dict[str, Any]:
        """The status now, as JSON has it; see `runtime_lib.serving.status`."""
        found: dict[str, Any] = msgspec.to_builtins(self._status())
        return found

    def _status(self) -> Status:
        held, state = self._supervisor, self._supervisor.state
        changes, unread = self._changes()
        counted = held.workers.counted()
        workers = tuple(_worker(worker, held.workers.restarts) for worker in held.workers.values())
        signature = next(iter(held.signatures.values()), {"task": ""})
        return Status(
            model=state.model,
            task=signature["task"],
            time=datetime.now(UTC),
            since=self._since,
            revision=len(changes),
            engine=held.settings.serving.engine,
            front=held.front,
            follow=held.settings.serving.follow,
            workers=workers,
            traffic=Traffic(
                kind=self._kind(),
                weights=state.policy.weights,
                sticky=held.settings.serving.sticky,
                shadow=state.policy.shadows,
            ),
            versions=tuple(self._version(version, counted) for version in state.policy.loaded),
            shadow=self._shadows(),
            release=self._release(),
            history=tuple(reversed(changes[-_CHANGES:])),
            series=self._series(),
            log=LogState(failing=next((w.failing for w in held.workers.values() if w.failing), None)),
            problems=(*held.problems.values(), *unread, *held.workers.news),
        )

    def _changes(self) -> tuple[Sequence[Change], Sequence[str]]:
        """Those of the journal, newest last, or why it cannot be read: traffic goes on without it."""
        try:
            return [_change(change.to_dict()) for change in self._supervisor.journal.changes()], ()
        except DataError as error:
            return (), (str(error),)

    def _kind(self) -> Kind:
        policy, plan = self._supervisor.state.policy, self._supervisor.state.plan
        if plan:
            kind: Kind = plan["kind"]
            return kind
        return "single" if policy.only else "custom"

    def _version(self, version: str, counted: Metrics) -> VersionState:
        figures = counted.versions[version]
        time, before = self._counted[max(0, len(self._counted) - _RECENT)]
        recent = figures - before.versions[version]
        seconds = max(1.0, (datetime.now(UTC) - time).total_seconds())
        p50, p95, p99 = (_ms(recent.latencies.quantile(share)) for share in (0.5, 0.95, 0.99))
        state = self._supervisor.state
        return VersionState(
            version=version,
            roles=("champion",) if version == state.followed else (),
            weight=state.policy.weights.get(version, 0),
            requests=figures.requests,
            rows=figures.rows,
            errors=figures.errors,
            rate_per_s=round(recent.requests / seconds, 3),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            loss=_loss(self._controller.losses.get(version)),
        )

    def _shadows(self) -> tuple[ShadowState, ...]:
        workers = self._supervisor.workers.values()
        shed = sum(worker.shed for worker in workers)
        found = {version: each for worker in workers for version, each in worker.shadows.items()}
        return tuple(
            _shadow(version, found.get(version), shed) for version in self._supervisor.state.policy.shadows
        )

    def _release(self) -> ReleaseState | None:
        plan, verdict = self._supervisor.state.plan, self._controller.verdict
        if not plan:
            return None
        outcome, reasons = (verdict.outcome, verdict.reasons) if verdict else ("wait", ())
        if plan["kind"] != "canary":
            against, version = plan.get("versions") or (plan["a"], plan["b"])
            since = datetime.fromisoformat(plan["began"])
            return ReleaseState(
                kind=plan["kind"],
                version=version,
                against=against,
                since=since,
                verdict=outcome,
                reasons=reasons,
            )
        progress = plan["progress"]
        return ReleaseState(
            kind="canary",
            version=progress["canary"],
            against=progress["champion"],
            step=progress["step"],
            steps=tuple(round(10 * each) for each in self._supervisor.settings.serving.canary.steps),
            since=datetime.fromtimestamp(progress["since"], UTC),
            verdict=outcome,
            reasons=reasons,
        )

    def _series(self) -> tuple[Point, ...]:
        points = [*self._counted]
        return tuple(_point(time, before, after) for (time, before), (_, after) in pairwise(points))


def _point(time: datetime, before: Metrics, after: Metrics) -> Point:
    made: Mapping[str, Figures] = {v: after.versions[v] - before.versions[v] for v in [*after.versions]}
    return Point(
        time=time,
        requests={version: figures.requests for version, figures in made.items()},
        p99_ms={version: _ms(figures.latencies.quantile(0.99)) for version, figures in made.items()},
    )


def _worker(worker: Worker, restarts: int) -> WorkerState:
    return WorkerState(
        name=worker.name,
        pid=worker.pid,
        ready=worker.ready,
        since=datetime.now(UTC) - timedelta(seconds=worker.age),
        memory_bytes=worker.memory,
        restarts=restarts,
    )


def _change(change: Mapping[str, Any]) -> Change:
    return Change(
        time=datetime.fromisoformat(change["time"]),
        who=change["who"],
        action=change["action"],
        before=change["before"] or None,
        after=change["after"],
        reason=change["reason"],
        by=change["by"],
    )


def _shadow(version: str, found: Mapping[str, Any] | None, shed: int) -> ShadowState:
    if not found or not found["compared"]:
        return ShadowState(version=version, shed=shed, failed=found["failed"] if found else 0)
    return ShadowState(
        version=version,
        compared=found["compared"],
        shed=found["shed"] + shed,
        failed=found["failed"],
        mean_difference=found["total"] / found["compared"],
        largest_difference=found["largest"],
        label_changes=found["label_changes"],
    )


def _loss(moments: Moments | None) -> Loss | None:
    if moments is None or moments.count < 2:
        return None
    half = _Z90 * (moments.squares / (moments.count - 1) / moments.count) ** 0.5
    return Loss(rows=moments.count, mean=moments.mean, low=moments.mean - half, high=moments.mean + half)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)
