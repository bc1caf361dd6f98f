"""Both frameworks are driven through one plan, and a run's page says on what it was trained, and why."""

from __future__ import annotations

import json

import msgspec
import pytest

from runtime_lib.hardware import facts
from runtime_lib.hardware.share.lease import holders
from runtime_lib.tracking.record import Record, record_folder
from runtime_lib.tracking.ship import ship
from runtime_lib.tracking.store import connect
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train
from tests.registry.conftest import write_split


@pytest.mark.parametrize("framework", ["mlx", "torch"])
def test_the_runs_page_shows_chip_device_and_reason(project, framework):
    write_split(project.root)
    training = msgspec.structs.replace(project.training, framework=framework)
    settings = msgspec.structs.replace(project, training=training)
    train(
        settings,
        lambda width, options: Architecture("mlp", {"inputs": width, "hidden": [8]}),
        {"seed": 1, "epochs": 2, "batch_size": 64},
    )
    client = connect(settings)
    tags = client.get_run(ship(settings, record_folder(settings))).data.tags

    assert tags["mlops.framework"] == framework
    assert tags["mlops.device"] == "cpu"
    assert tags["mlops.chip"] == facts().chip
    assert "computes on the CPU" in tags["mlops.device_reason"]
    plan = json.loads(tags["mlops.plan"])
    assert plan["device"]["framework"] == framework
    assert (plan["batch_size"], plan["micro_batches"]) == (64, 1)
    assert 0 < plan["memory_bytes"] <= plan["memory_limit_bytes"] < facts().memory_bytes
    assert (plan["cache_limit_bytes"] is not None) == (framework == "mlx")
    hardware = json.loads(tags["mlops.hardware"])
    assert hardware["chip"] == facts().chip
    assert hardware["memory_bytes"] == facts().memory_bytes
    note = tags["mlflow.note.content"]  # what MLflow's page shows on top
    assert facts().chip in note
    assert tags["mlops.device_reason"] in note
    assert "MiB for" in note


def test_a_training_holds_its_share_and_records_its_energy(project, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))
    write_split(project.root)
    hardware = msgspec.structs.replace(project.hardware, memory_share=0.3, priority=2)
    settings = msgspec.structs.replace(project, hardware=hardware)
    seen = []

    def model(width, options):
        seen.append(list(holders()))
        return Architecture("mlp", {"inputs": width, "hidden": [8]})

    monkeypatch.setattr(Record, "metrics", watched(Record.metrics, seen))
    train(settings, model, {"seed": 1, "epochs": 1, "batch_size": 64})
    before, during = seen[0], seen[1]
    assert before == []
    assert [(held.project, held.memory, held.priority) for held in during] == [
        (settings.project.name, 0.3, 2)
    ]
    assert holders() == []

    run = connect(settings).get_run(ship(settings, record_folder(settings))).data
    assert run.tags["mlops.energy_kind"] in ("measured", "estimated", "unknown")
    assert run.tags["mlops.energy_source"]
    assert ("energy_joules" in run.metrics) == (run.tags["mlops.energy_kind"] != "unknown")
    limit = json.loads(run.tags["mlops.plan"])["memory_limit_bytes"]
    assert limit == int(0.3 * facts().memory_bytes), "the share bounds the plan"


def watched(method, seen):
    """The method, noting who holds the machine while it runs."""

    def noting(*arguments):
        seen.append(list(holders()))
        return method(*arguments)

    return noting
