"""Counters of energy that a machine may have: Apple's IOReport, NVIDIA's NVML and Linux' RAPL.

A counter opens when it is made; `stop` answers with the joules since then. All of them count what the
whole machine draws in a part of it, whichever process asked for it. They may fail with any exception, on
the way in and on the way out: meter.py turns it into a reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from runtime_lib.errors import require

__all__ = ["POWERCAP", "Apple", "Counted", "Counter", "Nvml", "Rapl", "Ticker"]

POWERCAP = Path("/sys/class/powercap")
# No package draws more: the largest on sale are made for 500 W (AMD EPYC 9965, Intel Xeon 6980P).
RAPL_WATTS = 1000.0
# A package's counter wraps at 65 kJ or more, so at most once a minute.
RAPL_SECONDS = 30.0
# A figure is a millisecond old, and the clock is read after it.
_RAPL_LAG_SECONDS = 0.1


@dataclass(frozen=True)
class Counted:
    """Joules since the counter was opened, by part; `None` where this machine counts no such part.

    A part's name begins with `CPU` or `GPU` where it is one. A negative figure is a counter that was reset,
    one that is not finite a counter that failed.
    """

    parts: Mapping[str, float | None]
    source: str


class Counter(Protocol):
    """One way to count energy, open from when it is made until `stop`."""

    def stop(self) -> Counted:
        """Close the counter and return what it counted."""


class Apple:
    """The energy model of an Apple chip, read through zeus-apple-silicon without root.

    IOReport's figures are the chip's own model of its consumption, in millijoules; Apple calls those that
    `powermetrics` shows from the same place "estimated". M1 to M4 count the GPU's SRAM as well; nobody
    documents whether the GPU's figure holds it, so it is left out, and `source` says so. Never open it in a
    virtual machine: without the channel group, version 1.1 of the package passes a null pointer on and
    crashes the process.
    """

    def __init__(self) -> None:
        # A monitor for each counter, so that two windows open at once never share a key.
        self._monitor = require("zeus_apple_silicon", extra="apple").AppleEnergyMonitor()
        self._monitor.begin_window("work")

    def stop(self) -> Counted:
        metrics = self._monitor.end_window("work")
        millijoules = {
            "CPU": metrics.cpu_total_mj,
            "GPU": metrics.gpu_mj,
            "ANE": metrics.ane_mj,
            "DRAM": metrics.dram_mj,
        }
        parts = {name: None if value is None else value / 1e3 for name, value in millijoules.items()}
        without = "" if metrics.gpu_sram_mj is None else ", without its GPU SRAM counter"
        return Counted(parts, f"zeus-apple-silicon (IOReport: the chip's own model, not the wall{without})")


class Nvml:
    """NVIDIA's total energy counters, of all GPUs that NVML shows (Volta and later), in millijoules."""

    def __init__(self) -> None:
        self._nvml = require("pynvml", extra="torch")
        self._nvml.nvmlInit()
        try:
            count = self._nvml.nvmlDeviceGetCount()
            self._devices = [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            self._before = self._read()
        except BaseException:
            self._nvml.nvmlShutdown()
            raise

    def stop(self) -> Counted:
        try:
            after = self._read()
        finally:
            self._nvml.nvmlShutdown()  # counted by NVML: another user's session stays open
        pairs = enumerate(zip(self._before, after, strict=True))
        parts = {f"GPU {index}": (end - start) / 1e3 for index, (start, end) in pairs}
        return Counted(parts, "NVML (whole GPUs)")

    def _read(self) -> list[int]:
        return [self._nvml.nvmlDeviceGetTotalEnergyConsumption(device) for device in self._devices]


class Rapl:
    """The processor packages' counters in Linux' powercap tree, in microjoules; mostly root may read them.

    A counter starts again from 0 at `max_energy_range_uj`; a thread looks often enough to see each time. One
    that steps back by less than that was reset: what it counts then is not known.
    Source: https://docs.kernel.org/power/powercap/powercap.html
    """

    def __init__(self, root: Path = POWERCAP, *, seconds: float = RAPL_SECONDS) -> None:
        """
        Raises:
            OSError: no package domain below `root`, or one that this user may not read.
        """
        # Packages only: the other domains lie inside one (core, uncore), or count it again (psys, mmio).
        found = {_text(folder / "name"): folder for folder in sorted(root.glob("intel-rapl:*"))}
        self._packages = {name: folder for name, folder in found.items() if name.startswith("package")}
        if not self._packages:
            raise FileNotFoundError(f"no package domain in {root}")
        self._ranges = {n: int(_text(f / "max_energy_range_uj")) for n, f in self._packages.items()}
        self._last, self._looked = self._read(), monotonic()
        self._microjoules = dict.fromkeys(self._packages, 0)
        self._steps_back: dict[str, int] = {}
        self._ticker = Ticker(seconds, self._advance)

    def stop(self) -> Counted:
        self._ticker.stop()
        self._advance()
        counted = {**self._microjoules, **self._steps_back}
        parts = {f"CPU {name}": value / 1e6 for name, value in counted.items()}
        return Counted(parts, "RAPL (processor packages)")

    def _advance(self) -> None:
        """
        Raises:
            TimeoutError: it is so long since the last look (a stopped process) that a counter may have
                started again unseen.
        """
        now, looked = self._read(), monotonic()
        seconds = looked - self._looked
        for name, value in now.items():
            if RAPL_WATTS * seconds * 1e6 >= self._ranges[name]:
                raise TimeoutError(f"nobody looked at {name} for {seconds:.0f} s: it may have started again")
            passed = value - self._last[name]
            wrapped = passed + self._ranges[name]
            if passed >= 0:
                self._microjoules[name] += passed
            elif 0 <= wrapped <= RAPL_WATTS * (seconds + _RAPL_LAG_SECONDS) * 1e6:
                self._microjoules[name] += wrapped
            else:
                self._steps_back[name] = passed
        self._last, self._looked = now, looked

    def _read(self) -> dict[str, int]:
        return {name: int(_text(folder / "energy_uj")) for name, folder in self._packages.items()}


class Ticker:
    """Calls `call` every `seconds` in a thread of its own, until `stop` or the first exception."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds, self._call = seconds, call
        self._error: Exception | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlops-energy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and raise what ended it before."""
        self._done.set()
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                self._call()
            except Exception as error:
                self._error = error
                return


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
