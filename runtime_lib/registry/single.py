"""Single answers of an evaluation, as drawings and in a sentence: what each column adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime_lib.drawing import charts
from runtime_lib.drawing.answers import Chart
from runtime_lib.training.explain import Part, said

__all__ = ["in_a_sentence", "of_examples"]

_TITLES = {"least": "The best answer", "median": "A typical answer", "largest": "The worst answer"}
_MOST_SAID = 3


def of_examples(examples: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    """A drawing of each row under `examples` of an evaluation."""
    for one in examples:
        parts = [Part(**part) for part in one["columns"]]
        items = [(f"{part.column} = {part.said}", part.adds) for part in parts]
        if one["exact"]:
            others = [("other columns", one["others"])] if one["others"] else []
            items = [("without the columns", one["base"]), *items, *others]
        how = "What each column adds to" if one["exact"] else "What each column alone changes in"
        reading = f"{_happened(one)} {how} '{one['output']}', in {one['unit']}."
        title = f"{_TITLES[one['error']]}: {one['id']}"
        svg = charts.bars(items, title=title, form="+.3g")
        yield Chart(f"example_{one['error']}", title, reading, svg)


def in_a_sentence(examples: Sequence[Mapping[str, Any]]) -> str:
    """The worst answer, and the columns that add most to it; empty without examples."""
    worst = next((one for one in examples if one["error"] == "largest"), None)
    if worst is None:
        return ""
    parts = [Part(**part) for part in worst["columns"][:_MOST_SAID]]
    why = ", ".join(f"{part.column} {part.said} ({part.adds:+.3g})" for part in parts)
    return f"{worst['id']}. {_happened(worst)} By {why}, in {worst['unit']}"


def _happened(one: Mapping[str, Any]) -> str:
    label = one["label"] if isinstance(one["label"], str) else f"{one['label']:g}"
    return f"Predicted {said(one['answer'])}, was {label}."
