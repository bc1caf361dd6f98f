"""What a server does about a release by itself: a canary goes on or back, a bandit moves its weights.

Looks every second, at what the workers have counted and at the errors of rows whose labels have arrived. An
A/B test is only judged: a person ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.registry.trail import who
from runtime_lib.serving.releases import actions
from runtime_lib.serving.releases.canary import CanaryRelease
from runtime_lib.serving.releases.experiment import verdict_of_ab, weights_of_bandit
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.journal import State
from runtime_lib.serving.releases.judge import Verdict
from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Controller"]

_SECONDS_TO_LOOK = 1.0
_SECONDS_TO_MOVE = 60.0

Losses = Callable[[str], Awaitable[Mapping[str, Moments]]]


class Controller:
    """Carries a release on until it ends."""

    def __init__(self, supervisor: Supervisor, ask_losses: Losses) -> None:
        """
        Args:
            ask_losses: asked for the errors by version, of the labelled rows answered since a time.
        """
        self._supervisor, self._ask_losses = supervisor, ask_losses
        # What the release shows now; None: there is none, or it is not judged.
        self.verdict: Verdict | None = None
        # By version, of the rows since the release began whose labels have arrived.
        self.losses: Mapping[str, Moments] = {}
        self._began = ""
        self._canary: CanaryRelease | None = None
        self._moved = 0.0

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
        if state.plan is None:
            self.verdict, self.losses, self._began = None, {}, ""
            return
        if self._began != state.plan["began"]:
            self._began, self._moved = state.plan["began"], time.monotonic()
            is_canary = state.plan["kind"] == "canary"
            self._canary = CanaryRelease(self._supervisor, state.plan) if is_canary else None
        self.losses = await self._ask_losses(self._began)
        if self._canary:
            self.verdict = await self._canary.look(state, self.losses)
        elif state.plan["kind"] == "ab":
            self.verdict = verdict_of_ab(state.plan, self.losses)
        elif time.monotonic() - self._moved > _SECONDS_TO_MOVE:
            await self._move(state)

    async def _move(self, state: State) -> None:
        plan, self._moved = state.plan or {}, time.monotonic()
        weights = weights_of_bandit(plan, state.policy.weights, self.losses, seed=time.time_ns())
        if weights is None:
            return
        said = ", ".join(
            f"version {version} loses {held.mean:.4g} a row over {held.count:,} rows"
            for version, held in self.losses.items()
        )

        def decide(now: State) -> State:
            if now is not state:  # a person was faster
                raise ServiceError("traffic was changed meanwhile; this look does not count.")
            return actions.divide(now, weights, {}, salt=now.policy.salt, plan=now.plan)

        await self._supervisor.change(
            decide,
            action="moved",
            by="bandit",
            who=who(),
            reason=said,
        )
