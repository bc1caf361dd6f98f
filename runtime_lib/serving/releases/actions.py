"""What a release does to the state of a server: pure functions, from the state to the one after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.traffic import SLOTS, Policy, said

__all__ = [
    "KINDS",
    "all_to",
    "divide",
    "fits",
    "given_back",
    "left",
    "roll_back",
    "shadow",
    "stage",
    "unshadow",
]

# What a release that has a plan is called.
KINDS = {"ab": "A/B test", "bandit": "bandit", "canary": "canary"}
# A rollback may go back so far.
_MOST_SETTLED = 10


def all_to(state: State, version: str, held: Held) -> State:
    """All traffic to a version; the one before stays loaded, so that going back takes no loading."""
    return _settled(state, version, {version: held})


def stage(state: State, version: str, held: Held) -> State:
    """Load a version that answers only who asks for it by name.

    Raises:
        SettingsError: it has traffic.
    """
    if weight := state.policy.weights.get(version):
        raise SettingsError(f"Version {version} has {weight / 10:g} % of the traffic: it is loaded already.")
    if version in state.policy.weights:
        return state
    weights = {**state.policy.weights, version: 0}
    return _with(
        state, replace(state.policy, weights=weights, shadows=_without(state, version)), {version: held}
    )


def divide(
    state: State,
    weights: Mapping[str, int],
    models: Mapping[str, Held],
    *,
    salt: str = "",
    plan: Mapping[str, Any] | None = None,
) -> State:
    """Divide traffic by hand, or for a release with a plan.

    Args:
        models: the files of versions that are not loaded yet.

    Raises:
        SettingsError: weights that are none.
        DataError: a version's files are not here.
    """
    alone = next((version for version, weight in weights.items() if weight == SLOTS), None)
    if alone and not plan:
        return _settled(state, alone, models, others=weights)
    shadows = tuple(each for each in state.policy.shadows if each not in weights)
    # What is loaded and waits goes on waiting.
    staged = {each: 0 for each, weight in state.policy.weights.items() if not weight and each not in weights}
    return _with(replace(state, plan=plan), Policy({**weights, **staged}, shadows, salt), models)


def shadow(state: State, version: str, held: Held) -> State:
    """Send a version a copy of each request; it answers nobody.

    Raises:
        SettingsError: it has traffic.
    """
    weights = {each: weight for each, weight in state.policy.weights.items() if weight or each != version}
    policy = Policy(weights, (*_without(state, version), version), state.policy.salt)
    return _with(state, policy, {version: held})


def unshadow(state: State, version: str) -> State:
    """Send a version no more copies.

    Raises:
        SettingsError: it is no shadow.
    """
    if version not in state.policy.shadows:
        raise SettingsError(
            f"Version {version} is no shadow. Shadows: {', '.join(state.policy.shadows) or 'none'}."
        )
    return _with(state, replace(state.policy, shadows=_without(state, version)), {})


def roll_back(state: State) -> tuple[State, str]:
    """Back to the version that had all traffic before what is on now, and which that is.

    Raises:
        DataError: there was none.
    """
    settled = state.settled
    if settled and state.policy.only == settled[-1]:
        settled = settled[:-1]
    if not settled:
        raise DataError(
            f"There is nothing to go back to: {said(state.policy.weights)}, and no version had all before."
        )
    policy = Policy.all_to(settled[-1])
    shadows = tuple(each for each in state.policy.shadows if each != settled[-1])
    back = replace(state, settled=settled, plan=None)
    return given_back(state, _with(back, replace(policy, shadows=shadows), {})), settled[-1]


def given_back(state: State, back: State) -> State:
    """`back`, in which one version has all traffic again, and is to be champion again if that was followed.

    Otherwise the champion that was left would be news, and be released again.
    """
    version = back.policy.only
    if version and state.followed in left(state.policy.weights, version):
        return replace(back, followed=version)
    return back


def left(weights: Mapping[str, int], version: str) -> list[str]:
    """The versions that lose their traffic when all of it goes to one."""
    return [each for each, weight in weights.items() if weight and each != version]


def fits(version: str, new: Mapping[str, Any], present: str, old: Mapping[str, Any]) -> str:
    """Why callers of `present` cannot be answered by `version`; empty: they can.

    Args:
        new, old: what a worker says of each: its task, outputs and columns.
    """
    if new["task"] != old["task"]:
        return f"Version {version} answers a {new['task']} task, version {present} a {old['task']} one."
    if new["outputs"] != old["outputs"]:
        return (
            f"Version {version} answers {', '.join(new['outputs'])}, version {present} "
            f"{', '.join(old['outputs'])}."
        )
    if more := [name for name in new["columns"] if name not in old["columns"]]:
        return f"Version {version} takes '{more[0]}', which callers of version {present} do not send."
    if less := [name for name in old["columns"] if name not in new["columns"]]:
        return f"Version {version} does not take '{less[0]}', which callers of version {present} send."
    if other := [name for name, kind in new["columns"].items() if kind != old["columns"][name]]:
        kinds = new["columns"][other[0]], old["columns"][other[0]]
        return f"Version {version} takes '{other[0]}' as a {kinds[0]}, version {present} as a {kinds[1]}."
    return ""


def _settled(
    state: State, version: str, models: Mapping[str, Held], *, others: Mapping[str, int] | None = None
) -> State:
    before = state.settled[-1:] if state.settled[-1:] != (version,) else state.settled[-2:-1]
    weights = {version: SLOTS, **{each: 0 for each in (*before, *(others or ())) if each != version}}
    settled = state.settled if state.settled[-1:] == (version,) else (*state.settled, version)
    policy = Policy(weights, _without(state, version), "")
    return _with(replace(state, settled=settled[-_MOST_SETTLED:], plan=None), policy, models)


def _with(state: State, policy: Policy, models: Mapping[str, Held]) -> State:
    """With another policy, and the files of what it or a rollback needs."""
    known = {**state.models, **models}
    needed = (*policy.weights, *policy.shadows)
    if unknown := [version for version in needed if version not in known]:
        raise DataError(
            f"Version {unknown[0]} is not loaded, only {', '.join(state.policy.loaded)}. "
            f"`mlops deploy {unknown[0]} --stage` loads it, and gives it no traffic."
        )
    kept = {version: held for version, held in known.items() if version in (*needed, *state.settled)}
    return replace(state, policy=policy, models=kept)


def _without(state: State, version: str) -> tuple[str, ...]:
    return tuple(each for each in state.policy.shadows if each != version)
