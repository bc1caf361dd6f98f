"""A plan that is cut into pieces changes what is on the device at a time, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from runtime_lib.errors import CapacityError
from runtime_lib.hardware import Device, Facts
from runtime_lib.hardware.share.lease import holders
from runtime_lib.settings import Hardware, load
from runtime_lib.task.kinds import BINARY
from runtime_lib.tracking.record import read, record_folder
from runtime_lib.training import hold
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.fit import network_for
from runtime_lib.training.hold import plan_for
from runtime_lib.training.model import Model
from runtime_lib.training.network import Architecture, predict
from runtime_lib.training.train import train
from runtime_lib.training.trainer import FitParams
from tests.registry.conftest import make_table, write_split

GIB = 2**30
RECORDED = Path(__file__).parents[1] / "hardware" / "recorded"
LINUX = Facts("linux", "x86_64", None, 8, 64 * GIB, False, False, memory_limit_bytes=32 * GIB)
MAC = Facts("darwin", "arm64", "Apple M4 Max", 16, 64 * GIB, False, False, working_set_bytes=48 * GIB)
RNG = np.random.default_rng(11)
INPUTS = RNG.normal(size=(500, 12)).astype("float32")
LABEL = (INPUTS[:, 0] * INPUTS[:, 1] > 0).astype("float32")
BATCHES = [np.arange(start, min(start + 128, 500)) for start in range(0, 500, 128)]  # the last is smaller
FRAMEWORKS = pytest.mark.parametrize("framework", ["torch", "mlx"])


def network(framework, **options):
    options = {"inputs": 12, "hidden": [32, 16], "dropout": 0.0, **options}
    params, device = FitParams(learning_rate=0.01), Device(framework, "cpu", "test")
    return network_for(Architecture("mlp", options), task=BINARY, params=params, device=device)


@FRAMEWORKS
@pytest.mark.parametrize("at_once", [1, 37, 64, 127, 128, 1000])
def test_pieces_of_a_batch_take_the_step_of_the_whole_batch(framework, at_once):
    whole, cut = network(framework), network(framework)
    cut.load(whole.weights())
    losses = [
        net.train_epoch(INPUTS, LABEL, batches=BATCHES, at_once=rows)
        for net, rows in ((whole, None), (cut, at_once))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in whole.weights().items():
        assert np.abs(value - cut.weights()[name]).max() < 1e-5, name
    assert np.abs(whole.predict(INPUTS) - cut.predict(INPUTS)).max() < 1e-5


@FRAMEWORKS
def test_predicting_in_pieces_gives_the_same(framework):
    net = network(framework)
    whole = net.predict(INPUTS)
    for at_once in (1, 7, 499, 500, 10_000, None):
        assert np.abs(predict(net, INPUTS, at_once=at_once) - whole).max() < 1e-6


@FRAMEWORKS
def test_the_shapes_are_those_of_the_weights(framework):
    net = network(framework)
    assert net.shapes() == {name: value.shape for name, value in net.weights().items()}


# Prints by how much a training raises the memory of its process, in bytes.
PEAK = """
import sys
import numpy as np
from runtime_lib.hardware import Device
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.fit import network_for
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainer import FitParams

def memory(name):  # not ru_maxrss, which starts with the peak of the parent
    [line] = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) * 1024

framework, width, hidden, batch, at_once = sys.argv[1], *map(int, sys.argv[2:])
def train(width, hidden, batch):
    options = {"inputs": width, "hidden": [hidden, hidden], "dropout": 0.1}
    device = Device(framework, "cpu", "")
    net = network_for(Architecture("mlp", options), task=BINARY, params=FitParams(), device=device)
    x = np.random.default_rng(0).normal(size=(2 * batch, width)).astype("float32")
    y = (x[:, 0] > 0).astype("float32")
    best = net.weights()
    net.train_epoch(x, y, batches=np.split(np.arange(2 * batch), 2), at_once=at_once)
    best = net.weights()

train(2, 2, 2)
before = memory("VmRSS")
train(width, hidden, batch)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@FRAMEWORKS
@pytest.mark.parametrize(
    ("width", "hidden", "batch", "at_once"),
    [(1000, 2500, 8, 8), (50, 300, 10_000, 10_000), (50, 300, 10_000, 1_000)],
    ids=["many parameters", "many rows", "many rows in pieces"],
)
def test_a_training_takes_what_its_plan_says_at_most_and_not_much_less(
    framework, width, hidden, batch, at_once
):
    command = [sys.executable, "-c", PEAK, framework, *map(str, (width, hidden, batch, at_once))]
    # As in a project: the tests' own policy for threads keeps more memory.
    env = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE"}
    taken = int(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout)
    device = Device(framework, "cpu", "test")
    nothing = plan_for({}, device, width=0, batch_size=1).memory_bytes
    shapes = network(framework, inputs=width, hidden=[hidden, hidden]).shapes()
    planned = plan_for(shapes, device, width=width, batch_size=at_once, rows=2 * batch).memory_bytes - nothing
    assert taken <= planned < 4 * taken, (taken, planned)


def project(folder, framework):
    (folder / "mlops.toml").write_text(
        f'[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "{framework}"\n'
    )
    write_split(folder)
    return load(folder, environ={})


def architecture(width, options):
    return Architecture("mlp", {"inputs": width, "hidden": [8]})


PARAMS = {"seed": 1, "epochs": 2, "learning_rate": 0.02, "batch_size": 64}


@FRAMEWORKS
def test_a_training_with_little_memory_is_cut_and_gives_the_same_model(framework, tmp_path, monkeypatch):
    settings = project(tmp_path, framework)
    train(settings, architecture, PARAMS)
    assert tag(settings)["micro_batches"] == 1
    rows = make_rows(settings)
    whole = Model.load(settings.candidate, framework=framework).predict(rows)

    monkeypatch.setattr(hold, "working_set", lambda device: 1)
    with pytest.raises(CapacityError) as caught:
        train(settings, architecture, PARAMS)
    least = 1 + caught.value.missing_bytes
    monkeypatch.setattr(hold, "working_set", lambda device: least + 4_000)
    train(settings, architecture, PARAMS)
    made = tag(settings)
    assert made["micro_batches"] > 1
    assert made["predict_rows"] < 600
    assert made["batch_size"] == 64
    cut = Model.load(settings.candidate, framework=framework).predict(rows)
    assert np.abs(cut - whole).max() < 1e-4
    evaluate(settings, {"logistic": False})
    report = json.loads((settings.reports / "evaluation.json").read_text())
    assert report["rows"] == 600


@pytest.mark.parametrize(
    ("machine", "device", "told", "hardware", "limit"),
    [
        (LINUX, ("torch", "cpu"), None, Hardware(memory_gib=60), 24),
        (LINUX, ("torch", "cpu"), None, Hardware(memory_share=1.0), 24),
        (LINUX, ("torch", "cpu"), None, Hardware(memory_gib=10), 10),
        (MAC, ("mlx", "gpu"), 50, None, 48),
        (MAC, ("mlx", "gpu"), 50, Hardware(memory_gib=64), 48),
        (MAC, ("torch", "mps"), 44, None, 44),
        # Where the facts do not say what Metal recommends, the driver does.
        (replace(MAC, working_set_bytes=None), ("mlx", "gpu"), 50, None, 50),
        (replace(MAC, working_set_bytes=None), ("mlx", "gpu"), 80, None, 64),
        (replace(MAC, working_set_bytes=None), ("torch", "mps"), 50, Hardware(memory_gib=64), 50),
        (replace(MAC, working_set_bytes=None), ("torch", "mps"), None, Hardware(memory_gib=64), 42.24),
        (LINUX, ("torch", "cuda"), 80, None, 80),
        (LINUX, ("torch", "cuda"), 80, Hardware(memory_gib=40), 40),
    ],
)
def test_settings_may_allow_less_than_the_machine_and_never_more(
    monkeypatch, machine, device, told, hardware, limit
):
    monkeypatch.setattr(hold, "facts", lambda: machine)
    monkeypatch.setattr(hold, "working_set", lambda device: told and told * GIB)
    made = plan_for({"w": (10, 20)}, Device(*device, "test"), width=10, batch_size=32, hardware=hardware)
    assert made.memory_limit_bytes == int(limit * GIB)


def tag(settings):
    return json.loads(read(record_folder(settings))[0].tags["mlops.plan"])


def make_rows(settings):
    from runtime_lib.data.columns import check_rows

    model = Model.load(settings.candidate, framework="torch")
    table = make_table(200, 9)
    return check_rows({column.name: table[column.name] for column in model.columns}, model.columns)


def test_a_training_that_fails_still_names_its_machine(tmp_path):
    settings = project(tmp_path, "torch")
    with pytest.raises(Exception, match="learning_rate"):
        train(settings, architecture, {**PARAMS, "learning_rate": 1e30, "epochs": 20})
    [folder] = (settings.var / "spool").iterdir()
    state, _ = read(folder)
    assert state.status == "FAILED"
    assert state.tags["mlops.device"] == "cpu"
    assert state.tags["mlops.chip"]
    assert state.tags["mlops.energy_kind"] in ("measured", "estimated", "unknown")
    assert "mlops.hardware_replay" not in state.tags


def test_a_training_on_a_replayed_machine_says_so_and_claims_no_energy(tmp_path, monkeypatch, capsys):
    settings = project(tmp_path, "torch")
    mac = RECORDED / "m4-max"
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac))
    train(settings, architecture, PARAMS)
    state, measures = read(record_folder(settings))
    assert (state.tags["mlops.chip"], state.tags["mlops.hardware_replay"]) == ("Apple M4 Max", str(mac))
    assert state.tags["mlops.energy_kind"] == "unknown"
    assert str(mac) in state.tags["mlops.energy_source"]
    assert not [measure for measure in measures if measure.name.startswith("energy")]
    assert f"the machine in {mac}, which is not this one" in capsys.readouterr().out


def test_a_training_says_where_and_how_it_computes(tmp_path, capsys):
    settings = project(tmp_path, "torch")
    train(settings, architecture, PARAMS)
    said = capsys.readouterr().out
    tags = read(record_folder(settings))[0].tags
    assert f"Training with torch on cpu: {tags['mlops.device_reason']}.\nPlan: " in said
    assert "which is not this one" not in said


@pytest.mark.parametrize(("hardware", "share"), [(Hardware(), 0.75), (Hardware(memory_share=0.5), 0.5)])
def test_a_container_is_shared_by_what_it_may_take(tmp_path, monkeypatch, hardware, share):
    """24 of 32 GiB that the control group allows, not of the 64 GiB that the machine has."""
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(hold, "facts", lambda: LINUX)
    settings = structs.replace(project(tmp_path, "torch"), hardware=hardware)
    plan = plan_for({"w": (10, 20)}, Device("torch", "cpu", "test"), width=10, batch_size=32)
    with hold.held(settings, replace(plan, memory_bytes=24 * GIB)):
        assert [lease.memory for lease in holders()] == [share]


def test_a_training_leaves_the_process_as_it_found_it(tmp_path):
    import torch

    settings = project(tmp_path, "torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(settings, architecture, PARAMS)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
