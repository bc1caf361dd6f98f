"""What a server counts: in buckets that fit objectives, of all workers together, never less than before."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runtime_lib.serving.metrics import BOUNDS, METRICS, PREDICTING, Metrics
from tests.support.projects import free_port
from tests.support.scraping import needs_promtool, promtool
from tests.support.servers import ROWS, Server, eventually, make_project, running

_OLD_BOUNDS = 13  # of 0.8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Iterator[Server]:
    port = free_port()
    settings = make_project(
        tmp_path_factory.mktemp("two"), port=port, engine="local", workers=2, front="none"
    )
    with running(settings, model_folder, port) as server:
        yield server


def figures(server: Server) -> dict[str, float] | None:
    """Series → value; None: the server would not say."""
    status, text = server.ask("/metrics")
    if status != 200:
        return None
    return {name: float(value) for name, value in re.findall(r"^(mlops\S+) (\S+)$", text, re.M)}


def counters(server: Server) -> dict[str, float]:
    found = figures(server)
    assert found is not None
    return {name: value for name, value in found.items() if "ready" not in name}


def workers(server: Server) -> list[int]:
    return [worker["pid"] for worker in server.ask("/status")[1]["workers"]]


def bucket(le: str) -> str:
    return f'mlops_request_seconds_bucket{{model="flights",route="/invocations",le="{le}"}}'


def test_failures_are_counted_from_the_start() -> None:
    text = Metrics().text("flights", {})
    for route in PREDICTING:
        assert f'mlops_requests_total{{model="flights",route="{route}",status="503"}} 0\n' in text


@pytest.mark.parametrize(("seconds", "within"), [(0.2, True), (0.2001, False), (0.0004, True), (11, False)])
def test_an_objective_of_200_ms_can_be_counted(seconds: float, within: bool) -> None:
    metrics = Metrics()
    metrics.count("/invocations", 200, seconds)
    text = metrics.text("flights", {})
    assert f"{bucket('0.2')} {int(within)}\n" in text
    assert f"{bucket('+Inf')} 1\n" in text


def test_a_supervisor_of_0_8_reads_what_workers_of_this_version_count_and_they_read_its() -> None:
    metrics = Metrics()
    for bound in (*BOUNDS, 99.0):
        metrics.count("/invocations", 200, bound)
    told = metrics.to_dict()
    old = told["buckets"]["/invocations"]
    assert (len(old), sum(old)) == (_OLD_BOUNDS + 1, len(BOUNDS) + 1)
    back = Metrics.from_dict({name: value for name, value in told.items() if name != "cells"})
    assert back.to_dict()["buckets"] == told["buckets"]
    # What lies in (100 ms, 250 ms] may have been as slow as 250.
    text = back.text("flights", {})
    assert f"{bucket('0.1')} {BOUNDS.index(0.1) + 1}\n" in text
    assert f"{bucket('0.2')} {BOUNDS.index(0.1) + 1}\n" in text
    assert f"{bucket('0.25')} {BOUNDS.index(0.25) + 1}\n" in text
    assert Metrics.from_dict(told).text("flights", {}) == metrics.text("flights", {})


def test_workers_count_together_whichever_is_asked(server: Server) -> None:
    before = counters(server)
    for _ in range(20):
        server.ask("/invocations", {"inputs": ROWS})
    rows = 'mlops_rows_total{model="flights"}'
    assert eventually(lambda: counters(server)[rows] == before[rows] + 60)
    for _ in range(10):
        assert counters(server)[rows] == before[rows] + 60


def test_no_counter_falls_while_workers_are_killed(server: Server) -> None:
    last = counters(server)
    for _ in range(3):
        killed = workers(server)[0]
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 60
        while killed in (found := workers_or_none(server)) or len(found) < 2:
            assert time.monotonic() < end
            last = not_less(server, last)
    for _ in range(20):
        last = not_less(server, last)
    assert last['mlops_rows_total{model="flights"}'] > 0


def workers_or_none(server: Server) -> list[int]:
    """The workers; none while the one that is asked dies."""
    try:
        return workers(server)
    except (OSError, KeyError, TypeError):
        return []


def not_less(server: Server, last: dict[str, float]) -> dict[str, float]:
    """The counters now, none below those before, after a request more."""
    try:
        server.ask("/invocations", {"inputs": ROWS})
        found = figures(server)
    except OSError:  # the worker that was asked has died
        return last
    if found is None:
        return last
    fallen = {name: (value, found.get(name)) for name, value in last.items() if found.get(name, 0) < value}
    assert not {name: each for name, each in fallen.items() if "ready" not in name}
    return {name: value for name, value in found.items() if "ready" not in name}


def test_a_worker_that_cannot_ask_the_others_refuses_the_page(server: Server) -> None:
    """A part of the counts would look like a restart, after which Prometheus counts all of them anew."""
    before = counters(server)
    supervisor = psutil.Process(server.process.pid)
    supervisor.suspend()
    try:
        assert figures(server) is None
        status, answer = server.ask("/metrics")
        assert (status, "error" in answer) == (503, True)
        assert server.ask("/invocations", {"inputs": ROWS})[0] == 200
    finally:
        supervisor.resume()
    assert eventually(
        lambda: (found := figures(server)) is not None and all(found[n] >= before[n] for n in before)
    )


@needs_promtool
def test_promtool_finds_nothing_to_say_against_the_page(server: Server) -> None:
    server.ask("/invocations", {"inputs": ROWS})
    text = server.ask("/metrics")[1]
    code, said = promtool("check", "metrics", given=text)
    assert (code, said) == (0, "")
    named = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    assert named <= {metric.name for metric in METRICS}
