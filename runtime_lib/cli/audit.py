"""`mlops audit`: any repository, judged by six principles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from runtime_lib.cli.output import FOUND, Json, complain, console, print_json
from runtime_lib.errors import SettingsError

if TYPE_CHECKING:
    from runtime_lib.audit.records import Check

__all__ = ["audit"]

_Form = Literal["terminal", "json", "sarif", "html", "markdown", "badge"]
_Priority = Literal["critical", "high", "medium", "low"]


def audit(
    folder: Annotated[Path, typer.Argument(help="The repository: a folder.")] = Path(),
    form: Annotated[_Form, typer.Option("--format", help="What to make of it.")] = "terminal",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, not to stdout.")
    ] = None,
    fail_on: Annotated[
        _Priority | None, typer.Option(help="Exit with 4 if a gap is as urgent as this, or more.")
    ] = None,
    min_level: Annotated[
        int | None, typer.Option(min=0, max=3, help="Exit with 4 below this level of maturity.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=6, help="Exit with 4 if the score may be below this.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The --json of an earlier run: only gaps that are new count."),
    ] = None,
    with_unknown: Annotated[
        bool, typer.Option("--with-unknown", help="In SARIF, also what cannot be told.")
    ] = False,
    explain: Annotated[
        str, typer.Option(metavar="ID", help="Say what a check looks for, and why; audit nothing.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Judge a repository by six principles: what is there, what is missing, what first.

    Any repository, also one that is no project of this template. Each finding names the file and line that
    show it. Nothing of it is run or imported, and nothing is written but --output. Exit code 4 only where
    --fail-on, --min-level or --min-score asks for it.
    """
    if as_json and form not in ("terminal", "json"):
        raise typer.BadParameter(f"--json excludes --format {form}.")
    if explain:
        return _explain(explain, as_json)
    from runtime_lib.audit import run
    from runtime_lib.audit.report.document import document

    found = run.audit(folder)
    told = document(found, baseline)
    for note in told["notes"]:
        complain(f"warning: {note}")
    _tell(told, found.checks, "json" if as_json else form, output, with_unknown)
    if reasons := list(_reasons(told, fail_on, min_level, min_score)):
        for reason in reasons:
            complain(reason)
        raise SystemExit(FOUND)


def _explain(id: str, as_json: bool) -> None:
    from dataclasses import fields
    from difflib import get_close_matches

    from runtime_lib.audit.plugins import load_checks
    from runtime_lib.audit.report.terminal import explain

    checks, _ = load_checks()
    wanted = id if id in checks else id.upper()
    if wanted not in checks:
        near = get_close_matches(wanted, checks, 3, 0) or sorted(checks)[:3]
        raise SettingsError(f"There is no check {id!r}; near it are {', '.join(near)}.")
    if as_json:
        check = checks[wanted]
        return print_json({one.name: getattr(check, one.name) for one in fields(check) if one.name != "ask"})
    explain(checks[wanted], console())


def _tell(
    told: Mapping[str, Any], checks: Mapping[str, Check], form: _Form, output: Path | None, with_unknown: bool
) -> None:
    from runtime_lib.audit.report.render import render
    from runtime_lib.audit.report.terminal import show
    from runtime_lib.files import atomic_file

    if form == "terminal" and not output:
        return show(told, checks, console())
    text = (
        _plain(told, checks) if form == "terminal" else render(form, told, checks, with_unknown=with_unknown)
    )
    if not output:
        return typer.echo(text, nl=False)
    with atomic_file(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    complain(f"{output} is written.")


def _plain(told: Mapping[str, Any], checks: Mapping[str, Check]) -> str:
    from io import StringIO

    from rich.console import Console

    from runtime_lib.audit.report.terminal import show

    text = StringIO()
    show(told, checks, Console(file=text, width=110))
    return text.getvalue()


def _reasons(
    told: Mapping[str, Any], fail_on: str | None, min_level: int | None, min_score: float | None
) -> Any:
    """Why it exits with 4."""
    from typing import get_args

    if fail_on:
        order = get_args(_Priority)
        urgent = order[: order.index(fail_on) + 1]
        found = [step["id"] for step in told["recommendations"] if step["priority"] in urgent]
        if found:
            above = " or above" if urgent[1:] else ""
            yield f"Gaps of priority {fail_on}{above}: {', '.join(found)} (--fail-on {fail_on})."
    level = told["level"]
    if min_level is not None and level is not None and level < min_level:
        yield f"Level {level} is below {min_level} (--min-level)."
    low = told["score"][0]
    if min_score is not None and told["score_of"] and low < min_score:
        yield f"The score may be {low:g} of {told['score_of']}, below {min_score:g} (--min-score)."
