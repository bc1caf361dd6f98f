"""Requests to a running server one after another, in the background, as the demo shows them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def first_row(requests: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    row: dict[str, Any] = pq.read_table(requests).slice(0, 1).drop_columns(["id", "time"]).to_pylist()[0]
    return row


def ask(url: str, row: Mapping[str, Any]) -> Any:
    """One request by hand, to the endpoint that any MLflow client knows."""
    body = json.dumps({"dataframe_records": [row]}).encode()
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@contextmanager
def asking(url: str, requests: Path) -> Iterator[list[tuple[float, str]]]:
    """Ask ten times a second; when each answer came, and of which version. One that fails ends the demo."""
    row, answers, ended = first_row(requests), [], threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        while not ended.wait(0.1):
            try:
                answers.append((time.monotonic(), ask(url, row)["version"]))
            except (OSError, ValueError, KeyError) as error:
                failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
    if failed:
        raise SystemExit(f"{len(failed)} of {len(failed) + len(answers)} requests failed: {failed[0]}")


def answered(
    answers: list[tuple[float, str]], version: str, *, since: float = 0, seconds: float = 60
) -> float:
    """When a version first answered."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := [at for at, by in answers if by == version and at > since]:
            return found[0]
        time.sleep(0.1)
    raise SystemExit(f"Version {version} did not answer within {seconds:.0f} s.")


def shares(url: str) -> str:
    """Who gets which share of the requests, as the server says."""
    with urllib.request.urlopen(f"{url}/status", timeout=10) as answer:
        weights = json.loads(answer.read())["traffic"]["weights"]
    return ", ".join(f"version {version} {weight / 10:g} %" for version, weight in weights.items())
