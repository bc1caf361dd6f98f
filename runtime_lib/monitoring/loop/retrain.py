"""Start a retraining when performance has dropped, and see it through to the release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from runtime_lib.errors import MlopsError, ServiceError
from runtime_lib.locks import try_lock
from runtime_lib.monitoring.loop.airflow import ask_for_retraining
from runtime_lib.monitoring.loop.here import retrain_here
from runtime_lib.monitoring.loop.trail import Note, OnStep, Step, What, append, read
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.pipeline.run_lock import sign
from runtime_lib.settings import Settings

__all__ = ["retrain"]


def retrain(settings: Settings, verdict: Verdict, *, on_step: OnStep | None = None) -> Step | None:
    """Retrain if a verdict calls for it and the settings allow it.

    Performance must have dropped by enough, and surely; no retraining of this project may have begun within
    `monitoring.retrain.cool_down_hours`, unless it was cut short: then it goes on. Here it is `mlops run`, so
    that the gate judges; a server that follows the champion takes the new version by itself. With
    `approve` the version is registered, and waits for `mlops promote`.

    Args:
        on_step: called with each step when it is written.

    Returns:
        The last step; None where nothing was to be done.

    Raises:
        ServiceError: the trail cannot be written: nothing begins that the next run would not know of.
        DataError: the trail cannot be read.
    """
    rules = settings.monitoring.retrain
    version = verdict.version
    if rules.how == "off" or not verdict.retrain or not version:
        return None
    place = settings.loop_trail.with_suffix(".lock")
    lock = _lock(place)
    if lock is None:
        return None  # another `mlops monitor` is at it

    def note(what: What, reason: str, **more: Any) -> Step:
        step = Step(what, version, reason, **more)
        append(settings.loop_trail, step)
        if on_step:
            on_step(step)
        return step

    try:
        steps = read(settings.loop_trail)
        if until := _cools(steps, version, rules.cool_down_hours):
            return _cooling(steps, version, until, note)
        if rules.how == "airflow":
            return _by_airflow(settings, verdict, note)
        note("started", verdict.performance.reason, figures=_figures(verdict))
        return retrain_here(settings, version, note, lock=place)
    finally:
        lock.close()


def _lock(path: Path) -> IO[bytes] | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if lock := try_lock(path):
            sign(lock)
        return lock
    except OSError as error:
        raise ServiceError(
            f"No retraining can begin: {path} cannot be written ({error.strerror})."
        ) from error


def _cools(steps: list[Step], version: str, hours: float) -> datetime | None:
    """Until when no other retraining begins; None: it may. One that was cut short goes on at once."""
    begun = [step for step in steps if step.what in ("started", "asked")]
    if not begun or (steps[-1].what == "started" and steps[-1].version == version):
        return None
    until = begun[-1].time + timedelta(hours=hours)
    return until if datetime.now(UTC) < until else None


def _cooling(steps: list[Step], version: str, until: datetime, note: Note) -> Step:
    """Said once for a version and a retraining."""
    last = steps[-1]
    if last.what == "cooling" and last.version == version:
        return last
    return note(
        "cooling",
        f"the last retraining began less than the cool-down ago: none before {until:%-d %b %Y, %H:%M} UTC",
    )


def _by_airflow(settings: Settings, verdict: Verdict, note: Note) -> Step:
    figures = _figures(verdict)
    try:
        ask_for_retraining(
            settings, {**figures, "version": verdict.version, "reason": verdict.performance.reason}
        )
    except MlopsError as error:
        return note("failed", str(error))
    return note("asked", verdict.performance.reason, figures=figures)


def _figures(verdict: Verdict) -> dict[str, Any]:
    p = verdict.performance
    return {
        "metric": p.metric,
        "live": p.live,
        "bound": p.bound,
        "held_out": p.held_out,
        "labelled": p.labelled,
        "causes": list(verdict.causes),
    }
