import json
import signal
import socket
import subprocess
import sys
import time

import msgspec
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.tracking.record import Record, read, record_folder, spool_folder
from runtime_lib.tracking.ship import flatten, ship, ship_pending
from runtime_lib.tracking.store import connect, experiment_id


def with_uri(settings, uri):
    return msgspec.structs.replace(settings, tracking=msgspec.structs.replace(settings.tracking, uri=uri))


def write_record(settings, steps=3, **params):
    with Record.start(settings, params) as record:
        for step in range(steps):
            record.metric("loss", 1 / (step + 1), step=step)
    return record.state


def runs(settings):
    client = connect(settings)
    return client.search_runs([experiment_id(settings, client)])


def test_a_record_becomes_a_run_as_it_was(project):
    state = write_record(project, steps=2500, lr=0.1, net={"width": 8})
    client = connect(project)
    run = client.get_run(ship(project, record_folder(project)))
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", state.start, state.end)
    assert run.data.params == {"lr": "0.1", "net.width": "8"}
    assert run.data.tags["mlops.record"] == state.id
    assert run.data.tags["mlops.python"]
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value, m.timestamp) for m in history) == [
        (m.step, m.value, m.time) for m in read(record_folder(project))[1]
    ]


def test_shipping_twice_changes_nothing(project):
    write_record(project)
    first = ship(project, record_folder(project))
    assert ship(project, record_folder(project)) == first
    assert len(runs(project)) == 1


def test_a_delivery_that_was_cut_off_is_completed_without_doubles(project, monkeypatch):
    from mlflow import MlflowClient

    write_record(project, steps=1500)
    real = MlflowClient.log_batch

    def break_after_the_first_thousand(self, run_id, metrics=(), **rest):
        real(self, run_id, metrics=metrics, **rest)
        if metrics:
            raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "log_batch", break_after_the_first_thousand)
    with pytest.raises(KeyboardInterrupt):
        ship(project, record_folder(project))
    monkeypatch.undo()
    run_id = ship(project, record_folder(project))
    assert [run.info.run_id for run in runs(project)] == [run_id]
    assert len(connect(project).get_metric_history(run_id, "loss")) == 1500


def test_an_outage_fails_fast_names_no_secret_and_loses_nothing(project):
    state = write_record(project)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down = with_uri(project, f"http://me:geheim@127.0.0.1:{port}")
    begin = time.monotonic()
    with pytest.raises(ServiceError, match=rf"No answer from MLflow at http://127.0.0.1:{port} ") as caught:
        ship(down, record_folder(down))
    assert time.monotonic() - begin < 5
    assert "geheim" not in str(caught.value)
    assert (spool_folder(project) / state.id).exists()
    assert ship_pending(project) == [runs(project)[0].info.run_id]
    assert not (spool_folder(project) / state.id).exists()


def test_a_silent_server_is_given_up_in_seconds(project):
    write_record(project)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        begin = time.monotonic()
        with pytest.raises(ServiceError, match="No answer"):
            ship(with_uri(project, f"http://127.0.0.1:{mute.getsockname()[1]}"), record_folder(project))
    assert time.monotonic() - begin < 10


def test_failed_and_killed_trainings_are_delivered_and_a_live_one_is_left_alone(project):
    with pytest.raises(ZeroDivisionError), Record.start(project, {}) as record:
        record.metric("loss", 1 / 0)
    script = (
        "import os, signal, sys; from pathlib import Path; from runtime_lib.settings import load\n"
        "from runtime_lib.tracking.record import Record\n"
        f"record = Record.start(load(Path({str(project.root)!r})), {{}}); record.metric('loss', 2)\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as training:
        assert training.stdout.readline() == b"ready\n"
        assert len(ship_pending(project)) == 1
        training.kill()
    assert training.returncode == -signal.SIGKILL
    assert len(ship_pending(project)) == 1
    assert sorted(run.info.status for run in runs(project)) == ["FAILED", "KILLED"]
    assert list(spool_folder(project).iterdir()) == []


def test_one_unreadable_record_does_not_hold_up_the_others(project, caplog):
    first, second = write_record(project), write_record(project)
    broken, good = sorted((first, second), key=lambda state: state.id)
    (spool_folder(project) / broken.id / "record.json").write_text("{")
    assert len(ship_pending(project)) == 1
    assert broken.id in caplog.text
    assert not (spool_folder(project) / good.id).exists()


def test_data_versions_become_searchable_inputs(project):
    (project.root / "dvc.lock").write_text(
        "stages: {split: {outs: [{path: data/split, md5: d41d8cd98f00b204e9800998ecf8427e.dir}]}}"
    )
    write_record(project)
    run_id = ship(project, record_folder(project))
    [given] = connect(project).get_run(run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.source_type) == ("data/split", "dvc")
    client = connect(project)
    found = client.search_runs(
        [experiment_id(project, client)], "dataset.digest = 'd41d8cd98f00b204e9800998ecf8427e.dir'"
    )
    assert [run.info.run_id for run in found] == [run_id]


def test_odd_and_long_parameters_do_not_hold_up_a_record(project):
    write_record(project, **{"a:b?": "x" * 9000, "none": None, **{f"p{i}": i for i in range(250)}})
    params = connect(project).get_run(ship(project, record_folder(project))).data.params
    assert len(params) == 252
    assert params["a_b_"] == "x" * 6000


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": "1", "d": "[1, 2]"}
    assert json.dumps(flatten({})) == "{}"
