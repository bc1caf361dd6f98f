"""Act on a verdict: retrain where that is due and allowed, tell of each step, and let go of what is over."""

from __future__ import annotations

from dataclasses import replace

from runtime_lib.errors import MlopsError
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.findings import SOURCE
from runtime_lib.monitoring.alerts.notify import announce, notify
from runtime_lib.monitoring.loop.retrain import retrain
from runtime_lib.monitoring.loop.trail import WORDS, OnStep, Step, newest
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.settings import Settings

__all__ = ["act"]

_GRAVE = ("failed", "refused", "nothing", "waiting")  # somebody has to look


def act(
    settings: Settings, verdict: Verdict, *, on_step: OnStep | None = None
) -> tuple[Verdict, Step | None]:
    """Do what a verdict calls for, see `retrain`; each step is told to the channels and shown in the report.

    What fired of the version that was replaced is resolved when another one is released.

    Args:
        on_step: called with each step.

    Returns:
        The verdict with its steps up to now, and the last one of this run; None where nothing was to be done.
    """
    from runtime_lib.monitoring.report import write_report

    def tell(step: Step) -> None:
        nonlocal verdict
        verdict = replace(verdict, steps=newest(settings.loop_trail))
        write_report(verdict)
        if on_step:
            on_step(step)
        _announce(settings, verdict, step)

    last = retrain(settings, verdict, on_step=tell)
    if last and last.what == "released":
        _resolve(settings, verdict, str(last.to))
    return verdict, last


def _announce(settings: Settings, verdict: Verdict, step: Step) -> None:
    finding = Finding(
        "retraining",
        f"{verdict.model} version {step.version}: {WORDS[step.what]}",
        step.reason,
        severity="warning" if step.what in _GRAVE else "info",
        evidence=step.to_dict(),
        report=str(verdict.report_html),
    )
    try:
        announce(settings, finding, source="loop", model=verdict.model)
    except MlopsError:
        return  # the trail has it, and `mlops alerts list` what was not delivered


def _resolve(settings: Settings, verdict: Verdict, version: str) -> None:
    try:
        notify(settings, [], source=SOURCE, model=verdict.model, version=version)
    except MlopsError:
        return  # the next run resolves it
