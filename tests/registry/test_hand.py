"""Decisions by hand hold: on a real store, against promote, a kill, another person and MLflow's own pages."""

import json
import shutil
import subprocess
import sys

import pytest

from runtime_lib.errors import DataError, ModelError
from runtime_lib.registry.champion import champion, no_champion, promote
from runtime_lib.registry.choose import choose, clear, rollback
from runtime_lib.registry.register import register
from runtime_lib.registry.show import decisions, rows, status
from runtime_lib.tracking.store import connect


def actions(settings):
    return [(entry.action, entry.before, entry.after) for entry in decisions(settings) if entry.done]


GATE = [("promoted", None, "1"), ("promoted", "1", "2")]


def test_a_rollback_is_not_undone_by_promote(two):
    rollback(two, reason="wrong in Spain")
    assert champion(two).version == "1"
    decision = promote(two)
    assert (decision.promoted, decision.set_aside) == (False, True)
    assert "wrong in Spain" in decision.reasons[0]
    assert 'mlops champion set 2 --reason "…"' in decision.reasons[-1]
    assert champion(two).version == "1"
    told = promote(two, again=False)
    assert (told.judged, told.set_aside) == (False, True)
    assert actions(two) == [*GATE, ("rolled back", "2", "1")]
    now = status(two)
    assert (now.version, now.reasons) == ("1", ("wrong in Spain",))
    assert now.decided.endswith("(rolled back)")
    assert now.figures["rows"] == 600
    assert [(row.version, row.decision, row.champion) for row in rows(two)] == [
        ("2", "set aside", False),
        ("1", "promoted", True),
    ]
    choose(two, "2", reason="Spain is mended")
    assert promote(two).promoted
    assert actions(two)[-1] == ("set", "1", "2")


def test_there_is_nothing_before_the_first_champion(two):
    rollback(two, reason="one")
    with pytest.raises(DataError, match="no champion right before version 1"):
        rollback(two, reason="two")
    assert champion(two).version == "1"


def test_a_cleared_champion_stays_away_and_a_rollback_brings_it_back(two):
    clear(two, reason="it knew the label")
    assert champion(two) is None
    said = no_champion(two)
    assert "it knew the label" in said
    assert "`mlops promote`" not in said, "it would only say that this version was set aside"
    assert "`mlops champion set VERSION" in said
    assert promote(two).set_aside
    with pytest.raises(DataError, match="has no champion"):
        clear(two, reason="again")
    rollback(two, reason="it did not")
    assert champion(two).version == "2"


def test_an_alias_that_was_moved_in_mlflow_stays_there(two):
    connect(two).set_registered_model_alias("demo", "champion", "1")
    assert "outside of `mlops`" in status(two).notes[0]
    assert promote(two, again=False).set_aside
    assert promote(two).set_aside
    assert champion(two).version == "1"
    assert actions(two) == [*GATE, ("moved", "2", "1")]
    connect(two).delete_registered_model_alias("demo", "champion")
    assert promote(two).set_aside
    assert champion(two) is None
    assert actions(two)[-1] == ("moved", "1", None)


def test_a_champion_from_before_there_was_a_trail(two):
    """As 0.5.0 leaves it: the gate's tags alone."""
    client = connect(two)
    trail = client.get_registered_model("demo").tags
    try:
        for tag in trail:
            client.delete_registered_model_tag("demo", tag)
        assert "before there was a trail" in status(two).decided
        assert promote(two, again=False).promoted
        rollback(two, reason="slow")
        assert champion(two).version == "1"
        assert promote(two).set_aside
    finally:
        for tag, text in trail.items():
            client.set_registered_model_tag("demo", tag, text)


def test_only_a_version_that_can_be_served_is_chosen(two, tmp_path):
    with pytest.raises(DataError, match=r"no version '9'.*Known: 2, 1"):
        choose(two, "9", reason="why")
    client = connect(two)
    foreign = client.create_model_version("demo", source=tmp_path.as_uri())
    try:
        with pytest.raises(ModelError, match="did not register it"):
            choose(two, str(foreign.version), reason="why")
    finally:
        client.delete_model_version("demo", str(foreign.version))
    assert champion(two).version == "2"
    assert actions(two) == GATE


OTHERS = """
import json, os, signal, sys
from pathlib import Path
import mlflow, msgspec, torch
from runtime_lib.registry.choose import choose
from runtime_lib.registry.promote import promote
from runtime_lib.settings import load

def die_after(point, count):
    original = getattr(mlflow.MlflowClient, point)
    def call(*arguments, **named):
        nonlocal count
        original(*arguments, **named)
        count -= 1
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(mlflow.MlflowClient, point, call)

def settings_of(root, uri):
    settings = load(Path(root), environ={})
    return msgspec.structs.replace(settings, tracking=msgspec.structs.replace(settings.tracking, uri=uri))

def work(root, uri, version, turns, point="", count=0):
    if point:
        die_after(point, count)
    if not version:
        promote(settings_of(root, uri))
    for turn in range(turns):
        choose(settings_of(root, uri), version, reason=f"{version}, turn {turn}")

for line in sys.stdin:
    children = []
    for job in json.loads(line):
        children.append(os.fork())
        if not children[-1]:
            work(**job)
            os._exit(0)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
"""


@pytest.fixture(scope="module")
def others():
    """Other processes: do jobs side by side and return how each ended. One import serves them all."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def do(*jobs):
            process.stdin.write(json.dumps(jobs) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield do
        process.stdin.close()


def job(settings, version="", **more):
    uri = f"sqlite:///{settings.var}/mlflow.db"
    return {"root": str(settings.root), "uri": uri, "version": version, "turns": int(bool(version)), **more}


@pytest.mark.parametrize(
    ("point", "count", "holds"),
    [("set_registered_model_tag", 1, False), ("set_registered_model_alias", 1, True)],
)
def test_a_choice_that_was_killed_is_told_from_one_that_holds(two, others, point, count, holds):
    assert others(job(two, "1", point=point, count=count)) == [-9]
    assert champion(two).version == ("1" if holds else "2")
    assert bool(status(two).notes) is not holds
    assert promote(two).promoted is not holds
    if not holds:
        assert "not carried out" in status(two).notes[0]
        choose(two, "1", reason="why")
    assert actions(two) == [*GATE, ("set", "2", "1")]
    assert promote(two).set_aside


POINTS = [("set_model_version_tag", 3), ("set_registered_model_alias", 1)]


def test_a_promotion_that_was_killed_is_made_again(new_project, others):
    for number, (point, count) in enumerate(POINTS):
        project = new_project(f"killed {number}")
        register(project)
        assert others(job(project, point=point, count=count)) == [-9]
        assert promote(project).promoted
        assert champion(project).version == "1"
        assert actions(project) == [("promoted", None, "1")]


def test_two_people_at_once_lose_no_decision(two, others, tmp_path):
    jobs = []
    for version in ("1", "2"):  # each on a machine of its own: they share no lock
        (tmp_path / version).mkdir()
        shutil.copy(two.root / "mlops.toml", tmp_path / version)
        jobs.append(job(two, version, root=str(tmp_path / version), turns=3))
    assert others(*jobs) == [0, 0]
    reasons = {entry.reasons[0] for entry in decisions(two) if entry.action == "set" and entry.done}
    assert reasons == {f"{version}, turn {turn}" for version in (1, 2) for turn in range(3)}


# ------------------------------------------------------------------ champions that are no measure
