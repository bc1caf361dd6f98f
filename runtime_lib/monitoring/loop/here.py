"""A retraining on this machine: `mlops run`, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from runtime_lib.errors import GateError, MlopsError
from runtime_lib.files import read_json
from runtime_lib.monitoring.loop.trail import Note, Step
from runtime_lib.settings import Settings

__all__ = ["retrain_here"]

_REFUSED = GateError.exit_code  # of a run whose model the gate refused
_NOTHING = (
    "there was nothing new to learn from. With `data.last: latest` in params.yaml each run takes the newest "
    "complete month; a fixed month is yours to move on"
)
# It gets the lock and the number of its holder before the words of the command.
_PROGRAM = (
    "import sys; from pathlib import Path; from runtime_lib.pipeline.run_lock import end_with; "
    "end_with(Path(sys.argv.pop(1)), sys.argv.pop(1)); from runtime_lib.cli import main; main()"
)


def retrain_here(settings: Settings, dropped: str, note: Note, *, lock: Path) -> Step:
    """Bring the pipeline up to date, and let the gate judge or, with `approve`, a person.

    Args:
        dropped: the version whose performance has dropped.
        note: writes a step down and returns it.
        lock: held and signed by this process; the run ends with it, however that ends.
    """
    approve = settings.monitoring.retrain.approve
    done = _run(settings.root, lock, "--json", *(["--no-promote"] if approve else []))
    if done.returncode not in (0, _REFUSED):
        return note("failed", f"`mlops run` {_ended(done.returncode)}: what it printed says why")
    found = _last_document(done.stdout)
    said = _report(settings, "registered") if approve else found
    if not (version := str(said.get("version", ""))):
        return note("failed", "`mlops run` ended well, and did not say which version it made")
    if version == dropped:
        return note("nothing", _NOTHING)
    if approve:
        return _for_approval(settings, version, found, note)
    reasons, figures = "; ".join(found.get("reasons", [])), found.get("figures", {})
    if found.get("promoted"):
        return note("released", f"version {version} is the champion: {reasons}", to=version, figures=figures)
    if found.get("judged"):
        return note("refused", f"the gate refused version {version}: {reasons}", to=version, figures=figures)
    return note("nothing", f"{_NOTHING}. Version {version}, of the same data, was judged before: {reasons}")


def _run(root: Path, lock: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`mlops run` in a process of its own: training must not leave its memory or settings here."""
    command = [sys.executable, "-c", _PROGRAM, str(lock), str(os.getpid()), "run", *words]
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False)


def _for_approval(settings: Settings, version: str, found: Mapping[str, Any], note: Note) -> Step:
    if not found.get("ran") and str(_report(settings, "promotion").get("version")) == version:
        return note("nothing", f"{_NOTHING}. The gate has judged version {version} before", to=version)
    return note(
        "waiting", f"version {version} is trained; `mlops promote` lets the gate judge it", to=version
    )


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with {code}"


def _report(settings: Settings, name: Literal["registered", "promotion"]) -> Mapping[str, Any]:
    try:
        return read_json(settings.report(name), made_by="mlops run")
    except MlopsError:
        return {}


def _last_document(text: str) -> Mapping[str, Any]:
    """The JSON at the end of what a command printed."""
    try:
        found = json.loads(text[f"\n{text}".rfind("\n{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
