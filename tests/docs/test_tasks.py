"""The tasks' pages are true: commands and files, what they show, and each refusal that they quote."""

from __future__ import annotations

import re

import pytest

from tests.support.depth import DEEP
from tests.support.pages import Reader, on_flights, steps
from tests.support.refusals import compare, labels, later, learned, metric, task
from tests.support.releases import REPOSITORY

FOLDER = REPOSITORY / "docs" / "tasks"
REFUSED = {
    "binary": [labels("binary", "yes", "no"), metric("binary", "mae")],
    "multiclass": [
        labels("multiclass", "late", 3),
        later(["late", "on time"], "cancelled"),
        learned("multiclass", [f"order-{number}" for number in range(1001)]),
        learned("multiclass", ["late", "late"]),
    ],
    "regression": [
        labels("regression", 3.0, "12 min"),
        labels("regression", 3.0, float("inf")),
        learned("regression", [4.0] * 9),
        metric("regression", "roc_auc"),
    ],
    "quantile": [
        task(kind="quantile", levels=[10, 50, 90]),
        task(kind="quantile", levels=0.9),
        task(kind="regression", levels=[0.9]),
    ],
}


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="test_trainers.py follows the page of a binary task: nox -s deep")
@pytest.mark.parametrize("kind", REFUSED)
def test_somebody_who_follows_the_page_sees_what_it_shows(kind, render):
    with Reader(on_flights(render, kind)) as reader:
        reader.follow(_page(kind))
    assert len(reader.printed) == 3, "it runs, serves and explains"


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_page_quotes_is_what_is_said(kind):
    compare(_page(kind), REFUSED[kind])


@pytest.mark.parametrize("kind", REFUSED)
def test_each_block_is_followed(kind):
    page = _page(kind)
    assert len(list(steps(page))) == len(re.findall(r"^```\w", page, flags=re.MULTILINE))


def test_there_is_a_page_for_each_kind():
    from runtime_lib.task.kinds import KINDS

    assert {path.stem for path in FOLDER.glob("*.md")} == set(KINDS) == set(REFUSED)


def _page(kind: str) -> str:
    return (FOLDER / f"{kind}.md").read_text(encoding="utf-8")
