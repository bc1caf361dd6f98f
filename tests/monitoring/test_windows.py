"""Which rows a window holds, and how many windows decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime_lib.monitoring.daily import read_days
from runtime_lib.monitoring.drift import drift
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.windows import windows
from runtime_lib.profiles.typical import Typical
from runtime_lib.settings import Monitoring
from tests.support.watched import Watched


def cut(watched, **options):
    source = watched.source(**options)
    return [window.rows for window in windows(source, read_days(source))]


def made(root, *days, **rules):
    watched = Watched.make(root, **rules)
    for day, count in enumerate(days):
        watched.answer(day, count)
    return watched


@pytest.mark.parametrize(
    ("days", "rules", "found"),
    [
        ((600, 700, 800), {}, [600, 700, 800]),
        ((100, 600, 700, 800), {}, [100, 600, 700, 800]),  # the first is what else was answered
        ((500, 300, 300, 200, 400, 900), {}, [500, 600, 600, 900]),  # days are merged until they have 500
        ((300, 200, 200, 200, 300), {}, [700, 500]),
        ((1_100, 450), {}, [517, 517, 516]),  # of days that make one: as many parts as have 500 rows
        ((2_000,), {}, [667, 667, 666]),  # a young log in equal parts
        ((700,), {}, [700]),
        ((100, 100), {}, [200]),  # too few for any: told as one
        ((600, 700, 800), {"windows": 1}, [1_300, 800]),
        ((600,) * 7, {"window_days": 2}, [600, 1_200, 1_200, 1_200]),
        ((600,) * 4, {"window_days": 7, "windows": 2}, [1_200, 1_200]),
    ],
)
def test_the_newest_days_make_windows(tmp_path, days, rules, found):
    assert cut(made(tmp_path, *days, **rules)) == found


def test_parts_are_cut_in_the_order_of_the_log(tmp_path):
    watched = Watched.make(tmp_path)
    watched.answer(0, 1_200, speed=np.arange(1_200.0))
    watched.answer(1, 480, speed=np.arange(1_200.0, 1_680.0))
    source = watched.source()
    found = [window.columns["speed"] for window in windows(source, read_days(source))]
    ends = [end for column in found for end in (column.least, column.most)]
    assert ends == pytest.approx([0, 559, 560, 1_119, 1_120, 1_679])


def test_an_id_that_comes_twice_in_a_day_counts_once(tmp_path):
    watched = made(tmp_path, 1_500)
    watched.answer(0, 300, hour=9, prefix="0", shift=50)  # the same ids, answered anew
    found = windows(source := watched.source(), read_days(source))
    assert [window.rows for window in found] == [500] * 3
    assert sum(window.columns["speed"].mean * 500 for window in found) / 1_500 == pytest.approx(20, abs=0.5)


def test_rows_that_come_between_counting_and_cutting_belong_to_the_last_part(tmp_path):
    watched = made(tmp_path, 1_500)
    source = watched.source()
    days = read_days(source)
    watched.answer(0, 70, hour=9, prefix="late")
    assert [window.rows for window in windows(source, days)] == [500, 500, 570]


def test_rows_that_go_between_counting_and_cutting_leave_what_is_there(tmp_path):
    watched = made(tmp_path, 1_500)
    source = watched.source()
    days = read_days(source)
    for path in source.settings.predictions.glob("*/*"):
        path.unlink()
    assert [window.rows for window in windows(source, days)] == [1_500]  # by the profile
    watched.answer(0, 600, hour=9, prefix="new")
    assert [window.rows for window in windows(source, days)] == [500, 100]  # and what has come since


def test_a_day_without_rows_is_in_no_part(tmp_path):
    watched = made(tmp_path, 700, 700)
    source = watched.source()
    first, last = read_days(source)
    gone = replace(first, is_kept=False)
    assert [window.rows for window in windows(source, [gone, last])] == [700, 700]


@pytest.mark.parametrize(
    ("shifts", "rules", "drifted"),
    [
        ((3, 3, 3), {}, True),
        ((0, 3, 3), {}, True),
        ((3, 0, 3), {}, True),
        ((3, 3, 0), {}, True),
        ((0, 0, 3), {}, False),  # one of three is not enough
        ((0, 3, 3), {"persistence": 3}, False),
        ((0, 0, 3), {"persistence": 1}, True),
        ((0, 0, 3), {"windows": 1}, True),  # that one decides, though persistence is 2 by default
        ((3, 3, 0), {"windows": 1}, False),
    ],
)
def test_two_of_three_windows_decide(tmp_path, shifts, rules, drifted):
    watched = Watched.make(tmp_path, **rules)
    for day, shift in enumerate(shifts):
        watched.answer(day, 600, shift=shift)
    verdict = monitor(watched.settings, champion=watched.champion)
    assert verdict.drifted_columns == (("speed",) if drifted else ())
    [speed] = [column for column in verdict.columns if column.name == "speed"]
    shows = [bool(window.shows) for window in speed.windows]
    assert shows == [shift > 0 for shift in shifts][-len(shows) :]


def test_of_two_windows_both_must_agree(tmp_path):
    watched = Watched.make(tmp_path)
    watched.answer(0, 600)
    watched.answer(1, 600, shift=3)
    assert not monitor(watched.settings, champion=watched.champion).drifted
    both = tmp_path / "both"
    both.mkdir()
    watched = Watched.make(both)
    watched.answer(0, 600, shift=3)
    watched.answer(1, 600, shift=3)
    assert monitor(watched.settings, champion=watched.champion).drifted_columns == ("speed",)


def test_what_windows_in_a_row_reach_by_chance_is_no_drift(tmp_path):
    """A column that often moves so far, by its history, has not drifted."""
    watched = Watched.make(tmp_path)
    watched.answer(0, 1_500, shift=1)
    source = watched.source()
    found = windows(source, read_days(source))
    by = {}
    for name, usual in (("steady", 0.0), ("restless", 9.0)):
        effects = dict.fromkeys(("psi", "ks", "wasserstein"), (usual, usual))
        typical = {"speed": Typical((500, 1_000), effects, effects)}
        [by[name]] = [
            column.drifted
            for column in drift(replace(source.reference, typical=typical), found, Monitoring())
            if column.name == "speed"
        ]
    assert by == {"steady": True, "restless": False}


def test_old_rows_tell_but_do_not_decide(tmp_path):
    watched = Watched.make(tmp_path)
    watched.answer(0, 600, shift=30)
    for day in (1, 2, 3):
        watched.answer(day, 600)
    verdict = monitor(watched.settings, champion=watched.champion)
    [speed] = [column for column in verdict.columns if column.name == "speed"]
    assert (speed.rows, speed.drifted) == (2_400, False)
    assert speed.effect > 0.2
