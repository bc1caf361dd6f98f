"""What else has changed when performance drops: where a person would look first."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_lib.errors import MlopsError
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.settings import Settings

__all__ = ["causes"]

_MOST = 3  # of each kind
_HOT = ("Heavy", "Trapping", "Sleeping")


def causes(settings: Settings, verdict: Verdict) -> tuple[str, ...]:
    """Suggest causes, what is surest first: features, bad rows, drift, a part of the rows, data, heat."""
    return (
        *_skew(verdict),
        *_quality(verdict),
        *_drift(verdict),
        *_slices(verdict),
        *_data(settings),
        *_machine(settings),
    )


def _skew(verdict: Verdict) -> Sequence[str]:
    names = [column.name for column in verdict.skew.columns][:_MOST]
    return [f"rows are served with other features than in training: {', '.join(names)}"] if names else []


def _quality(verdict: Verdict) -> Sequence[str]:
    broken = [each.rule.name for each in verdict.quality.broken] if verdict.quality else []
    return [f"served rows break quality rules: {', '.join(broken[:_MOST])}"] if broken else []


def _drift(verdict: Verdict) -> Sequence[str]:
    drifted = [column for column in verdict.columns if column.drifted][:_MOST]
    found = [f"{column.name} has drifted: {column.change or column.reasons[0]}" for column in drifted]
    if verdict.prediction_drifted and not drifted:
        found.append("the answers have moved, and no input by itself")
    return found


def _slices(verdict: Verdict) -> Sequence[str]:
    worse = [each for each in verdict.slices if each.worse][:_MOST]
    return [
        f"rows with {each.column} = {'(missing)' if each.value is None else each.value} do worse: "
        f"{each.live:.3f} against {each.others:.3f} of all others"
        for each in worse
    ]


def _data(settings: Settings) -> Sequence[str]:
    """What DVC has another version of than when the last model was trained."""
    from runtime_lib.tracking.lineage import data_versions
    from runtime_lib.tracking.record import read, record_folder

    try:
        before, now = read(record_folder(settings))[0].data, data_versions(settings.root)
    except MlopsError:  # nothing was trained here, or it cannot be told
        return []
    changed = sorted(path for path in before.keys() & now.keys() if before[path] != now[path])
    if not changed:
        return []
    names = ", ".join(changed[:_MOST]) + (" and others" if len(changed) > _MOST else "")
    return [f"data is of another version than the last training had: {names}"]


def _machine(settings: Settings) -> Sequence[str]:
    from runtime_lib.hardware.read.state import state

    thermal = state().thermal
    return [f"this machine throttles: thermal pressure {thermal}"] if thermal in _HOT else []
