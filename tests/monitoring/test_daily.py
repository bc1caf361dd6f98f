"""Days of the log are folded once: proven by what is read again, and what no longer can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.monitoring.daily import read_days
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.serving.log import compact, delete_before
from tests.support.logged import LATER, aged
from tests.support.releases import REPOSITORY
from tests.support.watched import START, Watched


@pytest.fixture
def watched(tmp_path):
    """Three days of 600 predictions."""
    made = Watched.make(tmp_path)
    for day in range(3):
        made.answer(day, 600)
    return made


def counts(days):
    return {day.name: (day.rows, day.profile.columns["speed"].counts.tolist()) for day in days}


def spoil(folder: Path) -> None:
    """Make every file of a day unreadable, of the same size and age."""
    for path in folder.iterdir():
        told = path.stat()
        path.write_bytes(b"\0" * told.st_size)
        os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


def days_of(watched):
    return sorted(watched.settings.predictions.glob("2*"))


def stored(watched):
    return sorted(watched.settings.daily_profiles.glob("*/*.json"))


def test_a_day_is_folded_once(watched):
    first = counts(read_days(watched.source()))
    assert {name: rows for name, (rows, _) in first.items()} == dict.fromkeys(
        ["2026-03-02", "2026-03-03", "2026-03-04"], 600
    )
    for folder in days_of(watched):
        spoil(folder)
    damage = []
    assert counts(read_days(watched.source(damage=damage))) == first
    assert damage == []
    for path in stored(watched):  # and without the profiles the rows are what they were made: nothing
        path.unlink()
    assert read_days(watched.source(damage=damage)) == []
    assert damage


def test_a_day_that_grew_is_folded_again_and_no_other(watched):
    read_days(watched.source())
    spoil(days_of(watched)[0])
    watched.answer(1, 50, hour=9, prefix="more")
    damage = []
    found = {day.name: day.rows for day in read_days(watched.source(damage=damage))}
    assert found == {"2026-03-02": 600, "2026-03-03": 650, "2026-03-04": 600}
    assert damage == []


def test_rows_that_come_while_a_day_is_folded_are_not_forgotten(watched):
    source = watched.source()
    came = []
    real = source.reference.columns

    def columns(live, answers=None):
        if not came:  # a server goes on answering while monitoring reads
            came.append(watched.answer(2, 40, hour=10, prefix="meanwhile"))
        return real(live, answers)

    object.__setattr__(source.reference, "columns", columns)
    read_days(source)
    assert len(came) == 1
    assert {day.name: day.rows for day in read_days(watched.source())}["2026-03-04"] == 640


def test_a_day_that_was_compacted_is_folded_again_to_the_same(watched):
    first = read_days(watched.source())
    aged(watched.settings.predictions, 3_600)
    assert compact(watched.settings.predictions, now=LATER).days
    before = {path: path.read_bytes() for path in stored(watched)}
    assert counts(read_days(watched.source())) == counts(first)
    assert all(path.read_bytes() != content for path, content in before.items())


def test_another_reference_folds_the_days_again(watched):
    read_days(watched.source())
    before = {path: json.loads(path.read_text())["reference"] for path in stored(watched)}
    other = Watched.make(watched.root)
    other.profile["columns"]["place"]["counts"]["D"] = 7
    read_days(other.source())
    assert all(json.loads(path.read_text())["reference"] != known for path, known in before.items())


def test_a_day_that_retention_deleted_is_judged_by_its_profile(watched):
    first = read_days(watched.source())
    now = START + timedelta(days=3)
    assert delete_before(watched.settings.predictions, 2, now=now) == ("2026-03-02",)
    found = read_days(watched.source())
    assert counts(found) == counts(first)
    assert [day.is_kept for day in found] == [False, True, True]
    verdict = monitor(watched.settings, champion=watched.champion)
    assert verdict.rows == 1_800
    assert verdict.performance.predictions == 1_200
    assert verdict.timeline.rows == (600, 600, 600)


def test_a_day_that_is_cut_is_neither_stored_nor_taken_from_there(watched):
    watched.answer(1, 100, hour=20, prefix="evening")
    since = START + timedelta(days=1, hours=12)
    assert {day.name: day.rows for day in read_days(watched.source(since=since))} == {
        "2026-03-03": 100,
        "2026-03-04": 600,
    }
    assert [path.stem for path in stored(watched)] == ["2026-03-04"]
    read_days(watched.source())
    assert {day.name: day.rows for day in read_days(watched.source(since=since))}["2026-03-03"] == 100
    assert {day.name: day.rows for day in read_days(watched.source())}["2026-03-03"] == 700


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", '{"format": 1}', '{"format": 9}', "counts", "columns"],
)
def test_a_damaged_profile_is_folded_again(watched, damaged):
    first = counts(read_days(watched.source()))
    path = stored(watched)[1]
    whole = path.read_bytes()
    if damaged in ("counts", "columns"):
        content = json.loads(whole)
        if damaged == "counts":
            content["columns"]["speed"]["counts"] = "i1" + "0" * 9
        else:
            content["columns"] = ["speed"]
        damaged = json.dumps(content)
    path.write_text(damaged)
    assert counts(read_days(watched.source())) == first
    assert path.read_bytes() == whole


def test_a_profile_of_more_days_than_are_judged_is_left_alone(tmp_path):
    watched = Watched.make(tmp_path, period_days=2)
    for day in (0, 1, 5, 6, 7):
        watched.answer(day, 30)
    assert [day.name for day in read_days(watched.source())] == ["2026-03-08", "2026-03-09"]


MEMORY = """
import json, sys
from pathlib import Path
from tests.support.watched import Watched
from runtime_lib.monitoring.daily import read_days
from runtime_lib.monitoring.windows import windows
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
root = Path(sys.argv[1])
profile = json.loads((root / "profile.json").read_text())
watched = Watched(root, {"MLOPS_MONITORING__PERIOD_DAYS": sys.argv[2]}, profile)
days = read_days(watched.source())
windows(watched.source(), days)
print(len(days), peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_days(tmp_path):
    watched = Watched.make(tmp_path)
    for day in range(60):
        watched.answer(day, 5_000)
    peaks = []
    for period in ("5", "60"):
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", MEMORY, str(tmp_path), period]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        days, peak = done.stdout.split()
        assert days == period
        peaks.append(float(peak))
    # 60 days of these rows are 23 MB in Arrow; a day's profile is some tens of kB.
    assert peaks[1] - peaks[0] < 16, np.round(peaks, 1)
