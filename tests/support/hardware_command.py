"""`mlops hardware`, in this process and in one of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from runtime_lib.cli.app import app
from tests.pipeline.test_run import MLOPS, environment
from tests.support.recorded import RECORDED

# What the object of `--json` holds.
KEYS = {
    "platform",
    "chip",
    "generation",
    "variant",
    "model",
    "core_levels",
    "cpu_count",
    "memory_bytes",
    "gpu_cores",
    "neural_engine_cores",
    "memory_bandwidth_gbs",
    "os_version",
    "is_virtual",
    "is_translated",
    "metal",
    "thermal",
    "memory_pressure",
    "power_mode",
    "device",
    "sources",
}


def told(*words: str) -> str:
    done = CliRunner().invoke(app, ["hardware", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def replayed(folder: str | Path) -> dict:
    return json.loads(told("--json", "--replay", str(RECORDED / folder)))


def mlops(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MLOPS, "hardware", *words],
        cwd=cwd,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def buffered() -> dict[str, str]:
    """As Python writes into files and pipes unless told otherwise."""
    return {**environment(), "PYTHONUNBUFFERED": ""}
