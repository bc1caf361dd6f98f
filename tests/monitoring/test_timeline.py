"""A month of days at one look."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runtime_lib.monitoring.daily import read_days
from runtime_lib.monitoring.drift.decide import threshold_of
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.timeline import timeline
from runtime_lib.settings import Monitoring
from tests.support.watched import Watched

SHIFTED = 20  # the day from which


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    made = Watched.make(tmp_path_factory.mktemp("month"))
    for day in range(30):
        made.answer(day, 600 if day != 4 else 90, shift=2.0 if day >= SHIFTED else 0.0)
    return made


def test_the_day_of_a_shift_is_seen(watched):
    source = watched.source()
    found = timeline(source.reference, read_days(source), Monitoring())
    assert (len(found.days), found.days[0], found.days[-1]) == (30, "2026-03-02", "2026-03-31")
    speed = found.columns[0]  # the one that is furthest off comes first
    assert speed.name == "speed"
    assert speed.effects[4] is None  # 90 rows
    quiet = [effect for day, effect in enumerate(speed.effects[:SHIFTED]) if day != 4]
    assert max(quiet) < 1 < min(speed.effects[SHIFTED:])
    assert all(effect is None or effect < 1 for row in found.columns[1:] for effect in row.effects)


def test_the_page_shades_the_days_and_the_report_has_them(watched):
    verdict = monitor(watched.settings, champion=watched.champion)
    page = verdict.report_html.read_text()
    assert page.count('<i class="over" title="speed, ') == 30 - SHIFTED
    assert 'title="speed, 2026-03-06: 90 rows, too few"' in page
    assert '<i class="over" title="place' not in page
    told = json.loads(verdict.report_json.read_text())["timeline"]
    assert told["rows"][4] == 90
    assert {row["name"] for row in told["columns"]} == {"speed", "place", "(prediction)"}


def test_missing_values_and_unseen_ones_are_seen(tmp_path):
    watched = Watched.make(tmp_path)
    watched.answer(0, 600)
    watched.answer(
        1,
        600,
        speed=np.where(np.arange(600) % 5 == 0, np.nan, 10 + 2 * np.random.default_rng(1).normal(size=600)),
    )
    watched.answer(2, 600, place=np.array(["A", "B", "C", "new"] * 150, dtype=object))
    source = watched.source()
    rows = {
        row.name: row.effects for row in timeline(source.reference, read_days(source), Monitoring()).columns
    }
    assert rows["speed"][0] < 1 < rows["speed"][1]
    assert rows["place"][1] < 1 < rows["place"][2]


def test_names_are_text_on_the_page(tmp_path):
    from runtime_lib.monitoring.report import render
    from runtime_lib.monitoring.timeline import Row, Timeline

    watched = Watched.make(tmp_path)
    watched.answer(0, 600)
    watched.answer(1, 600)
    verdict = monitor(watched.settings, champion=watched.champion)
    name = '<script>alert("x")</script>'
    line = Timeline(("2026-03-02", "2026-03-03"), (600, 600), (Row(name, (0.1, 3.0)),))
    object.__setattr__(verdict, "timeline", line)
    page = render(verdict)
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page


def test_each_effect_has_a_threshold():
    rules = Monitoring(
        drift_threshold=0.3, ks_threshold=0.4, wasserstein_threshold=0.5, cramers_threshold=0.6
    )
    assert [threshold_of(name, rules) for name in ("psi", "ks", "wasserstein", "cramers_v")] == [
        0.3,
        0.4,
        0.5,
        0.6,
    ]
