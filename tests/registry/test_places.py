"""A project that was copied or moved works on its own: its runs and models are its own files."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.settings import Settings, load
from runtime_lib.tracking import embedded
from runtime_lib.tracking.store import connect, experiment_id

from .conftest import train_candidate


@pytest.fixture(scope="module")
def promoted(trained, tmp_path_factory):
    """A project with a champion, in a folder whose name must be encoded in a URI. Everybody's: copy it."""
    root = tmp_path_factory.mktemp("places") / "Größe 100% #1"
    shutil.copytree(trained, root)
    settings = load(root, environ={})
    register(settings)
    assert promote(settings).promoted
    return root


@pytest.fixture
def original(promoted, tmp_path):
    return shutil.move(shutil.copytree(promoted, tmp_path / "first"), tmp_path / "the original")


def copy_of(root: Path, name: str = "копия, a copy") -> Settings:
    return load(shutil.copytree(root, root.with_name(name)), environ={})


def bytes_below(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def locations(root: Path) -> set[str]:
    """Every path that the store holds, of whichever table."""
    with closing(sqlite3.connect(root / "var" / "mlflow.db")) as database:
        tables = [name for [name] in database.execute("select name from sqlite_master where type = 'table'")]
        rows = (row for table in tables for row in database.execute(f"select * from {table}"))
        return {
            value for row in rows for value in row if isinstance(value, str) and value.startswith("file:")
        }


def test_a_copy_whose_original_is_gone_has_its_champion_and_goes_on(original):
    settings = copy_of(original)
    shutil.rmtree(original)
    before = champion(settings)
    assert before is not None
    shutil.rmtree(settings.fetched_models)
    assert champion(settings) == before, "fetched again, from the files of the copy"
    train_candidate(settings, seed=2)
    assert register(settings)["version"] == "2"
    promote(settings)
    assert not original.exists()
    # MLflow's own experiment 'Default', where nothing goes, is named after the folder of its first caller.
    places = {place for place in locations(settings.root) if not place.endswith("/mlruns/0")}
    assert places
    here = settings.root.as_uri()
    assert [place for place in places if place != here and not place.startswith(f"{here}/")] == []


def test_a_copy_leaves_its_original_alone(original):
    settings = copy_of(original)
    connect(load(original, environ={}))  # which may note where it is
    before = bytes_below(original)
    shutil.rmtree(settings.fetched_models)
    assert champion(settings) is not None
    train_candidate(settings, seed=3)
    assert register(settings)["version"] == "2"
    assert bytes_below(original) == before


def test_a_copy_under_another_experiment_and_folder_for_files_is_known_too(original):
    connect(load(original, environ={}))
    settings = copy_of(original)
    shutil.rmtree(original)
    shutil.rmtree(settings.fetched_models)
    tracking = msgspec.structs.replace(settings.tracking, experiment="other", artifacts="var/other")
    other = msgspec.structs.replace(settings, tracking=tracking)
    assert champion(other) is not None
    location = connect(other).get_experiment(experiment_id(other, connect(other))).artifact_location
    assert location == (settings.root / "var" / "other").as_uri()


def test_a_kill_on_the_way_leaves_the_old_paths_and_the_next_command_goes_on(original, monkeypatch):
    settings = copy_of(original)
    store, before = settings.var / "mlflow.db", locations(original)
    if not (child := os.fork()):
        monkeypatch.setattr(embedded, "_before", lambda path: path.with_name("before"))
        rewrite = embedded._rewrite
        monkeypatch.setattr(
            embedded, "_rewrite", lambda *a: (rewrite(*a), os.kill(os.getpid(), signal.SIGKILL))
        )
        embedded._settle(settings, store)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert locations(settings.root) == before
    assert champion(settings) is not None
    assert locations(settings.root).isdisjoint(before)
    assert store.with_name("mlflow.db.before").exists()


def test_a_store_that_projects_share_keeps_their_paths(original, tmp_path, caplog):
    shared = msgspec.structs.replace(
        load(shutil.copytree(original, tmp_path / "b"), environ={}),
        tracking=msgspec.structs.replace(
            load(original, environ={}).tracking, uri=f"sqlite:///{original}/var/mlflow.db", experiment="b"
        ),
    )
    place = connect(shared).get_experiment(experiment_id(shared, connect(shared))).artifact_location
    assert place == (tmp_path / "b" / "var" / "artifacts").as_uri()
    connect(load(original, environ={}))
    assert place in locations(original)
