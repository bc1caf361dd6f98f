"""A Mac that is well, for the tests of admission."""

from __future__ import annotations

from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.state import State
from tests.support.recorded import RECORDED

GB = 10**9
TERABYTE = Demand(memory_bytes=1000 * GB)
FOLDERS = sorted(path for path in RECORDED.glob("*") if path.is_dir())
MAC = Facts(
    "darwin", "arm64", "Apple M4 Max", 16, 64 * GB, False, False, generation=4, working_set_bytes=48 * GB
)
WELL = State(
    thermal="Nominal",
    memory_pressure="normal",
    power_mode="auto",
    on_battery=False,
    battery=1.0,
    free_memory_bytes=40 * GB,
)
LEVELS = ("Nominal", "Moderate", "Heavy", "Trapping", "Sleeping")
PRESSURES = ("normal", "warning", "critical")
