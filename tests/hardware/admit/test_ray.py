"""A Mac's GPU and memory as amounts for Ray: what is offered, what is asked, and what can never be had."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runtime_lib.hardware import facts
from runtime_lib.hardware.admit import here
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.admit.ray import asked, misfit, resources
from runtime_lib.hardware.device.device import Device, device_for
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.serving.engines.ray.demand import offered
from runtime_lib.settings import Hardware
from tests.support.replayed import ReplayedMac

GIB = 2**30
MAC = Facts(
    "darwin", "arm64", "Apple M4 Max", 16, 64 * GIB, False, False, generation=4, working_set_bytes=48 * GIB
)
METAL = Device("mlx", "gpu", "")
OFFERED = {"apple_gpu": 1.0, "unified_memory": 48.0 * GIB}


def test_a_mac_offers_its_gpu_and_the_working_set():
    assert resources(MAC, METAL) == resources(MAC, Device("torch", "mps", "")) == OFFERED
    assert resources(replace(MAC, working_set_bytes=None), METAL)["unified_memory"] == int(64 * GIB * 0.66)


@pytest.mark.parametrize(
    ("machine", "device"),
    [
        (MAC, Device("torch", "cpu", "the GPU computes wrongly")),
        (replace(MAC, is_virtual=True), METAL),
        (replace(MAC, is_virtual=None), METAL),
        (replace(MAC, is_translated=True), METAL),
        (replace(MAC, platform="linux", chip="AMD EPYC"), Device("torch", "cuda", "")),
        (replace(MAC, chip="Intel(R) Core(TM) i7", machine="x86_64", generation=None), METAL),
    ],
    ids=["wrong", "virtual", "perhaps-virtual", "rosetta", "linux", "intel"],
)
def test_nothing_is_offered_that_is_not_apples_or_not_to_be_trusted(machine, device):
    assert resources(machine, device) == {}


def test_memory_that_is_unknown_is_not_offered():
    unknown = replace(MAC, memory_bytes=None, working_set_bytes=None)
    assert resources(unknown, METAL) == {"apple_gpu": 1.0}
    assert resources(replace(MAC, is_virtual=True), METAL, force_gpu=True) == OFFERED


def test_a_server_offers_what_metal_recommends_and_its_replica_may_take_it(monkeypatch):
    """MLX answers as on a Mac; the facts are those of a Mac that was asked by commands alone."""
    mac = replace(MAC, working_set_bytes=None)
    info = {"max_recommended_working_set_size": 48 * GIB}
    monkeypatch.setattr(pytest.importorskip("mlx.core"), "device_info", lambda: info)
    monkeypatch.setattr("runtime_lib.serving.engines.ray.demand.facts", lambda: mac)
    monkeypatch.setattr(here, "facts", lambda probe: mac)
    policy = Hardware(serving_memory_gib=45, unknown="run")
    assert offered(policy, "auto") == OFFERED
    demand = Demand(45 * GIB, gpu=True)  # more than 66 % of the memory, less than Metal recommends
    taken = here.decide_here(policy, demand, device=METAL)
    assert "can give" not in " ".join(taken.reasons)
    refused = here.decide_here(policy, demand)
    assert "can give 42.24 GiB at most" in refused.reasons[0]


def test_this_machine_offers_no_apple_gpu():
    machine = facts()
    assert machine.platform != "linux" or resources(machine, device_for(machine)) == {}


def test_work_asks_only_where_there_is_a_gpu_to_ask_for():
    demand = Demand(2 * GIB, gpu=True)
    assert asked(demand, OFFERED) == {"apple_gpu": 1.0, "unified_memory": 2.0 * GIB}
    assert asked(Demand(gpu=True), OFFERED) == {"apple_gpu": 1.0}
    assert asked(demand, {}) == asked(Demand(2 * GIB), OFFERED) == {}


def test_what_no_node_can_ever_give_is_said():
    big = {"apple_gpu": 1.0, "unified_memory": 10.0**12}
    said = misfit(big, [OFFERED, {"CPU": 2.0}])
    assert said == (
        "The work asks for 931.32 GiB of unified_memory, and no node has more than "
        "48.00 GiB of unified_memory."
    )
    assert misfit(OFFERED, [{"CPU": 2.0}, OFFERED]) is None
    assert misfit({}, [{"CPU": 2.0}]) is None
    apart = [{"apple_gpu": 1.0}, {"unified_memory": 48.0 * GIB}]
    assert "No single node" in (misfit(OFFERED, apart) or "")
    assert "no node has more than 0 apple_gpu" in (misfit({"apple_gpu": 1.0}, [{"CPU": 2.0}]) or "")


def test_the_command_prints_what_ray_start_takes(tmp_path):
    def printed(*options: str) -> dict[str, float]:
        mlops = Path(sys.executable).with_name("mlops")
        command = [str(mlops), "hardware", "--ray-resources", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    mac = ReplayedMac(tmp_path / "mac")
    assert printed("--replay", str(mac.folder)) == {
        "apple_gpu": 1.0,
        "unified_memory": float(int(64 * GIB * 0.66)),
    }
    assert sys.platform != "linux" or printed() == {}
