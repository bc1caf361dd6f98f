"""Limits are set for a block and put back after it: at its end, after an error, after Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from runtime_lib.hardware import Device, facts
from runtime_lib.hardware.limits import applied, usable_cpus, working_set
from runtime_lib.hardware.plan import Workload, plan

# Prints the limits before, within and after the block; `END` says how the block ends.
SCRIPT = """
import sys, time
from runtime_lib.hardware import Device, facts
from runtime_lib.hardware.limits import applied
from runtime_lib.hardware.plan import Workload, plan

framework, end = sys.argv[1:]
made = plan(facts(), Device(framework, "cpu", "test"), Workload(10_000, 160, 2_000, 64), cpus=1)

if framework == "mlx":
    import mlx.core as mx
    def limits():
        cache = mx.set_cache_limit(0)  # has no getter: look at it, and put it back
        mx.set_cache_limit(cache)
        return mx.get_memory_limit(), cache
    mx.set_memory_limit(7 * 2**30), mx.set_cache_limit(5 * 2**30)
    wanted = made.memory_limit_bytes, made.cache_limit_bytes
else:
    import torch
    torch.set_num_threads(2)
    limits = torch.get_num_threads
    wanted = made.threads

before = limits()
try:
    with applied(made):
        assert limits() == wanted != before, (limits(), wanted, before)
        print("within", flush=True)
        if end == "error":
            raise ZeroDivisionError
        if end == "interrupt":
            time.sleep(60)
except (KeyboardInterrupt, ZeroDivisionError) as error:
    print(type(error).__name__)
assert limits() == before, (limits(), before)
assert ("torch" in sys.modules) == (framework == "torch"), "imports only the plan's framework"
assert ("mlx" in sys.modules) == (framework == "mlx"), "imports only the plan's framework"
print("restored")
"""


@pytest.mark.parametrize("framework", ["mlx", "torch"])
@pytest.mark.parametrize(
    ("end", "seen"),
    [("normal", []), ("error", ["ZeroDivisionError"]), ("interrupt", ["KeyboardInterrupt"])],
)
def test_what_was_there_before_is_put_back(framework, end, seen):
    command = [sys.executable, "-c", SCRIPT, framework, end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        first = process.stdout.readline()
        if end == "interrupt":
            process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert [first.strip(), *rest.split()] == ["within", *seen, "restored"], errors


def test_a_limit_that_the_driver_refuses_leaves_nothing_behind(monkeypatch):
    mx = pytest.importorskip("mlx.core")
    made = plan(facts(), Device("mlx", "cpu", "test"), Workload(10_000, 160, 2_000, 64))
    before = mx.get_memory_limit()

    def refuse(limit):
        raise ValueError("larger than the system's")

    monkeypatch.setattr(mx, "set_cache_limit", refuse)
    with pytest.raises(ValueError, match="system's"), applied(made):
        pass
    assert mx.get_memory_limit() == before


class Mps:
    """Stands in for `torch.mps`, which raises without a Mac: keeps what it is told."""

    def __init__(self):
        self.told = []
        self.set_per_process_memory_fraction = self.told.append

    def recommended_max_memory(self):
        return 10 * 2**30


@pytest.mark.parametrize(("variable", "default"), [(None, 1.7), ("0.9", 0.9), ("many", 1.7)])
def test_mps_gets_its_share_and_torchs_default_back(monkeypatch, variable, default):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "mps", mps := Mps())
    if variable:
        monkeypatch.setenv("PYTORCH_MPS_HIGH_WATERMARK_RATIO", variable)
    device = Device("torch", "mps", "test")
    made = plan(facts(), device, Workload(10_000, 160, 2_000, 64), working_set=4 * 2**30)
    with applied(made):
        assert mps.told == [pytest.approx(0.4)]
    assert mps.told == [pytest.approx(0.4), default]
    assert working_set(device) == 10 * 2**30


def test_a_cpu_has_no_working_set_of_its_own():
    assert working_set(Device("torch", "cpu", "test")) is None
    assert usable_cpus()
