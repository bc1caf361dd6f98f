"""Where to look first when performance drops: each kind of cause, and none where nothing has changed."""

from __future__ import annotations

import pandas as pd
import pytest

from runtime_lib.hardware.read import state as readings
from runtime_lib.monitoring.loop.causes import causes
from runtime_lib.settings import load
from runtime_lib.tracking.record import Record
from tests.monitoring import test_quality as quality
from tests.monitoring.test_monitor import judge, label, rows, serve
from tests.monitoring.test_monitor import project as project
from tests.monitoring.test_quality import project as spoilt
from tests.support.replayed import ReplayedMac

assert spoilt  # a fixture
LOCK = "stages:\n  ingest:\n    cmd: x\n    outs:\n    - path: data/raw\n      md5: {}.dir\n"


@pytest.fixture(autouse=True)
def no_reading_is_kept(monkeypatch):
    """It would be for a second."""
    monkeypatch.setattr(readings, "_last", None)


def found(root):
    settings = load(root, environ={})
    return causes(settings, judge(root))


def test_nothing_has_changed(project):
    label(project, serve(project, 1_500))
    assert found(project) == ()
    assert judge(project).causes == ()


def test_a_column_that_has_drifted_is_named_with_its_change(project):
    serve(project, 1_500, shift=3)
    (cause,) = found(project)
    assert cause.startswith("speed has drifted: ")
    assert judge(project).causes == (cause,)


def test_answers_that_moved_without_their_inputs(project):
    serve(project, 1_500, skill=-3)
    assert found(project) == ("the answers have moved, and no input by itself",)


def test_rows_that_are_served_with_other_features(project):
    ids = serve(project, 1_500)["id"]
    table, _, _ = rows(1_500, 1)
    features = pd.DataFrame({"id": ids, **table, "speed": table["speed"] + 1})
    (project / "data" / "features").mkdir(parents=True)
    features.to_parquet(project / "data" / "features" / "2026-11.parquet")
    assert found(project) == ("rows are served with other features than in training: speed",)


def test_a_part_of_the_rows_that_does_worse(project):
    table = serve(project, 3_000)
    at_c = rows(3_000, 1)[0]["<b>place</b>"] == "C"
    label(project, table.assign(label=table["label"].where(~at_c, 1 - table["label"])))
    (cause,) = found(project)
    assert cause.startswith("rows with <b>place</b> = C do worse: 0.1")
    assert "of all others" in cause


def test_served_rows_that_break_a_rule(spoilt):
    quality.serve(spoilt, 3_000, bad=300)
    verdict = quality.judge(spoilt)
    assert [cause for cause in verdict.causes if "rules" in cause] == [
        "served rows break quality rules: range speed"
    ]


def test_data_that_changed_after_the_training(project):
    label(project, serve(project, 1_500))
    (project / "dvc.lock").write_text(LOCK.format("1111"))
    with Record.start(load(project, environ={}), {}):
        pass
    assert found(project) == ()
    (project / "dvc.lock").write_text(LOCK.format("2222"))
    assert found(project) == ("data is of another version than the last training had: data/raw",)


@pytest.mark.parametrize("torn", ["stages:\n  ingest: {", "\xff"])
def test_a_damaged_lock_is_no_cause_and_stops_nothing(project, torn):
    label(project, serve(project, 1_500))
    with Record.start(load(project, environ={}), {}):
        pass
    (project / "dvc.lock").write_bytes(torn.encode("latin1"))
    assert found(project) == ()


@pytest.mark.parametrize(
    ("level", "said"), [(0, ()), (1, ()), (2, ("this machine throttles: thermal pressure Heavy",))]
)
def test_a_machine_that_throttles(project, tmp_path_factory, monkeypatch, level, said):
    label(project, serve(project, 1_500))
    mac = ReplayedMac(tmp_path_factory.mktemp("mac") / "mac", level)
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac.folder))
    assert found(project) == said


def test_what_is_surest_comes_first(project, tmp_path_factory, monkeypatch):
    serve(project, 1_500, shift=3)
    mac = ReplayedMac(tmp_path_factory.mktemp("mac") / "mac", 4)
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(mac.folder))
    first, second = found(project)
    assert first.startswith("speed has drifted")
    assert second.endswith("Sleeping")
