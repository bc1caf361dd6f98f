"""Follow a page of the documentation: write its files, run its commands, compare what it shows.

A block's language, and the line before it, say what it is:

    bash                             commands, each run in the project
    … Replace `FILE`:                the file; also "save it as `FILE`:"
    `FUNCTION` in `FILE` …:          that function, in the place of the one that is there
    … set in `FILE`:                 YAML, laid over what the file holds
    text                             lines that the last commands printed
    json, `FILE` …:                  a part of that file
    json                             a part of what the last commands printed

Figures differ between machines: of them only is compared that they are some. `…` stands for anything.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.depth import DEEP
from tests.support.projects import environment, free_port, with_library
from tests.support.releases import REPOSITORY

__all__ = ["Reader", "commands", "on_flights", "quotes", "steps"]

BIN = Path(sys.executable).parent
SERVE = "uv run mlops serve"
# Whether the gate or monitoring finds something is a matter of figures, which differ between machines.
FINDINGS = {"uv run mlops run": {3}, "uv run mlops monitor": {4}}
# The last month of the pages' own figures, so that the gate passes.
LAST = {"binary": "2013-03", "multiclass": "2013-03", "regression": "2013-04", "quantile": "2013-05"}
# In every run: boosting alone, on each seventh flight, the last of a month among them, whose answer is shown.
SMALL = {
    "data": (
        "    return flights.merge(",
        "    flights = flights.iloc[::-7][::-1]\n    return flights.merge(",
    ),
    "model": ('        "network": Arch', '        # "network": Arch'),
}
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


class Reader:
    """Somebody who follows a page, in this environment: installing anew would prove nothing more."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        self.folder, self.template = folder, template
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None
        self.printed: list[str] = []
        self.env = {
            **environment(),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": with_library(folder / "src"),
            "GIT_CEILING_DIRECTORIES": str(folder),
            "MLOPS_SERVING__PORT": str(self.port),
            "MLOPS_SERVING__ENGINE": "local",
            # Next to other tests, more threads would spend their time waiting for each other.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        for who in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{who}_NAME": "Reader", f"GIT_{who}_EMAIL": "reader@example.invalid"}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def follow(self, page: str) -> None:
        for before, language, text in steps(page):
            if named := re.search(r"(?:[Rr]eplace|[Ss]ave (?:it|this) as) `([^`]+)`:$", before):
                (self.folder / named[1]).write_text(text, encoding="utf-8")
            elif named := re.search(r"[Ss]et in `([^`]+)`:$", before):
                _overlay(self.folder / named[1], yaml.safe_load(text))
            elif named := re.match(r"`(\w+)` in `([^`]+\.py)`.*:$", before):
                _exchange(self.folder / named[2], named[1], text)
            elif language == "bash":
                self.printed.append("".join(self.run(command) for command in commands(text)))
            elif language == "text":
                self.compare(text)
            elif language == "json":
                named = re.match(r"`([^`]+\.json)`.*:$", before)
                found = (self.folder / named[1]).read_text() if named else _last_json(self.printed[-1])
                _compare(json.loads(text), json.loads(found), before)
            else:
                raise AssertionError(f"neither a command nor a file: {before}")

    def compare(self, text: str) -> None:
        printed = [_plain(line) for line in self.printed[-1].splitlines()]
        for line in filter(str.strip, text.splitlines()):
            wanted = ".*".join(map(re.escape, _plain(line).split("…")))
            assert any(re.fullmatch(wanted, each) for each in printed), (
                f"the page shows {line!r}, the command {self.printed[-1]!r}"
            )

    def run(self, command: str) -> str:
        command = re.sub(r" +# .*$", "", command)
        if command == SERVE:
            return self.serve()
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            self.env["PYTHONPATH"] = with_library(self.folder / "src")
            return ""
        done = subprocess.run(
            self.here(command), shell=True, cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        allowed = {0}.union(*(codes for start, codes in FINDINGS.items() if command.startswith(start)))
        assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stderr + done.stdout

    def here(self, command: str) -> str:
        """The command with this environment in the place of one that uv would make."""
        command = command.replace("<this repository>", f"{self.template} --data library_source={REPOSITORY}")
        command = re.sub(r"^uvx |^uv run ", "", command).replace(":8000/", f":{self.port}/")
        return {"uv sync": "true"}.get(command, command.replace("uv remove", "uv remove --frozen"))

    def serve(self) -> str:
        """Start the server; return what it printed, and the answer to the request that it printed."""
        self.stop()
        log = self.folder / "var" / "serve.log"
        with log.open("wb") as file:
            self.server = subprocess.Popen(
                ["mlops", "serve"],
                executable=BIN / "mlops",
                cwd=self.folder,
                env=self.env,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        until = time.monotonic() + 120
        while time.monotonic() < until and self.server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
            else:  # the request to try is printed a moment later: it is of a real row
                if "curl " in (said := log.read_text()):
                    return self._asked(said)
                time.sleep(0.2)
        raise AssertionError(log.read_text())

    def _asked(self, said: str) -> str:
        [request] = re.findall(r"^curl .*$", said, flags=re.MULTILINE)
        answer = self.run(request.replace("curl ", "curl -sS --fail-with-body ", 1))
        return f"{said}\n{answer}\n"

    def stop(self) -> None:
        if self.server and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(timeout=60)


def on_flights(render: Callable[..., Path], kind: str) -> Path:
    """A project on the flights for this kind of task, on a few months; in every run a small one."""
    project = render(task_kind=kind, project_name="flights", project_package="flights")
    _overlay(project / "params.yaml", {"data": {"last": LAST[kind]}, "split": {"test": 1}})
    for name, (before, after) in ({} if DEEP else SMALL).items():
        path = project / "src" / "flights" / f"{name}.py"
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{path} is another than {before!r} was written for"
        path.write_text(text.replace(before, after), encoding="utf-8")
    return project


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """Each fenced block: the line before it, its language, its text."""
    yield from re.findall(r"([^\n]*)\n\n```(\w+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """The commands of a block; lines that begin with a space belong to the command above."""
    return re.findall(r"^\S.*(?:\n[ ].*)*", block, flags=re.MULTILINE)


def quotes(page: str) -> list[str]:
    """What a page quotes, each as one line."""
    found = re.findall(r"(?:^> .*\n)+", page, flags=re.MULTILINE)
    return [" ".join(line.removeprefix("> ") for line in quote.splitlines()) for quote in found]


def _plain(line: str) -> str:
    """The line without figures and spaces; of a row with a bar, which column it is of is a figure too."""
    line = re.sub(r"^ *\w+ +\S.*(?= [+-]\d)(.*?) +█+ *$", r"column\1", line)
    return " ".join(NUMBER.sub("0", re.sub("─+", "─", line)).split())


def _overlay(path: Path, tables: dict[str, Any]) -> None:
    def over(old: Any, new: Any) -> Any:
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return new
        return {**old, **{name: over(old.get(name), value) for name, value in new.items()}}

    merged = over(yaml.safe_load(path.read_text(encoding="utf-8")), tables)
    path.write_text(yaml.safe_dump(merged, sort_keys=False), encoding="utf-8")


def _exchange(path: Path, name: str, text: str) -> None:
    """Put the function of a block where the file has one of that name."""
    source = path.read_text(encoding="utf-8")
    [found] = [node for node in ast.parse(source).body if getattr(node, "name", None) == name]
    lines = source.splitlines(keepends=True)
    path.write_text("".join([*lines[: found.lineno - 1], text, *lines[found.end_lineno :]]), encoding="utf-8")


def _last_json(printed: str) -> str:
    return next(line for line in reversed(printed.splitlines()) if line.startswith(("{", "[")))


def _compare(shown: Any, found: Any, where: str) -> None:
    """What is shown is a part of what was found: the same names and words, and numbers for numbers."""
    if isinstance(shown, dict):
        assert isinstance(found, dict), f"{where}: the page shows names, there is {found!r}"
        assert shown.keys() <= found.keys(), f"{where}: the page shows {[*shown]}, there is {[*found]}"
        for name, value in shown.items():
            _compare(value, found[name], f"{where} {name}")
    elif isinstance(shown, list):
        assert isinstance(found, list), f"{where}: the page shows a list, there is {found!r}"
        assert len(shown) == len(found), f"{where}: the page shows {shown}, there is {found}"
        for value, other in zip(shown, found, strict=True):
            _compare(value, other, where)
    elif isinstance(shown, str) and isinstance(found, str):
        assert _plain(shown) == _plain(found), f"{where}: the page shows {shown!r}, there is {found!r}"
    else:
        numbers = all(isinstance(value, (int, float)) for value in (shown, found))
        assert numbers or shown is found, f"{where}: the page shows {shown!r}, there is {found!r}"
