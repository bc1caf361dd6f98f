"""An A/B test and a bandit as releases: how they begin, and what their labelled rows say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from runtime_lib.errors import SettingsError
from runtime_lib.serving.releases import actions, bandit
from runtime_lib.serving.releases.ab import Size, compare, size_of_means
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.releases.journal import Held, State
from runtime_lib.serving.releases.judge import Outcome, Verdict
from runtime_lib.serving.traffic import SLOTS

__all__ = ["begin_ab", "begin_bandit", "verdict_of_ab", "weights_of_bandit"]

# A bandit's weights are moved if one of them changes by so much: each move is a line of the journal.
_LEAST_MOVE = 50


def begin_ab(
    state: State, version: str, held: Held, *, share: int, effect: float, spread: float
) -> tuple[State, Size]:
    """Begin an A/B test of a version against the one that has the most traffic, and say what it needs.

    Args:
        share: of the traffic that the version gets, in tenths of a percent.
        effect: the smallest difference of the mean error per row that matters, in the task's unit.
        spread: standard deviation of the error per row.

    Raises:
        SettingsError: the version serves already, or a number is out of its range.
    """
    other = _beside(state, version)
    size = size_of_means(spread, effect, share=share / SLOTS)
    plan = {
        "kind": "ab",
        "began": datetime.now(UTC).isoformat(),
        "a": other,
        "b": version,
        "effect": effect,
        "size": asdict(size),
    }
    weights = {version: share, other: SLOTS - share}
    salt = f"ab {other} {version}"
    return actions.divide(state, weights, {version: held}, salt=salt, plan=plan), size


def begin_bandit(state: State, version: str, held: Held) -> State:
    """Begin with equal shares of a version and the one that has the most traffic.

    Raises:
        SettingsError: it serves already.
    """
    other = _beside(state, version)
    plan = {"kind": "bandit", "began": datetime.now(UTC).isoformat(), "versions": [other, version]}
    weights = {version: SLOTS // 2, other: SLOTS - SLOTS // 2}
    return actions.divide(state, weights, {version: held}, salt=f"bandit {version}", plan=plan)


def verdict_of_ab(plan: Mapping[str, Any], losses: Mapping[str, Moments]) -> Verdict:
    """What an A/B test has shown; it may stop at anything but "wait", and a person decides."""
    a, b = (losses.get(plan[name], Moments()) for name in "ab")
    found = compare(a, b, effect=plan["effect"])
    rows, wanted = a.count + b.count, plan["size"]["any_time"]
    seen = f"{rows:,} labelled rows of about {wanted:,}"
    if found.difference is None:
        return Verdict("wait", (f"{seen}; at least 100 of each version are needed.",))
    figures = (
        f"Version {plan['b']} loses {found.difference:+.4g} a row against version {plan['a']} "
        f"({found.low:+.4g} to {found.high:+.4g}), on {seen}"
    )
    outcome, said = _FINDINGS[found.finding]
    return Verdict(outcome, (f"{figures}: {said}",))


def weights_of_bandit(
    plan: Mapping[str, Any], weights: Mapping[str, int], losses: Mapping[str, Moments], *, seed: int
) -> dict[str, int] | None:
    """The weights by what was seen; None: they would hardly change."""
    found = bandit.by_losses(
        {version: losses.get(version, Moments()) for version in plan["versions"]}, seed=seed
    )
    moved = max(abs(found[version] - weights.get(version, 0)) for version in found)
    return found if moved >= _LEAST_MOVE else None


def _beside(state: State, version: str) -> str:
    if state.policy.weights.get(version):
        raise SettingsError(f"Version {version} serves already. Release another one.")
    return state.policy.loaded[0]


_FINDINGS: Mapping[str, tuple[Outcome, str]] = {
    "higher": ("go back", "it is worse, and the test may stop."),
    "lower": ("go on", "it is better, and the test may stop."),
    "same": ("go on", "no difference that matters, and the test may stop."),
    "open": ("wait", "nothing is shown yet."),
}
