"""How long each test file took when it was last recorded: the longest start first, so that none is last.

`MLOPS_TESTS_RECORD=1 nox -s tests` records anew; `nox -s tests` shows the seconds of CPU of each folder.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "durations.json"
# Between the short and the long ones: a file that nobody has recorded yet.
UNKNOWN = 5.0


def load() -> dict[str, float]:
    """Test file → seconds."""
    recorded: dict[str, float] = json.loads(FILE.read_text())
    return recorded


def longest_first(items: list[pytest.Item]) -> None:
    """Sort in place by the time of each test's file; the tests of a file stay in their order."""
    recorded = load()
    items.sort(key=lambda item: (-recorded.get(_file(item.nodeid), UNKNOWN), _file(item.nodeid)))


class Durations:
    """Adds up wall and CPU seconds per test file; below xdist, those that the workers report."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._before = _cpu()
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        # Fixtures that end after this are counted with the next test: a file's sum is what matters.
        now = _cpu()
        item.user_properties.append(("cpu", now - self._before))
        self._before = now

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.wall[_file(report.nodeid)] += report.duration
        if report.when == "teardown":
            self.cpu[_file(report.nodeid)] += dict(report.user_properties).get("cpu", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        folders = Counter[str]()
        for file, seconds in self.cpu.items():
            folders[str(Path(file).parent)] += seconds
        terminalreporter.write_sep("=", "seconds of CPU by folder, processes that a test started included")
        for folder, seconds in folders.most_common():
            terminalreporter.write_line(f"{seconds:8.1f}  {folder}")
        if os.environ.get("MLOPS_TESTS_RECORD") == "1":
            record(self.wall.items())


def record(taken: Iterable[tuple[str, float]]) -> None:
    """Store the files of this run; drop those that are gone."""
    known = {**load(), **{file: round(seconds, 1) for file, seconds in taken}}
    root = FILE.parents[1]
    kept = {file: seconds for file, seconds in sorted(known.items()) if (root / file).is_file()}
    FILE.write_text(json.dumps(kept, indent=2) + "\n")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it started and has waited for."""
    return sum(os.times()[:4])
