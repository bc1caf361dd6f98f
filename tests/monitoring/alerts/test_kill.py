"""kill -9 around a send: nothing is lost, and what comes again has the id that it had."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime_lib.monitoring.alerts.dead import DeadLetters
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.monitoring.alerts.overview import overview
from tests.support.alerts import drift, webhook
from tests.support.receivers import receiving

# Reports 20 groups, or as many as it is told.
RUN = """
import sys
from pathlib import Path
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.settings import load

settings = load(Path(sys.argv[1]))
found = [Finding("drift", f"shop: {n}", "PSI 0.31", group=f"g{n}") for n in range(int(sys.argv[2]))]
print("ready", flush=True)
notify(settings, found, source="monitor")
print("done", flush=True)
"""


def started(root: Path, count: int, environ: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(root), str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environ})
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)
    process.stdout.close()


def test_a_kill_between_sending_and_writing_it_down_sends_it_again_under_the_same_id(project):
    with receiving(0, 200) as ops:
        text, environ = webhook("ops", ops.url)
        settings = project(text, **environ)
        process = started(settings.root, 1, environ)
        ops.wait_for(1)  # it has arrived, and the sender does not know
        kill(process)
        [(alert, _)] = _stored(settings)
        assert alert.status == "firing"
        assert notify(settings, [drift("x", group="g0")], source="monitor")[0].sent == 1
        first, second = ops.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.json["data"]["key"] == second.json["data"]["key"]
        assert first.json["data"]["since"] == second.json["data"]["since"]


def test_an_interrupt_ends_a_run_at_once_and_loses_nothing(project):
    with receiving(0, 200) as ops:
        text, environ = webhook("ops", ops.url, timeout=600, deadline=600)
        settings = project(text, **environ)
        process = started(settings.root, 1, environ)
        ops.wait_for(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
        process.stdout.close()
        assert notify(settings, [drift("x", group="g0")], source="monitor")[0].sent == 1
        assert ops.bodies[0]["id"] == ops.bodies[1]["id"]


def test_a_kill_while_it_is_told_that_an_alert_is_over_tells_it_again(project):
    with receiving(200, 0, 200) as ops:
        text, environ = webhook("ops", ops.url)
        settings = project(text, **environ)
        notify(settings, [drift("x", group="g0")], source="monitor")
        process = started(settings.root, 0, environ)
        ops.wait_for(2)
        kill(process)
        assert notify(settings, [], source="monitor")[0].sent == 1
        assert [body["type"] for body in ops.bodies] == ["alert.firing", "alert.resolved", "alert.resolved"]
        assert ops.bodies[1]["id"] == ops.bodies[2]["id"]
        assert _stored(settings) == []


@pytest.mark.parametrize("answer", [200, 503])
def test_thirty_kills_at_any_time_lose_no_alert_and_leave_nothing_damaged(project, answer):
    rng = random.Random(7)
    with receiving(answer) as ops:
        text, environ = webhook("ops", ops.url, tries=1)
        settings = project(text, **environ)
        finished = 0
        for _ in range(30):
            process = started(settings.root, 20, environ)
            time.sleep(rng.uniform(0, 0.12))
            finished += process.poll() is not None
            kill(process)
            overview(settings)  # readable at any time
        assert finished < 20, "too few were killed at work: the waits are too long for this machine"
        ops.answers[:] = [200]
        process = started(settings.root, 20, environ)
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.wait(60)
        process.stdout.close()
        told: dict[str, set[str]] = {}
        for body in ops.bodies:
            told.setdefault(body["data"]["key"], set()).add(body["id"])
        assert len(told) == 20
        assert all(len(ids) == 1 for ids in told.values())  # however often, under the one id
        assert DeadLetters(settings.alerts / "dead.jsonl").all() == []
        assert notify(settings, [], source="monitor")[0].sent == 20
        assert not list(settings.alerts.glob(".*.tmp"))


def _stored(settings):
    from runtime_lib.monitoring.alerts.state import opened

    with opened(settings.alerts) as state:
        return state.alerts()
