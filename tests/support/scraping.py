"""Real Prometheus on 127.0.0.1, and its promtool: `apt install prometheus`."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.projects import free_port

_SECONDS_TO_START = 60

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt install prometheus"
)
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no Prometheus: apt install prometheus"
)


def promtool(*words: str | Path, given: str | None = None) -> tuple[int, str]:
    """Its exit code, and all that it said."""
    done = subprocess.run(
        ["promtool", *map(str, words)], input=given, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        return list(_get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")["result"])

    def value(self, query: str) -> float | None:
        """That of the only series, if there is one."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, dict[str, str]]:
        """Alerts by name, with their labels."""
        alerts = _get(f"{self.url}/api/v1/alerts")["alerts"]
        return {
            alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"
        }


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """One that scrapes and evaluates as `config` says; a rule file is named relative to `folder`."""
    port = free_port()
    path = folder / "running.yml"
    path.write_text(yaml.safe_dump(dict(config)))
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with _running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}"):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def _running(command: list[str], log: Path, url: str) -> Iterator[None]:
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            _wait(process, f"{url}/-/ready", log)
            yield
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        time.sleep(0.05)
    raise AssertionError(f"It did not start: {log.read_text()}")


def _get(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            found = json.load(reply)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{urllib.parse.unquote_plus(url)}: {error.read().decode()}") from error
    assert found["status"] == "success", found
    return dict(found["data"])
