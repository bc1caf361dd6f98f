"""`mlops upgrade`: print the plan as a table and what to do next, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime_lib.cli.output import FOUND, Json, console, show
from runtime_lib.settings import find_root

if TYPE_CHECKING:
    from runtime_lib.upgrade.plan import Plan

__all__ = ["upgrade"]

_STYLES = {"conflict": "bold red", "kept": "yellow", "gone": "yellow", "moved": "cyan", "merged": "cyan"}


def upgrade(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would change, file by file; write nothing.")
    ] = False,
    to: Annotated[
        str, typer.Option(help="Version to upgrade to, for instance v0.3.0. Default: the newest.")
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="QUESTION=ANSWER", help="Change an answer; may be repeated."),
    ] = None,
    lock: Annotated[bool, typer.Option(help="Bring uv.lock up to date.")] = True,
    tests: Annotated[bool, typer.Option(help="Run the project's tests before anything changes.")] = True,
    finish: Annotated[
        bool, typer.Option("--finish", help="Continue after you have resolved the conflicts.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Give up and restore the project as it was.")
    ] = False,
    here: Annotated[bool, typer.Option("--here", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Upgrade to the newest version of the template and the library: merge, migrate, lock, test, commit.

    All of this happens in a copy of the project. Then the project moves to the new state in one commit, or
    stays as it was. If you and the template changed the same lines, the conflict is left in the files:
    resolve it, then run `mlops upgrade --finish`, or give up with `--abort`.
    """
    checks = {"lock": lock, "tests": tests}
    mode = "plan" if plan else "finish" if finish else "abort" if abort else "upgrade"
    if plan + finish + abort > 1:
        raise typer.BadParameter("Give only one of --plan, --finish and --abort.")
    _carry_out(mode, to=to, data=data or (), checks=checks, here=here, as_json=as_json)


def _carry_out(
    mode: str, *, to: str, data: Sequence[str], checks: Mapping[str, bool], here: bool, as_json: bool
) -> None:
    """Run `mode`: plan, upgrade, finish or abort."""
    from runtime_lib.upgrade import apply as run
    from runtime_lib.upgrade.answers import read_answers
    from runtime_lib.upgrade.launch import is_target, launch, named, newest
    from runtime_lib.upgrade.plan import make_plan
    from runtime_lib.upgrade.repository import Repository

    project = find_root()
    if mode == "abort":
        run.abort(project)
        return show({"aborted": True}, as_json, "The project is as it was before the upgrade.")
    if mode == "finish":
        commit = run.finish(project, checks=run.Checks(**checks))
        return show({"commit": commit}, as_json, f"Done: commit {commit[:10]}. Next: uv sync")
    if mode == "plan":
        run.refuse_waiting(Repository.at(project))
    answers = read_answers(project)
    ref = to if here else named(answers, to) if to else newest(answers)
    if not here and not is_target(ref):
        launch(project, ref, sys.argv[2:])
    given = dict(map(_answer, data))
    if mode == "plan":
        plan = make_plan(project, ref=ref, data=given)
        return show(plan.to_dict(), True) if as_json else _show_plan(plan)
    plan = run.upgrade(project, ref=ref, data=given, checks=run.Checks(**checks))
    if as_json:
        show(plan.to_dict(), True)
    else:
        _show_plan(plan)
        show({}, False, *_next_steps(plan))
    if plan.conflicts:
        raise SystemExit(FOUND)


def _answer(given: str) -> tuple[str, Any]:
    key, separator, value = given.partition("=")
    if not separator:
        raise typer.BadParameter(f"--data {given}: write QUESTION=ANSWER, for instance --data tier=standard.")
    return key, {"true": True, "false": False}.get(value.lower(), value)


def _next_steps(plan: Plan) -> list[str]:
    if plan.empty:
        return []
    if plan.conflicts:
        return [
            "",
            f"{len(plan.conflicts)} file(s) have conflicts: {', '.join(plan.conflicts)}.",
            "Edit them, then: uv run mlops upgrade --finish   (or undo: uv run mlops upgrade --abort)",
        ]
    return ["", f"The project now follows {plan.ref}, in one commit (git show --stat). Next: uv sync"]


def _show_plan(plan: Plan) -> None:
    from rich.markdown import Markdown
    from rich.table import Table

    from runtime_lib.upgrade.plan import KINDS

    screen = console()
    if plan.empty:
        return screen.print(f"Nothing to change: the project is up to date with {plan.answers.commit}.")
    screen.print(f"Template {plan.answers.commit} → {plan.ref}", style="bold", highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for change in plan.changes:
        style = _STYLES.get(change.kind, "")
        table.add_row(
            f"[{style}]{change.kind}[/]" if style else change.kind, change.path, _note(plan, change.path)
        )
    screen.print(table)
    there = {change.kind for change in plan.changes}
    for kind in (kind for kind in KINDS if kind in there):
        screen.print(f"{kind}: {KINDS[kind]}", style="dim", highlight=False)
    for title, lines in _sections(plan).items():
        if lines:
            screen.print(f"\n{title}", style="bold")
            for line in lines:
                screen.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if plan.changelog:
        screen.print()
        screen.print(Markdown(plan.changelog))


def _note(plan: Plan, path: str) -> str:
    [change] = [change for change in plan.changes if change.path == path]
    return f"was {change.came_from}" if change.came_from else change.reason


def _sections(plan: Plan) -> dict[str, list[str]]:
    return {
        "Answers (to change one: --data QUESTION=ANSWER)": plan.answer_lines(),
        "Migrations": list(plan.settings),
        "Your code uses names that the library has removed or will remove": [
            f"{use.file}:{use.line}: {use.name} {'is gone' if use.removed else 'is deprecated'}: {use.advice}"
            for use in plan.uses
        ],
    }
