"""What a server does about a release by itself: a canary goes on, or goes back.

Looks every second, at what the workers have counted and at the losses of rows whose labels have arrived. All
that it decides by is in the journal with its decision, so that a server that was killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.registry.trail import who
from runtime_lib.serving.releases import actions, steps
from runtime_lib.serving.releases.evidence import Evidence
from runtime_lib.serving.releases.figures import Figures, Moments
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.releases.judge import Verdict, judge
from runtime_lib.serving.releases.rules import Rules
from runtime_lib.serving.releases.steps import Plan, Progress
from runtime_lib.serving.supervisor import Supervisor
from runtime_lib.settings.tables import Canary

__all__ = ["Controller", "canary"]

_SECONDS_TO_LOOK = 1.0
# Workers that end while a canary has traffic end because of it, as far as anybody can tell.
_MOST_CRASHES = 2

Losses = Callable[[str], Awaitable[Mapping[str, Moments]]]


def canary(state: State, version: str, held: Held, settings: Canary) -> State:
    """Begin a canary: its first step of the traffic, beside the version that has the most.

    Raises:
        SettingsError: it serves already, or the steps do not lead to all of the traffic.
    """
    plan, champion = _plan(settings), state.policy.loaded[0]
    progress = steps.begin(plan, canary=version, champion=champion, now=time.time())
    models = {version: held, champion: state.models[champion]}
    stored = {
        "kind": "canary",
        "began": datetime.now(UTC).isoformat(),
        "progress": progress.to_dict(),
        "evidence": Evidence().to_dict(),
    }
    return actions.divide(state, progress.weights(plan), models, salt=f"canary {version}", plan=stored)


class Controller:
    """Carries a release on until it ends."""

    def __init__(self, supervisor: Supervisor, ask_losses: Losses) -> None:
        """
        Args:
            ask_losses: asked for the losses by version, of the rows answered since a time.
        """
        self._supervisor, self._ask_losses = supervisor, ask_losses
        self.verdict: Verdict | None = None
        # By version, of the rows since the release began whose labels have arrived.
        self.losses: Mapping[str, Moments] = {}
        self._release: object = None
        self._evidence = Evidence()
        self._offsets: dict[str, tuple[Figures, Figures]] = {}
        self._restarts = 0

    async def run(self) -> None:
        """Look until cancelled."""
        await self._supervisor.ready.wait()
        while True:
            await asyncio.sleep(_SECONDS_TO_LOOK)
            try:
                await self._look()
                self._supervisor.problems.pop("release", None)
            except MlopsError as error:
                self._supervisor.problems["release"] = f"The release: {error}"

    async def _look(self) -> None:
        state = self._supervisor.state
        kind = (state.plan or {}).get("kind")
        if kind == "canary":
            await self._look_at_canary(state)
        else:
            self._release = self.verdict = None

    async def _look_at_canary(self, state: State) -> None:
        assert state.plan is not None
        held = self._supervisor.settings.serving.canary
        plan, rules = _plan(held), _rules(held)
        progress = Progress.from_dict(state.plan["progress"])
        self._begin(state.plan)
        self.losses = await self._ask_losses(state.plan["began"])
        figures = [self._figures(version) for version in (progress.canary, progress.champion)]
        self._evidence = self._evidence.look(figures[0], figures[1], rules, step=progress.step)
        self.verdict = judge(self._evidence, rules, canary=progress.canary, champion=progress.champion)
        crashes = self._supervisor.restarts - self._restarts
        if crashes >= _MOST_CRASHES:
            said = f"Workers ended {crashes} times since version {progress.canary} has traffic."
            self.verdict = Verdict("go back", (said, *self.verdict.reasons))
        after = steps.advance(progress, plan, self.verdict, time.time())
        if after is not progress:
            await self._carry_out(state, after, plan)

    def _begin(self, stored: Mapping[str, Any]) -> None:
        """Take up a release: one that has just begun, or that a killed server was in the middle of."""
        if self._release != stored["began"]:
            self._release, self._restarts = stored["began"], self._supervisor.restarts
            self._evidence = Evidence.from_dict(stored["evidence"])
            progress = Progress.from_dict(stored["progress"])
            counted = self._supervisor.counted().versions
            # What was counted before the release is left out, what a killed server had counted is added.
            self._offsets = {
                progress.canary: (self._evidence.canary, counted[progress.canary]),
                progress.champion: (self._evidence.champion, counted[progress.champion]),
            }

    def _figures(self, version: str) -> Figures:
        """Of a version since the release began."""
        known, before = self._offsets[version]
        figures = known + (self._supervisor.counted().versions[version] - before)
        return replace(figures, losses=self.losses.get(version, Moments()))

    async def _carry_out(self, state: State, after: Progress, plan: Plan) -> None:
        figures = {
            after.canary: _said(self._evidence.canary),
            after.champion: _said(self._evidence.champion),
        }
        assert state.plan is not None
        stored = {**state.plan, "progress": after.to_dict(), "evidence": self._evidence.to_dict()}

        def decide(now: State) -> State:
            if now is not state:  # a person was faster
                raise ServiceError("traffic was changed meanwhile; this look does not count.")
            if after.outcome == "running":
                return actions.divide(now, after.weights(plan), {}, salt=now.policy.salt, plan=stored)
            if after.outcome == "returned":
                back = actions.all_to(now, after.champion, now.models[after.champion])
                return actions.given_back(now, back)
            return actions.all_to(now, after.canary, now.models[after.canary])

        action = {"running": "moved on", "released": "released", "returned": "rolled back"}[after.outcome]
        reason = " ".join(after.reasons)
        await self._supervisor.change(
            decide, action=action, by="canary", who=who(), reason=reason, figures=figures
        )


def _plan(settings: Canary) -> Plan:
    return Plan(
        tuple(round(10 * percent) for percent in settings.steps),
        settings.least_seconds,
        settings.longest_seconds,
        settings.unproven,
    )


def _rules(settings: Canary) -> Rules:
    return Rules(
        confidence=settings.confidence,
        min_requests=settings.min_requests,
        error_margin=settings.error_margin,
        latency_margin=settings.latency_margin,
        loss_margin=settings.loss_margin or None,
    )


def _said(figures: Figures) -> dict[str, Any]:
    """What the journal keeps of a version's figures."""
    took = {name: figures.latencies.quantile(share) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {
        "requests": figures.requests,
        "errors": figures.errors,
        **{f"{name}_seconds": round(value, 6) for name, value in took.items() if value is not None},
        "labelled": figures.losses.count,
        "loss": figures.losses.mean if figures.losses.count else None,
    }
