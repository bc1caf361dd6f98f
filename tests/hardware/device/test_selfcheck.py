"""The self-check passes an honest CPU and finds each planted defect."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_lib.errors import DeviceError
from runtime_lib.hardware import choose_device
from runtime_lib.hardware.device import choice, selfcheck
from runtime_lib.hardware.device.selfcheck import check

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mlx.core")


@pytest.fixture(autouse=True)
def fresh():
    """What was found about a device is kept in a process: forget it around each test."""
    check.cache_clear()
    choose_device.cache_clear()
    yield
    check.cache_clear()
    choose_device.cache_clear()


@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_an_honest_cpu_passes(framework):
    assert check(framework, "cpu") == ()


class Defect(torch.overrides.TorchFunctionMode):
    """Lets torch compute, and then spoils what one function gives."""

    def __init__(self, function, spoil):
        super().__init__()
        self.function, self.spoil, self.calls = function, spoil, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is not self.function:
            return result
        self.calls += 1
        return self.spoil(result, args, self.calls)


linear = torch.nn.functional.linear
DEFECTS = {
    "values that are not finite": (linear, lambda y, args, call: y * float("nan")),
    "one value that is infinite": (linear, lambda y, args, call: y.index_fill(-1, torch.tensor(3), np.inf)),
    "off by one": (linear, lambda y, args, call: y + 1),
    "off by one row": (linear, lambda y, args, call: y.roll(1, 0)),
    "one percent too much": (linear, lambda y, args, call: y * 1.01),
    "another shape": (torch.Tensor.softmax, lambda y, args, call: y[:1]),
    "the bias dropped": (
        linear,
        lambda y, args, call: y - args[2] if args[2:] and args[2] is not None else y,
    ),
    "views taken for contiguous": (
        linear,
        lambda y, args, call: (
            y if args[0].is_contiguous() else linear(args[0].T.reshape(args[0].shape), *args[1:])
        ),
    ),
    "wrong in every second call": (linear, lambda y, args, call: y + 100 if call % 2 == 0 else y),
    "softmax over the wrong axis": (torch.Tensor.softmax, lambda y, args, call: args[0].softmax(0)),
    "cross-entropy summed": (torch.nn.functional.cross_entropy, lambda y, args, call: y * 64),
    "a sum without its last row": (torch.Tensor.sum, lambda y, args, call: y - args[0][-1]),
    "a gradient of twice the size": (linear, lambda y, args, call: y + (y - y.detach())),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_planted_defect_is_found(name):
    with Defect(*DEFECTS[name]) as defect:
        found = check("torch", "cpu")
    assert defect.calls
    assert found
    assert all(found)


def test_mlx_computing_wrongly_is_found(monkeypatch):
    right = mx.softmax
    monkeypatch.setattr(mx, "softmax", lambda x, axis: right(x, axis=0))
    assert "softmax" in check("mlx", "cpu")[0]


def test_a_device_that_computes_wrongly_is_passed_over_and_named():
    with Defect(*DEFECTS["off by one"]):
        device = choose_device()
    assert (device.framework, device.name) == ("mlx", "cpu")
    assert "torch on cpu is passed over: it computes wrongly: linear is off by" in device.reason


def test_of_an_honest_device_nothing_is_passed_over():
    assert "passed over" not in choose_device("torch").reason


def crash(*_, **__):
    raise RuntimeError("the driver is gone")


def test_a_framework_that_crashes_is_passed_over_with_its_message(monkeypatch):
    monkeypatch.setattr(selfcheck, "_on_torch", crash)
    device = choose_device()
    assert device.framework == "mlx"
    assert "torch on cpu is passed over: RuntimeError: the driver is gone" in device.reason


def test_a_machine_on_which_nothing_computes_right_says_why(monkeypatch):
    monkeypatch.setattr(selfcheck, "_on_torch", crash)
    with pytest.raises(DeviceError, match="the driver is gone"):
        choose_device("torch")


def test_a_device_that_facts_name_and_torch_does_not_find_is_passed_over(monkeypatch):
    from dataclasses import replace

    found = replace(choice.facts(), cuda_devices=("NVIDIA L4",))
    monkeypatch.setattr(choice, "facts", lambda: found)
    device = choose_device("torch")
    assert device.name == "cpu"
    assert "torch on cuda is passed over: torch does not find it" in device.reason
