"""`mlops drift`: two tables, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime_lib.cli.output import FOUND, ExitZero, Json, print_json, table
from runtime_lib.errors import SettingsError
from runtime_lib.settings import Monitoring, find_root, load

if TYPE_CHECKING:
    from runtime_lib.monitoring.drift import ColumnDrift
    from runtime_lib.monitoring.drift.files import TableDrift
    from runtime_lib.monitoring.drift.together import Together

__all__ = ["drift"]

_TITLES = ("column", "", "D or V", "PSI", "q", "missing", "unseen", "change")


def drift(
    reference: Annotated[Path, typer.Argument(metavar="OLD", help="Parquet or CSV: what was usual.")],
    current: Annotated[Path, typer.Argument(metavar="NEW", help="Parquet or CSV: what is to be judged.")],
    together: Annotated[
        bool,
        typer.Option("--together", help="Also train a classifier to tell the tables apart, by all columns."),
    ] = False,
    as_json: Json = False,
    exit_zero: ExitZero = False,
) -> None:
    """Compare two tables column by column: has one drifted from the other?

    By the thresholds of mlops.toml (table `monitoring`), or by their defaults outside a project. Exit code 4
    if a column has drifted or is gone, or if the tables are told apart.
    """
    from runtime_lib.monitoring.drift.files import compare_files
    from runtime_lib.monitoring.drift.together import tell_apart

    rules = _rules()
    found = compare_files(reference, current, rules)
    if together:
        found = replace(found, together=tell_apart(reference, current, found.kinds, rules))
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)
    if found.drifted and not exit_zero:
        raise SystemExit(FOUND)


def _rules() -> Monitoring:
    try:
        root = find_root()
    except SettingsError:
        return Monitoring()
    return load(root).monitoring


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
    if found.together:
        _show_together(found.together)


def _show_together(found: Together) -> None:
    for reason, names in _by_reason(found.left_out).items():
        typer.echo(f"Not shown to the classifier: {', '.join(names)} ({reason})")
    if found.auc is None or found.lower is None or found.p is None:
        why = "too few rows" if found.early else "no column is left"
        typer.echo(f"Together: not judged, {why}.")
        return
    word = "drift" if found.drifted else "no drift"
    p = "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    typer.echo(
        f"Together: {word}. A classifier tells the tables apart with AUC {found.auc:.3f}, surely "
        f"{found.lower:.3f} or more, {p} (matters from {found.rules.together_threshold:g}; 0.5 is a guess)."
    )
    for each in found.tellers:
        typer.echo(f"  {each.name}: {each.loss:.3f} of the AUC goes when it is shuffled")


def _by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        found.setdefault(reason, []).append(name)
    return found


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
