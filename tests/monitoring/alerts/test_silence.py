"""Silences: what is known is recorded, shown and not sent; when they end it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.monitoring.alerts.overview import overview
from runtime_lib.monitoring.alerts.silence import Silence, duration, silenced
from runtime_lib.monitoring.alerts.silences import end, silence
from runtime_lib.settings import Settings
from tests.support.alerts import NOW, alert, drift, webhook
from tests.support.receivers import receiving

HOUR = timedelta(hours=1)


@pytest.fixture
def ops(project):
    with receiving() as receiver:
        text, environ = webhook("ops", receiver.url)
        yield project(text, **environ), receiver


def run(settings: Settings, *findings: Finding, at: float = 0.0) -> int:
    return sum(outcome.sent for outcome in notify(settings, findings, source="monitor", now=NOW + at * HOUR))


def hush(settings, length="2h", at=0.0, reason="sensor is being replaced", **about):
    return silence(settings, length=length, reason=reason, now=NOW + at * HOUR, **about)


def test_what_is_silenced_is_shown_and_sent_when_the_silence_ends(ops):
    settings, receiver = ops
    hush(settings, kind="drift")
    assert run(settings, drift("speed")) == 0
    seen = overview(settings, now=NOW)
    assert (seen.firing, [a.kind for a in seen.silenced]) == ((), ["drift"])
    assert run(settings, drift("speed"), at=1.9) == 0
    assert run(settings, drift("speed"), at=2) == 1
    assert receiver.bodies[0]["data"]["since"] == NOW.isoformat()


def test_what_was_told_before_a_silence_is_told_again_after_it(ops):
    settings, receiver = ops
    assert run(settings, drift("speed")) == 1
    hush(settings, at=1)
    assert run(settings, drift("speed"), at=1.5) == 0
    assert run(settings, drift("speed"), at=4) == 1
    assert run(settings, drift("speed"), at=5) == 0
    assert [body["id"].partition("-")[2] for body in receiver.bodies] == ["firing-0", "firing-1"]


def test_what_ends_in_a_silence_is_told_to_be_over_to_whoever_was_told_of_it(ops):
    settings, receiver = ops
    run(settings, drift("speed"))
    hush(settings, at=1)
    assert run(settings, at=1.5) == 1
    assert receiver.bodies[-1]["type"] == "alert.resolved"
    run(settings, drift("speed"), at=1.6)
    assert run(settings, at=1.7) == 0  # it came and went in the silence
    assert run(settings, at=10) == 0
    assert len(receiver.bodies) == 2


def test_a_dead_letter_waits_for_the_end_of_a_silence_too(ops):
    settings, receiver = ops
    receiver.answers[:] = [503]
    run(settings, drift("speed"))
    receiver.answers[:] = [200]
    hush(settings, at=1)
    assert run(settings, drift("speed"), at=1.5) == 0
    assert run(settings, drift("speed"), at=4) == 1


def test_a_column_that_is_silenced_hides_no_other(ops):
    settings, receiver = ops
    hush(settings, length="1d", column="speed")
    assert run(settings, drift("speed")) == 0
    assert run(settings, drift("speed", "hour"), at=1) == 1
    assert receiver.bodies[0]["data"]["members"] == ["speed", "hour"]
    hush(settings, length="1d", column="late", at=2)
    assert run(settings, drift("speed", "hour", "late"), at=2) == 0  # what is new is silenced


def test_ending_a_silence_by_hand(ops):
    settings, _ = ops
    begun = hush(settings, length="1w")
    run(settings, drift("speed"))
    assert end(settings, begun.id) == begun
    assert run(settings, drift("speed"), at=1) == 1
    with pytest.raises(SettingsError, match=f"There is no silence '{begun.id}'. Known: none"):
        end(settings, begun.id)


def test_a_silence_says_who_and_why(ops, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    settings, _ = ops
    begun = hush(settings, model="shop", reason="  two\nlines ")
    assert (begun.who, begun.reason) == ("ann", "two lines")
    assert overview(settings, now=NOW).silences == (begun,)
    with pytest.raises(SettingsError, match="--reason is empty"):
        hush(settings, reason=" ")
    hush(settings, at=3, reason="later")  # those that are over are forgotten
    assert [each.reason for each in overview(settings, now=NOW + 3 * HOUR).silences] == ["later"]


@pytest.mark.parametrize(
    ("about", "whole"),
    [
        ({}, True),
        ({"model": "shop"}, True),
        ({"model": "other"}, False),
        ({"kind": "skew"}, False),
        ({"kind": "drift", "column": "speed"}, False),
        ({"model": "other", "column": "speed"}, False),
    ],
)
def test_whom_a_silence_is_about(about, whole):
    given = {"model": "", "kind": "", "column": "", **about}
    quiet = Silence.new(**given, length=HOUR, who="ann", reason="x", now=NOW)
    assert silenced(alert(), [quiet], NOW)[0] is whole
    assert not silenced(alert(), [quiet], NOW + HOUR)[0]


@pytest.mark.parametrize(("text", "hours"), [("90m", 1.5), ("2h", 2), ("1.5d", 36), (" 1w ", 168)])
def test_times_as_people_write_them(text, hours):
    assert duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0h", "2 h", "367d", "1e3h", "999999w", "\uff12h"])
def test_what_is_no_time_is_named(text):
    with pytest.raises(SettingsError, match=r"--for .* is no time: a number and m, h, d or w"):
        duration(text)
