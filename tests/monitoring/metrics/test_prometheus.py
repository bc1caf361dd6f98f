"""Real Prometheus scrapes a real server and exporters; Alertmanager tells of an alert and of its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime_lib.monitoring.metrics.export import export
from runtime_lib.settings import Settings
from tests.support.energy import count, powercap
from tests.support.monitored import (
    command,
    make_project,
    monitored,
    write_quality,
    write_release,
    write_training,
)
from tests.support.projects import free_port
from tests.support.prometheus import alertmanager, needs_alertmanager
from tests.support.replayed import ReplayedMac
from tests.support.scraping import Prometheus, needs_prometheus, prometheus
from tests.support.servers import ROWS, Server, eventually, make_model, running

pytestmark = [needs_prometheus, needs_alertmanager]

# An exporter of a Linux machine with counters of energy: its tree is a folder.
METERED = """
import sys
from dataclasses import replace
from pathlib import Path
from runtime_lib.hardware.read.facts import facts
from runtime_lib.monitoring.metrics.exporter import export_forever
from runtime_lib.monitoring.metrics.machine import Machine
from runtime_lib.settings import load
settings = load(Path(sys.argv[1]), environ={})
machine = Machine(replace(facts(), platform="linux"), settings.hardware, powercap=Path(sys.argv[2]))
say = lambda url, first: print(url, flush=True)
export_forever(settings, port=int(sys.argv[3]), on_ready=say, machine=machine)
"""


@dataclass(frozen=True)
class Scene:
    """All of it, running."""

    settings: Settings
    prometheus: Prometheus
    told: list[dict[str, Any]]

    def told_of(self, alert: str, status: str) -> list[dict[str, Any]]:
        alerts = [each for message in list(self.told) for each in message["alerts"]]
        return [each for each in alerts if (each["labels"]["alertname"], each["status"]) == (alert, status)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    server_port, port, metered_port = free_port(), free_port(), free_port()
    settings = make_project(
        folder / "project",
        f'[serving]\nframework = "torch"\nengine = "local"\nfollow = ""\nworkers = 2\nport = {server_port}\n'
        f"[monitoring]\nmetrics_port = {port}\n"
        "[hardware]\nprice_per_kwh = 0.3\ngrid_intensity = 380\n",
    )
    write_quality(settings)
    write_training(settings)
    monitored(settings, "well")
    tree = powercap(folder / "powercap", before=0)
    mac = ReplayedMac(folder / "mac", level=1)
    metered = [sys.executable, "-c", METERED, str(settings.root), str(tree), str(metered_port)]
    export(settings, folder / "exported")
    model = make_model(folder / "model")
    write_release(settings, model)
    with ExitStack() as stack:
        server = stack.enter_context(running(settings, model, server_port))
        stack.enter_context(started(command("metrics"), settings.root, MLOPS_HARDWARE_REPLAY=str(mac.folder)))
        stack.enter_context(started(metered, settings.root))
        stack.enter_context(repeated(lambda tick: count(tree, (tick + 1) * 3_000_000)))
        stack.enter_context(repeated(lambda tick: ask(server, tick)))
        address, told = stack.enter_context(webhook())
        manager = stack.enter_context(alertmanager(folder, address))
        config = yaml.safe_load((folder / "exported" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}]
        }
        config["scrape_configs"][1]["static_configs"][0]["targets"].append(f"127.0.0.1:{metered_port}")
        yield Scene(settings, stack.enter_context(prometheus(folder / "exported", config)), told)


@contextmanager
def started(words: list[str], folder: Path, **variables: str) -> Iterator[None]:
    """A process that says where it answers, once it does."""
    env = {**os.environ, **variables}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert "/metrics" in process.stdout.readline(), process.communicate()[1]
            yield
        finally:
            process.kill()


@contextmanager
def repeated(act: Callable[[int], None], seconds: float = 0.2) -> Iterator[None]:
    """Do it again and again meanwhile."""
    done = threading.Event()

    def run() -> None:
        tick = 0
        while not done.wait(seconds):
            act(tick)
            tick += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/hook", told
        finally:
            listening.shutdown()
            thread.join()


def ask(server: Server, tick: int) -> None:
    """Each fifth request is refused, by the client's fault."""
    server.ask("/invocations", {"inputs": ROWS} if tick % 5 else {"inputs": {}})


def queries(folder: Path) -> list[tuple[str, str]]:
    """Each panel's queries, with the model and a range in the place of Grafana's variables."""
    found = []
    for path in sorted(folder.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"].replace("$__rate_interval", "30s").replace("$model", "flights")
                found.append((f"{path.stem}: {panel['title']} {target['refId']}", expr))
    return found


def test_every_query_of_the_dashboards_finds_a_series(scene: Scene, tmp_path: Path) -> None:
    export(scene.settings, tmp_path)
    asked = queries(tmp_path / "dashboards")
    assert len(asked) > 30

    def missing() -> list[str]:
        return [f"{title}: {expr}" for title, expr in asked if not scene.prometheus.ask(expr)]

    eventually(lambda: not missing(), 60)
    assert "\n".join(missing()) == ""


def test_every_recording_rule_records(scene: Scene, tmp_path: Path) -> None:
    rules = yaml.safe_load((export(scene.settings, tmp_path)[0]).read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    assert len(recorded) == 7
    for name in sorted(recorded):
        assert eventually(lambda name=name: len(scene.prometheus.ask(name)) == 2, 60), name


def test_what_is_scraped_is_what_was_found(scene: Scene) -> None:
    report = json.loads(scene.settings.monitoring_report.read_text())

    def scraped(query: str) -> set[float]:
        return {float(each["value"][1]) for each in scene.prometheus.ask(query)}

    live = 'mlops_performance_live{model="flights",project="flights",version="8",metric="roc_auc"}'
    assert eventually(lambda: scraped(live) == {report["performance"]["live"]}, 60)
    assert scraped('mlops_training_energy_cost{currency="EUR"}') == {0.6}
    assert scraped("mlops_thermal_pressure") == {1}
    assert eventually(lambda: max(scraped("mlops_machine_energy_joules_total"), default=0) > 5, 60)


def test_drift_fires_through_alertmanager_and_is_resolved(scene: Scene) -> None:
    assert "MlopsDrift" not in scene.prometheus.firing()
    begun = time.monotonic()
    assert monitored(scene.settings, "shifted", shift=3).drifted
    assert eventually(lambda: bool(scene.told_of("MlopsDrift", "firing")), 90)
    print(f"fired after {time.monotonic() - begun:.1f} s")
    [alert, *_] = scene.told_of("MlopsDrift", "firing")
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["summary"] == "flights: the data has drifted (columns: 1)"
    assert alert["annotations"]["description"] == "speed - `mlops monitor` tells more."
    assert not monitored(scene.settings, "again").drifted
    assert eventually(lambda: bool(scene.told_of("MlopsDrift", "resolved")), 90)
