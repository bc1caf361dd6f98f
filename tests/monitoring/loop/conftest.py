"""A project whose champion has got worse, and a stand-in for the `mlops run` that follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.monitoring.loop import here
from runtime_lib.monitoring.loop.act import act
from runtime_lib.monitoring.loop.trail import Step, read
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.settings import Settings, load
from tests.monitoring.test_monitor import COLUMNS, label, rows, serve
from tests.support.monitored import Champion, write_profile

LOCAL = {"MLOPS_MONITORING__RETRAIN__HOW": "local"}
_PROGRAM = here._PROGRAM
MAIN = "from runtime_lib.cli import main; main()"


@dataclass
class Loop:
    """Version 2 answered worse than on held-out rows; each `monitor` acts on it."""

    root: Path
    patch: Callable[[str], None]

    def settings(self, **variables: str) -> Settings:
        return load(self.root, environ={**LOCAL, **variables})

    def verdict(self, settings: Settings, version: str = "2") -> Verdict:
        found = monitor(settings, champion=Champion("2", self.root))
        assert found.retrain, found.performance.reason
        return replace(found, version=version)

    def monitor(self, version: str = "2", **variables: str) -> tuple[Step | None, list[str]]:
        """The last step, and the steps that were said."""
        settings, said = self.settings(**variables), []
        _, last = act(settings, self.verdict(settings, version), on_step=lambda step: said.append(step.what))
        return last, said

    def trail(self) -> list[str]:
        return [step.what for step in read(self.settings().loop_trail)]

    def next_run(self, document: Any = None, code: int = 0, more: str = "") -> None:
        """What the next `mlops run` prints on stdout, and how it ends."""
        said = document if isinstance(document, str) else json.dumps(document, indent=2) if document else ""
        done = (
            f"import os, sys; open('runs.txt', 'a').write(' '.join(sys.argv[1:]) + chr(10)); {more or 'pass'}"
        )
        ends = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
        assert MAIN in _PROGRAM
        self.patch(_PROGRAM.replace(MAIN, f"{done}; print({said!r}, flush=True); {ends}"))

    def runs(self) -> list[str]:
        path = self.root / "runs.txt"
        return path.read_text().splitlines() if path.exists() else []


def judged(version: str, *, promoted: bool, reason: str = "roc_auc 0.91", **more: Any) -> dict[str, Any]:
    """What `mlops run --json` says after the gate."""
    figures = {"candidate": {"rows": 700}}
    told = {"ran": ["train"], "promoted": promoted, "reasons": [reason], "figures": figures}
    return {**told, "version": version, "judged": True, "set_aside": False, **more}


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    write_profile(tmp_path, COLUMNS, *rows(3_000, 0))
    label(tmp_path, serve(tmp_path, 1_200, skill=0.5))
    return Loop(tmp_path, lambda program: monkeypatch.setattr(here, "_PROGRAM", program))
