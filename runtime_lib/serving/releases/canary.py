"""A canary as a release: it goes on step by step, or goes back.

All that it is decided by is in the journal with the decision, so that a server that was killed goes on where
it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runtime_lib.errors import ServiceError
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

__all__ = ["CanaryRelease", "begin_canary"]

# Workers that end while a canary has traffic end because of it, as far as anybody can tell.
_MOST_CRASHES = 2


def begin_canary(state: State, version: str, held: Held, settings: Canary) -> State:
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


class CanaryRelease:
    """One that is under way: begun just now, or taken up where a killed server was."""

    def __init__(self, supervisor: Supervisor, plan: Mapping[str, Any]) -> None:
        self._supervisor, self._restarts = supervisor, supervisor.workers.restarts
        self._evidence = Evidence.from_dict(plan["evidence"])
        progress, counted = Progress.from_dict(plan["progress"]), supervisor.workers.counted().versions
        # What was counted before the release is left out, what a killed server had counted is added.
        self._offsets = {
            progress.canary: (self._evidence.canary, counted[progress.canary]),
            progress.champion: (self._evidence.champion, counted[progress.champion]),
        }

    async def look(self, state: State, losses: Mapping[str, Moments]) -> Verdict:
        """Judge, and carry out what follows."""
        assert state.plan is not None
        held = self._supervisor.settings.serving.canary
        plan, rules = _plan(held), _rules(held)
        progress = Progress.from_dict(state.plan["progress"])
        canary, champion = (
            self._figures(version, losses) for version in (progress.canary, progress.champion)
        )
        self._evidence = self._evidence.look(canary, champion, rules, step=progress.step)
        verdict = judge(self._evidence, rules, canary=progress.canary, champion=progress.champion)
        crashes = self._supervisor.workers.restarts - self._restarts
        if crashes >= _MOST_CRASHES:
            said = f"Workers ended {crashes} times since version {progress.canary} has traffic."
            verdict = Verdict("go back", (said, *verdict.reasons))
        after = steps.advance(progress, plan, verdict, time.time())
        if after is not progress:
            await self._carry_out(state, after, plan)
        return verdict

    def _figures(self, version: str, losses: Mapping[str, Moments]) -> Figures:
        """Of a version since the release began."""
        known, before = self._offsets[version]
        figures = known + (self._supervisor.workers.counted().versions[version] - before)
        return replace(figures, losses=losses.get(version, Moments()))

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
            decide,
            action=action,
            by="canary",
            who=who(),
            reason=reason,
            figures=figures,
            must=after.outcome == "returned",
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
