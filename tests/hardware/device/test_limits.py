"""Limits are set for a block and put back after it: at its end, after an error, after Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from runtime_lib.hardware import Device, Facts, facts
from runtime_lib.hardware.admit.capacity import capacity
from runtime_lib.hardware.admit.ray import resources
from runtime_lib.hardware.device import limits
from runtime_lib.hardware.device.compute_plan import Workload, plan
from runtime_lib.hardware.device.limits import applied, usable_cpus, with_working_set, working_set

MAC = Facts("darwin", "arm64", "Apple M4", 10, 2**34, False, False, generation=4, os_version="15.1")

# Prints the limits before, within and after the block; `END` says how the block ends.
SCRIPT = """
import sys, time
from runtime_lib.hardware import Device
from runtime_lib.hardware import facts
from runtime_lib.hardware.device.limits import applied
from runtime_lib.hardware.device.compute_plan import Workload, plan

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


MLX_METAL, TORCH_METAL = Device("mlx", "gpu", "test"), Device("torch", "mps", "test")


def stand_in_for(monkeypatch, **modules):
    """Frameworks on a Mac with 10 GiB to recommend, or without Metal."""
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    if "mlx" in modules:
        monkeypatch.setitem(sys.modules, "mlx.core", modules["mlx"].core)


def mlx_that_says(info):
    return SimpleNamespace(core=SimpleNamespace(device_info=lambda: info))


def test_metal_is_asked_for_the_working_set_through_the_framework_that_computes(monkeypatch):
    told = {"max_recommended_working_set_size": 10 * 2**30}
    stand_in_for(monkeypatch, mlx=mlx_that_says(told), torch=SimpleNamespace(mps=Mps()))
    for device, source in ((MLX_METAL, "mlx device_info"), (TORCH_METAL, "torch.mps")):
        found = with_working_set(MAC, device)
        assert found.working_set_bytes == 10 * 2**30
        assert found.sources["working_set_bytes"] == f"Metal, by {source}"
        assert capacity(found, gpu=True) == resources(found, device)["unified_memory"] == 10 * 2**30
        assert replace(found, working_set_bytes=None, sources={}) == MAC
    # What is known stays; a replayed machine's Metal is not here.
    assert with_working_set(replace(MAC, working_set_bytes=1), MLX_METAL).working_set_bytes == 1
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", "/somewhere")
    assert with_working_set(MAC, MLX_METAL) == MAC


@pytest.mark.parametrize("info", [{}, {"max_recommended_working_set_size": 0}])
def test_a_metal_that_does_not_answer_leaves_the_share_of_the_memory(monkeypatch, info):
    stand_in_for(monkeypatch, mlx=mlx_that_says(info), torch=SimpleNamespace())  # no torch.mps at all
    for device in (MLX_METAL, TORCH_METAL):
        assert with_working_set(MAC, device) == MAC
    assert capacity(MAC, gpu=True) == int(2**34 * 0.66)


def test_no_framework_is_imported_where_no_mac_computes():
    script = (
        "import sys; from runtime_lib.hardware import Device, facts\n"
        "from runtime_lib.hardware.device.limits import with_working_set\n"
        "for name in ('cpu', 'cuda'): with_working_set(facts(), Device('torch', name, ''))\n"
        "assert not {'mlx', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_cpu_has_no_working_set_of_its_own():
    assert working_set(Device("torch", "cpu", "test")) is None
    assert usable_cpus()


class Mlx:
    """Stands in for `mlx.core`: three limits, whose setters return the one before."""

    def __init__(self):
        self.limits = dict.fromkeys(("memory", "cache", "wired"), 1)
        for name in self.limits:
            setattr(self, f"set_{name}_limit", partial(self.put, name))

    def put(self, name, limit):
        before, self.limits[name] = self.limits[name], limit
        return before


class Torch:
    """Stands in for `torch` on MPS. Its limits are set in Python, where a Ctrl-C may come first."""

    def __init__(self):
        self.limits = {"threads": 8, "share": 1.7}
        self.get_num_threads = partial(self.limits.get, "threads")
        self.set_num_threads = partial(self.limits.__setitem__, "threads")
        self.mps = SimpleNamespace(
            recommended_max_memory=lambda: 10 * 2**30, set_per_process_memory_fraction=self.set_share
        )

    def set_share(self, share):
        self.limits["share"] = share


class InterruptAt:
    """Raises KeyboardInterrupt before the given step of the interpreter in limits.py, contextlib or here."""

    def __init__(self, step):
        self.left = step

    def __call__(self, frame, event, _):
        files = (limits.__file__, contextlib.__file__)
        if frame.f_code.co_filename not in files and frame.f_code is not Torch.set_share.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize(
    ("module", "stand_in", "device"), [("mlx.core", Mlx, ("mlx", "gpu")), ("torch", Torch, ("torch", "mps"))]
)
def test_a_ctrl_c_at_any_step_leaves_nothing_behind(monkeypatch, module, stand_in, device):
    framework = stand_in()
    monkeypatch.setitem(sys.modules, module, framework)
    monkeypatch.setitem(sys.modules, "mlx", SimpleNamespace(core=framework))
    made = plan(MAC, Device(*device, "test"), Workload(10_000, 160, 2_000, 64))
    # In a thread: what is raised within an `except` of contextlib stays the thread's exception under way.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(interrupt_at_each_step, made, framework).result()


def interrupt_at_each_step(made, framework):
    before, within = dict(framework.limits), []
    for step in count(1):
        sys.settrace(at := InterruptAt(step))
        try:
            with applied(made):
                within.append(dict(framework.limits))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        assert framework.limits == before, step
        if at.left > 0:  # it ran to its end
            break
    assert step > 100
    assert not set(before.items()) & set(within[-1].items())


def test_a_limit_that_cannot_be_put_back_keeps_no_other_from_it(monkeypatch):
    mx = Mlx()
    monkeypatch.setitem(sys.modules, "mlx.core", mx)
    monkeypatch.setitem(sys.modules, "mlx", SimpleNamespace(core=mx))

    def once(limit):
        if mx.limits["cache"] != 1:
            raise ValueError("not any more")
        return mx.put("cache", limit)

    mx.set_cache_limit = once
    made = plan(MAC, Device("mlx", "gpu", "test"), Workload(10_000, 160, 2_000, 64))
    with pytest.raises(ValueError, match="any more"), applied(made):
        pass
    assert (mx.limits["memory"], mx.limits["wired"]) == (1, 1)
