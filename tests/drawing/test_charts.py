"""Drawings that hold what they show."""

from __future__ import annotations

import re
from math import nan

import pytest

from runtime_lib.drawing.charts import Series, matrix, trend


@pytest.mark.parametrize(("classes", "name"), [(10, "{}"), (12, "a name of many words {}"), (4, "late {}")])
def test_shares_fit_their_cells(classes, name):
    names = [name.format(number) for number in range(classes)]
    counts = [[30 * (a == b) for b in range(classes)] for a in range(classes)]
    drawn = matrix(counts, rows=[f"was {each}" for each in names], columns=names, title="Confusion")
    [width] = {float(found) for found in re.findall(r'class="tint" [^>]*?width="([\d.]+)"', drawn)}
    shares = [each for each in re.findall(r">(\d[\d.]*%?)<", drawn) if each.startswith("100")]
    assert len(shares) == classes
    assert max(7 * len(share.rstrip("%")) + 10 * share.endswith("%") for share in shares) <= width + 2  # px


def test_a_trend_has_gaps_where_there_was_nothing_and_ends_at_a_short_number():
    values = [3.0, 4.0, nan, 7.2, nan, 310.0, 250.0]
    drawn = trend(
        [Series("5", "v0", list(enumerate(values)))], title="p99", times=[(0, "11:50"), (6, "12:00")]
    )
    pieces = re.findall(r'<polyline class="curve own v0" points="([^"]+)"', drawn)
    assert [len(piece.split()) for piece in pieces] == [2, 2]
    assert drawn.count("<circle") == 1
    assert re.findall(r'text-anchor="end">([\d,.]+)<', drawn) == ["0", "250", "500"]
    assert ">11:50<" in drawn
    assert ">12:00<" in drawn


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [nan, nan]], ids=["none", "zero", "unknown"])
def test_a_trend_of_nothing_is_drawn(values):
    series = Series("5", "v0", list(enumerate(values)))
    drawn = trend([series], title="requests", times=[(0, "11:50"), (0, "11:50")])
    assert re.findall(r'text-anchor="end">([\d,.]+)<', drawn) == ["0", "0.5", "1"]
