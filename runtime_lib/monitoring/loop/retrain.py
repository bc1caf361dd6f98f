"""Start a retraining when performance has dropped, and see it through to the release."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime_lib.errors import MlopsError
from runtime_lib.locks import try_lock
from runtime_lib.monitoring.loop.airflow import ask_for_retraining
from runtime_lib.monitoring.loop.trail import OnStep, Step, append, read
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.settings import Settings

__all__ = ["retrain"]

_REFUSED = 3  # exit code of a run whose model the gate refused


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
        ServiceError: the trail cannot be written.
    """
    rules = settings.monitoring.retrain
    if rules.how == "off" or not verdict.retrain or not verdict.version:
        return None
    settings.loop_trail.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(settings.loop_trail.with_suffix(".lock"))
    if lock is None:
        return None  # another `mlops monitor` is at it

    def note(what: Any, reason: str, **more: Any) -> Step:
        step = Step(what, str(verdict.version), reason, **more)
        append(settings.loop_trail, step)
        if on_step:
            on_step(step)
        return step

    try:
        steps = read(settings.loop_trail)
        if wait := _cools(steps, rules.cool_down_hours):
            return _cooling(steps, str(verdict.version), wait, note)
        if rules.how == "airflow":
            return _by_airflow(settings, verdict, note)
        note("started", verdict.performance.reason, figures=_figures(verdict))
        return _here(settings, verdict, note)
    finally:
        lock.close()


_Note = Callable[..., Step]


def _cools(steps: list[Step], hours: float) -> datetime | None:
    """Until when no other retraining begins; None: it may. One that was cut short goes on at once."""
    begun = [step for step in steps if step.what in ("started", "asked")]
    if not begun or steps[-1].what == "started":
        return None
    until = begun[-1].time + timedelta(hours=hours)
    return until if datetime.now(UTC) < until else None


def _cooling(steps: list[Step], version: str, until: datetime, note: _Note) -> Step:
    """Said once for a version and a retraining."""
    last = steps[-1]
    if last.what == "cooling" and last.version == version:
        return last
    return note(
        "cooling",
        f"the last retraining began less than the cool-down ago: none before {until:%-d %b %Y, %H:%M} UTC",
    )


def _by_airflow(settings: Settings, verdict: Verdict, note: _Note) -> Step:
    figures = _figures(verdict)
    try:
        ask_for_retraining(
            settings, {**figures, "version": verdict.version, "reason": verdict.performance.reason}
        )
    except MlopsError as error:
        return note("failed", str(error))
    return note("asked", verdict.performance.reason, figures=figures)


def _here(settings: Settings, verdict: Verdict, note: _Note) -> Step:
    approve = settings.monitoring.retrain.approve
    words = ["run", "--json", *(["--no-promote"] if approve else [])]
    done = subprocess.run(
        [sys.executable, "-c", "from runtime_lib.cli import main; main()", *words],
        cwd=settings.root,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, _REFUSED):
        return note("failed", f"`mlops run` ended with {done.returncode}: what it printed says why")
    found = _last_document(done.stdout)
    version = str(found.get("version") or _registered(settings))
    if approve:
        return note(
            "waiting", f"version {version} is trained; `mlops promote` lets the gate judge it", to=version
        )
    if version == verdict.version:
        return note(
            "nothing",
            "there was nothing new to learn from. With `data.last: latest` in params.yaml each run takes the "
            "newest complete month; a fixed month is yours to move on",
        )
    reasons = "; ".join(found.get("reasons", []))
    if done.returncode == _REFUSED or not found.get("promoted"):
        return note("refused", f"the gate refused version {version}: {reasons}", to=version, figures=found)
    return note("released", f"version {version} is the champion: {reasons}", to=version, figures=found)


def _registered(settings: Settings) -> str:
    from runtime_lib.files import read_json

    try:
        return str(read_json(settings.report("registered"), made_by="mlops run")["version"])
    except (MlopsError, KeyError):
        return ""


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


def _last_document(text: str) -> Mapping[str, Any]:
    """The JSON at the end of what a command printed."""
    start = 0 if text.startswith("{") else text.rfind("\n{") + 1
    try:
        found = json.loads(text[start:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
