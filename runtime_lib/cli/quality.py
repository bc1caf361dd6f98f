"""`mlops quality`: what the project's quality rules found in its months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import FOUND, ExitZero, Json, complain, print_json, table
from runtime_lib.settings import load

if TYPE_CHECKING:
    from runtime_lib.data.quality.report import Judgement, QualityReport

__all__ = ["quality"]

_TITLES = ("rule", "columns", "rows", "bad", "rate (90 % interval)", "accepted", "", "first bad rows")
_MOST_SHOWN = 2


def quality(
    month: Annotated[
        list[str] | None, typer.Option(metavar="YYYY-MM", help="Judge this month alone; may be repeated.")
    ] = None,
    as_json: Json = False,
    exit_zero: ExitZero = False,
) -> None:
    """Show what the quality rules found when features were made: rates of bad rows, and what is proven.

    Writes reports/quality.json, unless months are named.
    """
    from runtime_lib.data.quality.months import report_months

    settings = load()
    report, stale = report_months(settings, months=month or [])
    if stale:
        complain(f"warning: {stale}")
    if as_json:
        print_json(report.to_dict())
    else:
        _show(report)
    if report.broken and not exit_zero:
        raise SystemExit(FOUND)


def _show(report: QualityReport) -> None:
    if not report.judgements:
        typer.echo("No quality rules: declare them in quality_rules() of features.py.")
        return
    span = report.parts[0] if len(report.parts) == 1 else f"{report.parts[0]} to {report.parts[-1]}"
    typer.echo(f"{span}: {report.rows:,} rows, {report.quarantined:,} of them set aside")
    table(_TITLES, [_line(each) for each in report.judgements])
    for reason in report.reasons:
        typer.echo(reason)


def _line(each: Judgement) -> Sequence[str]:
    unit = "" if each.rate else " month" if each.count.rows == 1 else " months"
    examples = [f"{e.where} {e.row}: {e.value}".replace(" :", ":") for e in each.count.examples[:_MOST_SHOWN]]
    return (
        each.rule.name,
        ", ".join(each.rule.columns),
        f"{each.count.rows:,}{unit}",
        f"{each.count.bad:,}",
        each.interval,
        each.target,
        each.word,
        "; ".join(examples),
    )
