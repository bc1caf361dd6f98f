"""The device is chosen for a stated reason; a fact that cannot be read is unknown."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime_lib.errors import MissingExtraError, SettingsError
from runtime_lib.hardware import Facts, choose_device, device_for, facts

M4 = {
    "platform": "darwin",
    "machine": "arm64",
    "chip": "Apple M4",
    "is_virtual": False,
    "is_translated": False,
}
LINUX = {"platform": "linux", "machine": "x86_64", "chip": "AMD EPYC", "is_translated": False}


def machine(**fields):
    known = dict.fromkeys(
        ["platform", "machine", "chip", "cpu_count", "memory_bytes", "is_virtual", "is_translated"]
    )
    return Facts(**{**known, **fields})


def test_the_facts_are_those_of_this_machine():
    found = facts()
    import psutil

    assert found.cpu_count == psutil.cpu_count()
    assert found.memory_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.01)


@pytest.mark.parametrize("framework", ["mlx", "torch"])
def test_a_framework_asked_for_is_used(framework):
    device = choose_device(framework)
    assert device.framework == framework
    assert device.reason


def test_an_unknown_framework_is_refused():
    with pytest.raises(SettingsError, match="'jax'"):
        choose_device("jax")


@pytest.mark.parametrize(
    ("fields", "asked", "chosen", "reason"),
    [
        (M4, {}, ("mlx", "gpu"), "Apple M4"),
        (M4, {"installed": ("torch",)}, ("torch", "mps"), "MLX not installed"),
        (M4, {"framework": "torch"}, ("torch", "mps"), "MLX not asked for"),
        (M4 | {"chip": "Apple M17 Hyper"}, {}, ("mlx", "gpu"), "M17 Hyper"),
        (M4 | {"is_virtual": True}, {}, ("torch", "cpu"), "is virtual: such a GPU computes wrongly"),
        (M4 | {"is_virtual": True}, {"installed": ("mlx",)}, ("mlx", "cpu"), "is virtual"),
        (M4 | {"is_virtual": True}, {"force_gpu": True}, ("mlx", "gpu"), "force_gpu takes its GPU"),
        (M4 | {"is_virtual": None}, {}, ("mlx", "gpu"), "whether it is virtual is not known"),
        (M4 | {"machine": None, "is_translated": None}, {}, ("mlx", "gpu"), "Apple M4"),
        (M4 | {"machine": "x86_64", "is_translated": True}, {}, ("torch", "cpu"), "translated by Rosetta"),
        (M4 | {"machine": "x86_64", "is_translated": None}, {}, ("torch", "cpu"), "is x86_64"),
        (M4 | {"chip": "Intel(R) Core(TM) i7", "machine": "x86_64"}, {}, ("torch", "cpu"), "an Intel Mac"),
        ({"platform": "darwin"}, {}, ("torch", "cpu"), "neither chip nor processor"),
        (LINUX, {}, ("torch", "cpu"), "no Metal on linux"),
        (LINUX, {"framework": "mlx"}, ("mlx", "cpu"), "where it is slow"),
        (LINUX | {"cuda_devices": ("NVIDIA L4",)}, {}, ("torch", "cuda"), "NVIDIA L4"),
        (LINUX | {"cuda_devices": ("NVIDIA L4",)}, {"installed": ("mlx",)}, ("mlx", "cpu"), "slow"),
        (LINUX | {"chip": "Apple M2", "machine": "aarch64"}, {}, ("torch", "cpu"), "no Metal on linux"),
        ({}, {}, ("torch", "cpu"), "unknown platform"),
    ],
)
def test_the_facts_alone_say_which_device(fields, asked, chosen, reason):
    device = device_for(machine(**fields), **asked)
    assert (device.framework, device.name) == chosen
    assert reason in device.reason


def test_mlx_for_an_x86_64_python_on_a_mac_is_refused():
    with pytest.raises(SettingsError, match="arm64 Python"):
        device_for(machine(**M4 | {"machine": "x86_64", "is_translated": True}), framework="mlx")


@pytest.mark.parametrize(("framework", "installed"), [("auto", ()), ("mlx", ("torch",)), ("torch", ("mlx",))])
def test_a_framework_that_is_not_installed_names_the_extra(framework, installed):
    with pytest.raises(MissingExtraError, match=f"extra '{framework}'"):
        device_for(machine(**M4), framework=framework, installed=installed)


def test_asking_facts_alone_imports_no_framework():
    script = (
        "import sys; from runtime_lib.hardware import Facts, device_for\n"
        "device_for(Facts('darwin', 'arm64', 'Apple M4', 10, 2**34, False, False))\n"
        "assert not {'mlx', 'torch', 'numpy', 'psutil'} & {n.partition('.')[0] for n in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
