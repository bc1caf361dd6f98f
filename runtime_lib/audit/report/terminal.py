"""The report in a terminal: level and principles, then gaps with what shows them, then what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runtime_lib.audit.recommend import WHEN
from runtime_lib.audit.records import Check
from runtime_lib.audit.report import words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = ["explain", "show"]

_COLOURS = {"✓": "green", "⚠": "yellow", "✗": "red", "?": "cyan", "-": "dim"}
_URGENT = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}
_MOST = 8


def show(document: Mapping[str, Any], checks: Mapping[str, Check], screen: Console) -> None:
    """Print the report."""
    for part in (_head, _principles, _steps, _roadmap, _asides):
        for line in part(document):
            screen.print(line, markup=False, highlight=False)
    counts = words.gap_count(document["checks"])
    told = ", ".join(f"{counts[verdict]} {name}" for verdict, name in _NAMES.items() if counts[verdict])
    screen.print(f"\n{told}. `mlops audit --explain ID` says more of a check.", markup=False, highlight=False)


_NAMES = {
    "pass": "pass",
    "partial": "in part",
    "fail": "fail",
    "unknown": "cannot be told",
    "n/a": "do not apply",
}


def _head(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    level = words.principle(words.level(document))
    weak = f"; the weakest is {document['weakest']}" if document["weakest"] else ""
    yield Text.assemble((level, "bold"), f" · {words.score(document)}{weak}")
    yield Text(f"{document['repository']['name']}: {words.kind(document)}", style="dim")
    if lacks := words.lacks(document):
        yield Text(f"Level {document['next_level']['level']} lacks:")
        yield from (_hanging(Text("·"), Text(lack), 2) for lack in lacks)
    if difference := document["baseline"]:
        new, closed, known = (len(difference[key]) for key in ("new", "closed", "known"))
        yield Text(f"Since the baseline: {new} new gaps, {closed} closed; {known} known are left out below.")


def _principles(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    accepted = {one["id"] for one in document["accepted"]}
    known = set(document["baseline"]["known"]) if document["baseline"] else set()
    for one in document["principles"]:
        mark = Text(one["symbol"], style=_COLOURS[one["symbol"]])
        title = Text.assemble(
            (words.principle(one["principle"]), "bold"),
            f"  {words.mark(one)}{' of 1' if one['mark'] else ''}",
        )
        yield Text()
        yield _hanging(mark, title, 0)
        for check in words.shown(document, one["principle"]):
            if check["verdict"] != "n/a" and check["id"] not in known:
                yield _check(check, check["id"] in accepted)


def _check(one: Mapping[str, Any], is_accepted: bool) -> RenderableType:
    from rich.text import Text

    symbol = words.SYMBOLS[one["verdict"]]
    said = Text.assemble((f"{one['id']:<3}", "dim"), one["message"])
    if is_accepted:
        said.append(" (accepted)")
    if shown := words.told(one):
        said.append(f"  {shown}", style="dim")
    return _hanging(Text(symbol, style=_COLOURS[symbol]), said, 2)


def _steps(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    steps = document["recommendations"]
    yield Text()
    yield Text("What to do", style="bold") if steps else Text("Nothing to recommend.")
    told: set[str] = set()
    for step in steps[:_MOST]:
        head = Text.assemble(
            (f"{step['id']:<3}", "dim"),
            step["recommendation"],
            (f"  {step['priority']} priority, takes {step['effort']}", _URGENT[step["priority"]]),
        )
        yield _hanging(Text("→", style="cyan"), head, 2)
        for line in step["implementation"]:
            if line not in told:  # several steps may be brought by one thing
                yield _hanging(Text(" "), Text(line, style="dim"), 5)
        told.update(step["implementation"])
    if len(steps) > _MOST:
        yield Text(f"  and {len(steps) - _MOST} more: --format html shows all", style="dim")


def _roadmap(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    if document["recommendations"]:
        yield Text()
    for when in WHEN:
        if ids := document["roadmap"][when]:
            yield Text.assemble((f"{words.WHEN[when]}: ", "bold"), ", ".join(ids))


def _asides(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    for one in document["accepted"]:
        yield Text.assemble((f"Accepted {one['id']}: ", "bold"), one["reason"])
    left = document["left_out"]
    if left:
        some = ", ".join(f"{one['path']} ({one['why']})" for one in left[:3])
        yield Text(f"Not read: {some}" + (f" and {len(left) - 3} more" if len(left) > 3 else ""), style="dim")
    for note in document["notes"]:
        yield Text(f"Note: {note}", style="yellow")


def _hanging(mark: Text, said: Text, indent: int) -> RenderableType:
    """A mark, and text beside it that stays beside it when it is wrapped."""
    from rich.padding import Padding
    from rich.table import Table

    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(overflow="fold")
    row.add_row(mark, said)
    return Padding(row, (0, 0, 0, indent))


def explain(check: Check, screen: Console) -> None:
    """Print what a check is about."""
    from rich.text import Text

    screen.print(Text(f"{check.id} {check.question}", style="bold"))
    pillar = ", a pillar of its principle" if check.pillar else ""
    screen.print(
        Text(f"{check.principle}{pillar}; {check.priority} priority; takes {check.effort}", style="dim")
    )
    for title, text in (
        ("Looks for", check.looks_for),
        ("Why", check.why),
        ("Where it may be wrong", check.false_answers),
        ("Step", check.fix),
        ("Tools", ", ".join(check.tools)),
        ("This template", check.brings),
    ):
        if text:
            screen.print(Text.assemble((f"{title}: ", "bold"), text))
