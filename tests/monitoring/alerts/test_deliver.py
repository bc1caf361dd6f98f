"""Delivery: tries, pauses, what is final, what is kept; and no channel waits for another."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime

import pytest

from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.dead import DeadLetters
from runtime_lib.monitoring.alerts.message import Message, retry_after
from runtime_lib.monitoring.alerts.notify import announce, notify
from tests.support.alerts import NOW, alert, drift, webhook
from tests.support.projects import free_port
from tests.support.receivers import receiving

HOUR = timedelta(hours=1)


def channels(project, **urls):
    """The settings of a project with a webhook for each name."""
    text, environ = "", {}
    for name, url in urls.items():
        table, variables = webhook(name, url)
        text, environ = text + table, environ | variables
    return project(text, **environ)


def run(settings, *findings, at=0.0):
    return notify(settings, findings, source="monitor", now=NOW + at * HOUR)


def dead(settings):
    return DeadLetters(settings.alerts / "dead.jsonl").all()


def test_a_server_that_fails_twice_gets_a_third_try_with_the_same_id(project):
    with receiving(503, 429, 200) as ops:
        [outcome] = run(channels(project, ops=ops.url), drift("speed"))
    assert (outcome.sent, outcome.error, outcome.host) == (1, None, ops.url.removeprefix("http://"))
    assert len({request.headers["webhook-id"] for request in ops.requests}) == 1
    assert len(ops.requests) == 3


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (408, 3), (429, 3), (404, 1), (410, 1), (302, 1)])
def test_giving_up_names_host_and_cause_and_keeps_the_alert(project, status, tries):
    with receiving(status, location="http://127.0.0.1:1/elsewhere") as ops:
        settings = channels(project, ops=f"{ops.url}/secret-path?token=secret-token")
        [outcome] = run(settings, drift("speed"))
    assert len(ops.requests) == tries
    host = ops.url.removeprefix("http://")
    assert outcome.error == (
        f"The alert was not delivered to {host} (HTTP {status}, try {tries}). It is kept, and the next run "
        f"sends it again. Check [monitoring.alerts.ops]."
    )
    [letter] = dead(settings)
    assert (letter.channel, letter.cause) == ("ops", f"HTTP {status}, try {tries}")
    assert "secret" not in (settings.alerts / "dead.jsonl").read_text()


def test_a_word_of_slack_is_shown_and_no_other(project):
    with receiving(403, text=b"invalid_token") as word, receiving(403, text=b"your_secret") as more:
        first, second = run(channels(project, word=word.url, more=more.url), drift("speed"))
    assert "(HTTP 403 invalid_token, try 1)" in first.error
    assert "(HTTP 403, try 1)" in second.error


def test_nobody_listening(project):
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        [outcome] = run(channels(project, ops=f"http://127.0.0.1:{port}/secret"), drift("speed"))
    assert f"127.0.0.1:{port} (ConnectionRefusedError, try 3)" in outcome.error


def test_pauses_grow_and_retry_after_is_kept_to(project):
    started = time.monotonic()
    with receiving(503, 200, retry_after="2") as ops:
        run(channels(project, ops=ops.url), drift("speed"))
    assert time.monotonic() - started >= 2
    text, environ = webhook("ops", "", pause=0.4)
    with receiving(503) as slow:
        started = time.monotonic()
        run(project(text, **dict.fromkeys(environ, slow.url)), drift("other"))
    assert time.monotonic() - started >= 0.5 * (0.4 + 0.8)


def test_a_receiver_that_asks_for_too_long_is_left_until_the_next_run(project):
    with receiving(429, retry_after="3600") as ops:
        started = time.monotonic()
        [outcome] = run(channels(project, ops=ops.url), drift("speed"))
    assert time.monotonic() - started < 20
    assert len(ops.requests) == 1
    assert "HTTP 429, asks to wait 3600 s, try 1" in outcome.error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (format_datetime(NOW + HOUR, usegmt=True), 3600),
        (format_datetime(NOW - HOUR, usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("9" * 400, 999_999_999),
    ],
)
def test_retry_after_is_a_number_or_a_date(text, seconds):
    assert retry_after(text, NOW) == seconds


def test_a_channel_that_hangs_holds_up_no_other_and_no_run_for_longer_than_its_deadline(project):
    with receiving(0) as hung, receiving() as ops, receiving(503) as failing:
        text, environ = webhook("hung", hung.url, timeout=600, deadline=3)
        other, more = webhook("ops", ops.url)
        third, last = webhook("failing", failing.url)
        settings = project(text + other + third, **environ, **more, **last)
        arrived = time.monotonic()
        outcomes = run(settings, drift("speed"))
        took = time.monotonic() - arrived
        assert 3 <= took < 30
        assert [outcome.sent for outcome in outcomes] == [0, 1, 0]
        assert "no answer within 3 s" in outcomes[0].error
        assert sorted(letter.channel for letter in dead(settings)) == ["failing", "hung"]


def test_a_server_that_drips_its_answer_is_left_at_the_deadline(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"." * 10_000:
                    connection.sendall(bytes([byte]))
                    if over.wait(0.1):
                        return

        threading.Thread(target=drip, daemon=True).start()
        text, environ = webhook("drip", f"http://127.0.0.1:{server.getsockname()[1]}", deadline=2)
        started = time.monotonic()
        [outcome] = run(project(text, **environ), drift("speed"))
        over.set()
    assert "(no answer within 2 s)" in outcome.error
    assert time.monotonic() - started < 30


def test_a_dead_letter_is_delivered_by_the_next_run_and_gone(project):
    port = free_port()
    settings = channels(project, ops=f"http://127.0.0.1:{port}")
    run(settings, drift("speed"))
    run(settings, drift("speed", "hour"), at=1)
    [letter] = dead(settings)
    assert (letter.runs, letter.message.alert.members) == (2, ("speed", "hour"))
    with receiving(port=port) as ops:
        [outcome] = run(settings, drift("hour"), at=2)
        assert (outcome.sent, outcome.error) == (1, None)
        assert run(settings, drift("hour"), at=3) == ()
    [body] = ops.bodies
    assert body["data"]["members"] == ["hour"]  # what is known now, not what was known then
    assert not (settings.alerts / "dead.jsonl").exists()


def test_an_incident_that_came_and_went_while_a_channel_was_down_is_told_in_its_order(project):
    port = free_port()
    settings = channels(project, ops=f"http://127.0.0.1:{port}")
    run(settings, drift("speed"))
    run(settings, at=1)
    announce(settings, Finding("x", "x", "", severity="critical"), source="loop", now=NOW + 2 * HOUR)
    assert [letter.message.alert.status for letter in dead(settings)] == ["firing", "resolved", "event"]
    with receiving(port=port) as ops:
        run(settings, drift("speed"), at=3)
    assert [body["type"] for body in ops.bodies] == [
        "alert.firing",
        "alert.resolved",
        "alert.event",
        "alert.firing",
    ]
    assert len({body["id"] for body in ops.bodies}) == 4
    assert dead(settings) == []


def test_what_is_over_is_not_told_as_firing_after_it_was_told_to_be_over(project):
    with receiving(400, 400, 200) as ops:
        settings = channels(project, ops=ops.url)
        run(settings, drift("speed"))  # refused
        run(settings, at=1)  # the letter is refused again, that it is over is taken
        run(settings, at=2)
    assert [body["type"] for body in ops.bodies] == ["alert.firing", "alert.firing", "alert.resolved"]
    assert dead(settings) == []


def test_after_a_channel_is_down_its_other_messages_are_kept_without_a_try(project):
    with receiving(503) as ops:
        settings = channels(project, ops=ops.url)
        run(settings, *(drift("a", group=f"g{n}") for n in range(5)))
        assert len(ops.requests) == 3  # the tries of the first
        assert len(dead(settings)) == 5
    with receiving(400) as other:
        run(channels(project, other=other.url), *(drift("a", group=f"g{n}") for n in range(5)), at=1)
        assert len(other.requests) == 5  # each may be refused for its own sake


def test_letters_of_a_channel_that_is_gone_are_kept_for_a_month(project):
    with receiving(503) as ops:
        settings = channels(project, ops=ops.url)
        announce(settings, Finding("x", "x", "", severity="critical"), source="loop", now=NOW)
    bare = project()
    run(bare, at=24 * 29)
    assert len(dead(bare)) == 1
    run(bare, at=24 * 31)
    assert dead(bare) == []


def test_a_line_that_a_kill_cut_short_is_left_out_and_the_next_begins_anew(project, caplog):
    path = project().root / "dead.jsonl"
    DeadLetters(path).add("ops", Message(alert()), "HTTP 503, try 3", NOW)
    path.write_bytes(path.read_bytes() + b'{"format": 1, "channel": "o')
    DeadLetters(path).add("chat", Message(alert()), "HTTP 503, try 3", NOW)
    assert "line 2, is no dead letter and is left out" in caplog.text
    assert [letter.channel for letter in DeadLetters(path).all()] == ["ops", "chat"]
    DeadLetters(path).add("ops", Message(alert()), "HTTP 404, try 1", NOW + HOUR)
    first, _ = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["runs"], first["cause"], first["last"]) == (2, "HTTP 404, try 1", (NOW + HOUR).isoformat())


def test_two_runs_at_once_send_an_alert_once(project):
    with receiving() as ops:
        settings = channels(project, ops=ops.url)
        runs = [threading.Thread(target=run, args=(settings, drift("speed"))) for _ in range(4)]
        for each in runs:
            each.start()
        for each in runs:
            each.join()
        assert len(ops.requests) == 1


def test_a_missing_secret_is_named_and_the_alert_is_sent_once_it_is_there(project):
    text, environ = webhook("on_call", "")
    settings = project(text)
    [outcome] = run(settings, drift("speed"))
    assert "set the variable MLOPS_MONITORING__ALERTS__ON_CALL__URL" in outcome.error
    with receiving() as ops:
        [outcome] = run(project(text, **dict.fromkeys(environ, ops.url)), drift("speed"), at=1)
    assert (outcome.sent, len(ops.requests)) == (1, 1)
