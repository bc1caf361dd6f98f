"""What the commands ask of a running server: its status, and changes of traffic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from runtime_lib.errors import DataError, ServiceError, SettingsError
from runtime_lib.registry.trail import who
from runtime_lib.serving.releases import actions
from runtime_lib.serving.releases.canary import begin_canary
from runtime_lib.serving.releases.experiment import begin_ab, begin_bandit
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.journal import Change, Held, State
from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Commands"]


class Commands:
    """The commands, by name; each takes and returns what JSON can hold."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.look: Callable[[], None] = lambda: None
        self.status: Callable[[], dict[str, Any]] = dict
        self.ask_losses: Callable[[str], Awaitable[Mapping[str, Moments]]] = _no_losses
        self._known: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "follow": self._follow,
            "renew": self._renew,
            "status": self._status,
            "deploy": self._deploy,
            "traffic": self._traffic,
            "roll back": self._roll_back,
        }

    async def __call__(self, do: str, given: dict[str, Any]) -> Any:
        if do not in self._known:
            raise ServiceError(
                f"The server that runs does not know '{do}'. Restart it: it is of another version."
            )
        return await self._known[do](given)

    async def follow(self, version: str, held: Mapping[str, str]) -> None:
        """Release the version that has become champion.

        Raises:
            MlopsError: it cannot be served. Then nothing has changed.
        """
        files = Held(**held)
        await self._check_fit(version, files)
        how, plan = self._supervisor.settings.serving.rollout, self._supervisor.state.plan
        ended = f", which ended the {actions.KINDS[plan['kind']]} under way" if plan else ""

        def decide(state: State) -> State:
            # One that was deployed by hand has the traffic already.
            released = state if state.policy.only == version else self._released(state, version, files, how)
            return replace(released, followed=version)

        await self._supervisor.change(
            decide,
            action=_SAID[how],
            by="champion",
            who=who(),
            reason=f"version {version} became champion{ended}",
        )

    async def _status(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self.status()

    async def _follow(self, given: Mapping[str, Any]) -> None:
        self.look()

    async def _renew(self, given: Mapping[str, Any]) -> None:
        await self._supervisor.renew()

    async def _deploy(self, given: Mapping[str, Any]) -> dict[str, Any]:
        version, held, how = given["version"], Held(**given["held"]), given["how"]
        if how == "ab":
            return await self._deploy_ab(version, held, given)
        if how not in (*_HOW, _CANARY):
            raise SettingsError(f"'{how}' is no way to deploy: {', '.join((*_HOW, _CANARY, 'ab'))}.")
        self._check_free(how)
        await self._check_fit(version, held)
        return await self._change(lambda state: self._released(state, version, held, how), _SAID[how], given)

    def _check_free(self, how: str) -> None:
        """
        Raises:
            SettingsError: a release is under way, and another one would end it unasked.
        """
        plan = self._supervisor.state.plan
        if plan and how in (_CANARY, "ab", "bandit"):
            raise SettingsError(
                f"A release is under way already ({actions.KINDS[plan['kind']]}): `mlops traffic` says how "
                f"it stands. End it with `mlops rollback`, or by dividing traffic by hand."
            )

    async def _deploy_ab(self, version: str, held: Held, given: Mapping[str, Any]) -> dict[str, Any]:
        """Begin an A/B test; its answer says how many labelled rows it needs."""
        self._check_free("ab")
        present = self._supervisor.state.policy.loaded[0]
        found = await self.ask_losses(_EVER)
        spread = given.get("spread") or _deviation(found.get(present, Moments()))
        if not spread:
            raise SettingsError(
                f"No row of version {present} has a label yet, so nobody knows how much its errors vary: "
                f"give --spread, the standard deviation of the error per row."
            )
        await self._check_fit(version, held)

        def decide(state: State) -> State:
            share, effect = given["share"], given["effect"]
            return begin_ab(state, version, held, share=share, effect=effect, spread=spread)[0]

        change = await self._change(decide, "began an A/B test", given)
        return {**change, "needs": (self._supervisor.state.plan or {}).get("size")}

    def _released(self, state: State, version: str, held: Held, how: str) -> State:
        if how == _CANARY:
            return begin_canary(state, version, held, self._supervisor.settings.serving.canary)
        return _HOW[how](state, version, held)

    async def _traffic(self, given: Mapping[str, Any]) -> dict[str, Any]:
        models = {version: Held(**held) for version, held in given.get("models", {}).items()}

        def decide(state: State) -> State:
            for version in given.get("unshadow", ()):
                state = actions.unshadow(state, version)
            if weights := given.get("weights"):
                state = actions.divide(state, weights, models)
            return state

        ended = [f"ended the shadow {version}" for version in given.get("unshadow", ())]
        return await self._change(decide, ", ".join(ended) or "traffic", given)

    async def _roll_back(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return await self._change(lambda state: actions.roll_back(state)[0], "rolled back", given, must=True)

    async def _change(
        self, decide: Callable[[State], State], action: str, given: Mapping[str, Any], *, must: bool = False
    ) -> dict[str, Any]:
        if "reason" not in given:
            raise SettingsError("A change of traffic needs a reason.")
        change: Change = await self._supervisor.change(
            decide, action=action, by=given["by"], who=given["who"], reason=given["reason"], must=must
        )
        self.look()
        return change.to_dict()

    async def _check_fit(self, version: str, held: Held) -> None:
        """
        Raises:
            DataError: callers of what is in service cannot be answered by this version.
        """
        state = self._supervisor.state
        present = state.policy.loaded[0]
        if version in state.policy.loaded:
            return
        found = await self._supervisor.try_out(actions.stage(state, version, held))
        if why := actions.fits(version, found[version], present, found[present]):
            raise DataError(f"{why} It gets no traffic.")


_HOW: Mapping[str, Callable[[State, str, Held], State]] = {
    "at once": actions.all_to,
    "stage": actions.stage,
    "shadow": actions.shadow,
    "bandit": begin_bandit,
}
_CANARY = "canary"
_SAID = {
    "at once": "deployed",
    "stage": "staged",
    "shadow": "began a shadow",
    "canary": "began a canary",
    "bandit": "began a bandit",
}
# Labels of all time tell how much errors vary.
_EVER = "2000-01-01T00:00:00+00:00"


def _deviation(losses: Moments) -> float:
    return (losses.squares / (losses.count - 1)) ** 0.5 if losses.count > 1 else 0.0


async def _no_losses(since: str) -> Mapping[str, Moments]:
    return {}
