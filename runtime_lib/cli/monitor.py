"""`mlops monitor`: what was served, judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import FOUND, ExitZero, Json, complain, print_json, show
from runtime_lib.settings import load

if TYPE_CHECKING:
    from runtime_lib.monitoring.loop.trail import Step
    from runtime_lib.monitoring.verdict import Verdict

__all__ = ["monitor"]

_MOST_WARNINGS = 5


def monitor(
    labels: Annotated[
        Path | None, typer.Option(help="Parquet or CSV with columns id and label to add first.")
    ] = None,
    month: Annotated[
        str,
        typer.Option(
            metavar="YYYY-MM", help="Add the labels that your load() and label() know of it by now."
        ),
    ] = "",
    open_report: Annotated[bool, typer.Option("--open", help="Open the HTML report in a browser.")] = False,
    as_json: Json = False,
    exit_zero: ExitZero = False,
) -> None:
    """Judge the champion's predictions: drift, skew, performance once labels are in, whether to retrain.

    Writes var/monitoring/report.html and tells the channels of mlops.toml (tables `monitoring.alerts`) what
    is new, what still fires and what is over. First it compacts past days of the prediction log, and deletes
    those older than `keep_days` there.
    """
    from runtime_lib.monitoring.labels import add_labels
    from runtime_lib.monitoring.loop.act import act
    from runtime_lib.monitoring.monitor import monitor as judge
    from runtime_lib.monitoring.upkeep import tidy

    settings = load()
    for line in tidy(settings):
        complain(line)
    if labels:
        added = add_labels(settings, labels)
        if not as_json:
            typer.echo(f"{added:,} {'label' if added == 1 else 'labels'} added.")
    verdict = judge(settings, month=month)
    _warn(verdict.damage)
    if not as_json:
        _show(verdict)
    verdict, step = act(settings, verdict, on_step=None if as_json else _tell)
    if as_json:
        print_json({**verdict.to_dict(), "retraining": step and step.to_dict()})
    for alert in verdict.alerts:
        if alert.error:
            complain(f"warning: {alert.error}")
    if open_report:
        typer.launch(str(verdict.report_html))
    if verdict.found and not exit_zero:
        raise SystemExit(FOUND)


def _show(verdict: Verdict) -> None:
    lines = (
        f"{verdict.headline} ({verdict.rows:,} predictions of version {verdict.version})",
        *(f"  {reason}" for reason in verdict.reasons),
        *([] if verdict.retrain else [f"  performance: {verdict.performance.reason}"]),  # else it is a reason
        *(f"  perhaps: {cause}" for cause in verdict.causes if verdict.retrain),
        f"Report: {verdict.report_html}",
    )
    show({}, False, *lines)


def _tell(step: Step) -> None:
    from runtime_lib.monitoring.loop.trail import WORDS

    words = WORDS[step.what]
    show({}, False, f"{words[0].upper()}{words[1:]}: {step.reason}")


def _warn(damage: Sequence[str]) -> None:
    for each in damage[:_MOST_WARNINGS]:
        complain(f"warning: the prediction log is damaged: {each}")
    if (more := len(damage) - _MOST_WARNINGS) > 0:
        complain(f"warning: and in {more:,} more places; `damage` in the report names them.")
