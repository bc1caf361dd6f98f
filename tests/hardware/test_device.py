"""The device is chosen for a stated reason; a fact that cannot be read is unknown."""

from __future__ import annotations

import pytest

from runtime_lib.errors import SettingsError
from runtime_lib.hardware import choose_device, facts


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
