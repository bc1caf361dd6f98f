"""Drawings that hold what they show."""

from __future__ import annotations

import re

import pytest

from runtime_lib.drawing.charts import matrix


@pytest.mark.parametrize(("classes", "name"), [(10, "{}"), (12, "a name of many words {}"), (4, "late {}")])
def test_shares_fit_their_cells(classes, name):
    names = [name.format(number) for number in range(classes)]
    counts = [[30 * (a == b) for b in range(classes)] for a in range(classes)]
    drawn = matrix(counts, rows=[f"was {each}" for each in names], columns=names, title="Confusion")
    [width] = {float(found) for found in re.findall(r'class="tint" [^>]*?width="([\d.]+)"', drawn)}
    shares = [each for each in re.findall(r">(\d[\d.]*%?)<", drawn) if each.startswith("100")]
    assert len(shares) == classes
    assert max(7 * len(share.rstrip("%")) + 10 * share.endswith("%") for share in shares) <= width + 2  # px
