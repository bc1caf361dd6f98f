"""`mlops drift`: two tables, compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import FOUND, ExitZero, Json, print_json, table
from runtime_lib.settings import Monitoring, load

if TYPE_CHECKING:
    from runtime_lib.monitoring.drift import ColumnDrift
    from runtime_lib.monitoring.drift.files import TableDrift

__all__ = ["drift"]

_TITLES = ("column", "", "D or V", "PSI", "q", "missing", "unseen", "change")


def drift(
    reference: Annotated[Path, typer.Argument(help="Parquet or CSV: what was usual.")],
    current: Annotated[Path, typer.Argument(help="Parquet or CSV: what is to be judged.")],
    as_json: Json = False,
    exit_zero: ExitZero = False,
) -> None:
    """Compare two tables column by column: has one drifted from the other?

    By the thresholds of mlops.toml (table `monitoring`), or by their defaults outside a project. Exit code 4
    if a column has drifted or is gone.
    """
    from runtime_lib.monitoring.drift.files import compare_files

    rules = load().monitoring if Path("mlops.toml").is_file() else Monitoring()
    found = compare_files(reference, current, rules)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if found.drifted and not exit_zero:
        raise SystemExit(FOUND)


def _show(found: TableDrift) -> None:
    drifted = sum(column.drifted for column in found.columns)
    if found.early:
        typer.echo(f"Too early to tell: {min(found.rows):,} rows; a decision needs {found.rules.min_rows:,}.")
    else:
        typer.echo(f"{drifted} of {len(found.columns)} columns drifted.")
    typer.echo(f"{found.rows[0]:,} rows before, {found.rows[1]:,} now")
    table(_TITLES, [_line(column) for column in found.columns])
    for column in found.columns:
        for reason in column.reasons:
            typer.echo(f"  {column.name}: {reason}")
    for what, names in (("Gone", found.missing), ("New", found.new), ("Not compared", found.skipped)):
        if names:
            typer.echo(f"{what}: {', '.join(names)}")


def _line(column: ColumnDrift) -> Sequence[str]:
    unseen = column.unseen
    return (
        column.name,
        "drift" if column.drifted else "",
        "" if column.second is None else f"{column.second:.3f}",
        "" if column.effect is None else f"{column.effect:.3f}",
        "" if column.q is None else "< 0.001" if column.q < 0.001 else f"{column.q:.3f}",
        f"{column.nulls.reference:.1%} → {column.nulls.live:.1%}"
        if column.nulls.live or column.nulls.reference
        else "",
        f"{unseen.live:.1%}" if unseen and unseen.live else "",
        column.change,
    )
