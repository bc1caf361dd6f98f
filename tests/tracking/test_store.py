import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import msgspec
import pytest

from runtime_lib.errors import ServiceError, SettingsError
from runtime_lib.locks import locked, try_lock
from runtime_lib.tracking.store import connect, experiment_id, tracking_uri
from tests.support.depth import examples

FIRST_USE = """
import sys
from pathlib import Path
from runtime_lib.settings import load
from runtime_lib.tracking.record import Record
from runtime_lib.tracking.ship import ship
settings = load(Path(sys.argv[1]))
with Record.start(settings, {}, target=settings.root / sys.argv[2]) as record:
    record.metric("loss", 1)
ship(settings, record.target)
"""


def with_tracking(settings, **values):
    return msgspec.structs.replace(settings, tracking=msgspec.structs.replace(settings.tracking, **values))


def test_several_processes_may_be_the_first(empty):
    count = examples(3, 6)
    command = [sys.executable, "-c", FIRST_USE, str(empty.root)]
    processes = [
        subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    errors = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, errors
    assert "".join(errors) == "", "MLflow and alembic stay silent"
    client = connect(empty)
    assert len(client.search_runs([experiment_id(empty, client)])) == count


def test_a_first_use_that_was_killed_does_not_spoil_the_store(empty):
    script = (
        "import os, signal, sys, alembic.command\n"
        "from pathlib import Path; from runtime_lib.settings import load\n"
        "from runtime_lib.tracking.store import connect\n"
        "alembic.command.upgrade = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "connect(load(Path(sys.argv[1])))\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(empty.root)], timeout=60).returncode == -9
    assert connect(empty).search_experiments()


def revision(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select version_num from alembic_version").fetchone()[0]


def test_a_store_of_an_older_mlflow_is_upgraded_and_a_copy_kept(empty):
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    path = empty.var / "mlflow.db"
    path.parent.mkdir()
    Base.metadata.create_all(create_engine(f"sqlite:///{path}"))
    config = _get_alembic_config(f"sqlite:///{path}")
    newest, older, *_ = ScriptDirectory.from_config(config).walk_revisions()
    command.upgrade(config, older.revision)
    assert connect(empty).search_experiments()
    assert revision(path) == newest.revision
    assert revision(path.with_name("mlflow.db.before")) == older.revision


def test_a_store_of_a_later_mlflow_is_left_alone(project):
    path = project.var / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("update alembic_version set version_num = 'from_the_future'")
    with pytest.raises(ServiceError, match="written by a later MLflow"):
        connect(project)
    assert revision(path) == "from_the_future"


def test_a_file_that_is_no_database_is_named(project):
    (project.var / "mlflow.db").write_text("not a database, and long enough to be looked at as one" * 100)
    with pytest.raises(ServiceError, match="not MLflow's database"):
        connect(project)


def test_nothing_is_written_where_the_caller_stands(project, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    client = connect(project)
    location = client.get_experiment(experiment_id(project, client)).artifact_location
    assert location == (project.root / "var" / "artifacts").as_uri()
    assert list(here.iterdir()) == []


def test_a_relative_sqlite_path_is_taken_from_the_project(project):
    assert tracking_uri(project) == f"sqlite:///{project.root}/var/mlflow.db"
    assert tracking_uri(with_tracking(project, uri="sqlite:////data/m.db")) == "sqlite:////data/m.db"


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(project, uri):
    with pytest.raises(SettingsError, match="name a file"):
        connect(with_tracking(project, uri=uri))


def test_a_database_that_is_down_is_told_in_seconds_without_its_password(project):
    with pytest.raises(ServiceError, match=r"postgresql://127.0.0.1:9/mlflow\?password=… ") as caught:
        connect(with_tracking(project, uri="postgresql://me:geheim@127.0.0.1:9/mlflow?password=geheim"))
    assert "geheim" not in str(caught.value)


def test_a_deleted_experiment_is_named_with_the_way_back(project):
    client = connect(project)
    number = experiment_id(project, client)
    client.delete_experiment(number)
    with pytest.raises(ServiceError, match=f"mlflow experiments restore -x {number}"):
        experiment_id(project, client)


def test_telemetry_is_off(project):
    connect(project)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry import get_telemetry_client

    assert get_telemetry_client() is None


def test_a_lock_that_is_held_is_waited_for_and_then_named(tmp_path):
    held = try_lock(tmp_path / "lock")
    with pytest.raises(ServiceError, match=r"held .*lock for 0 s"), locked(tmp_path / "lock", timeout=0.1):
        pass
    held.close()
    with locked(tmp_path / "lock"):
        assert try_lock(tmp_path / "lock") is None
