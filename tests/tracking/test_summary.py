"""What a run says of itself in a line."""

from __future__ import annotations

import json

from runtime_lib.tracking.summary import Known, changes, figure, note, run_name

PARAMS = {"architecture": "mlp", "hidden": "[64, 32]", "learning_rate": "0.001", "inputs": "9"}


def tags(**given):
    found = {"mlops.months": "2013-01 to 2013-09", "mlops.framework": "torch", "mlops.device": "cpu"}
    return {**found, **{f"mlops.{name}": value for name, value in given.items()}}


def known(params=PARAMS, *, data=None, status="FINISHED", metrics=None, **given):
    return Known(params, tags(**given), metrics or {}, data or {}, status)


def test_a_name_holds_the_newest_month_the_network_and_the_figure():
    run = known(metrics={"validation_roc_auc": 0.75, "test/roc_auc": 0.71684, "test/naive/roc_auc": 0.6})
    assert run_name(run, "roc_auc") == "2013-09 · 0.7168 · mlp 64-32"
    assert "· 0.7500 ·" in run_name(known(metrics={"validation_roc_auc": 0.75}), "roc_auc")
    killed = known(status="KILLED", metrics={"validation_roc_auc": 0.75})
    assert run_name(killed, "roc_auc") == "2013-09 · killed · mlp 64-32"
    layers = {"image": "[8, 8]", "channels": "[16, 32]", "hidden": "[64]"}
    assert (
        run_name(known({"architecture": "cnn", **layers}), "roc_auc") == "2013-09 · finished · cnn 16-32-64"
    )
    own = {**PARAMS, "architecture": "my_project.my_network", "hidden": "8"}
    assert run_name(known(own, status="FAILED"), "roc_auc") == "2013-09 · failed · my_network"
    assert run_name(Known({}, {}), "roc_auc") == "finished"


def test_the_figure_is_of_the_held_out_months_once_they_are_judged():
    assert figure({"validation_roc_auc": 0.8}, "roc_auc") == 0.8
    assert figure({"validation_roc_auc": 0.8, "test/roc_auc": 0.7}, "roc_auc") == 0.7
    assert figure({"epoch/validation_roc_auc": 0.8}, "roc_auc") is None


def test_changes_name_what_differs_and_nothing_else():
    before = known(columns='["a", "b"]', code='{"model.py": "1", "data.py": "2"}', data={"data/raw": "x"})
    assert changes(before, before) == []
    assert changes(known({**PARAMS, "learning_rate": "0.01", "inputs": "8"}), known()) == [
        "learning_rate 0.001 → 0.01"
    ]
    assert changes(known({**PARAMS, "dropout": "0.3"}), known()) == ["dropout unset → 0.3"]
    now = known(columns='["b", "wind"]', code='{"model.py": "3", "data.py": "2"}', data={"data/raw": "y"})
    assert changes(now, before) == ["with wind", "without a", "rows of data/raw", "code model.py"]
    moved = known(months="2013-01 to 2013-10", data={"data/raw": "y"})
    assert changes(moved, before) == ["months 2013-01 to 2013-09 → 2013-01 to 2013-10"]
    assert changes(known(device="mps"), known()) == ["torch on cpu → torch on mps"]
    commits = [Known({}, {"mlflow.source.git.commit": sign * 40}) for sign in "ab"]
    assert changes(commits[1], commits[0]) == ["commit aaaaaaa → bbbbbbb"]


def test_a_long_change_is_cut_and_a_cut_tag_is_unknown():
    many = {f"p{place}": "1" for place in range(20)}
    named = changes(Known({**many}, {}), Known(dict.fromkeys(many, "2"), {}))
    assert named[-1] == "14 more parameters"
    wide = [f"c{place}" for place in range(20)]
    [told] = changes(known(columns=json.dumps(["a", *wide])), known(columns='["a"]'))
    assert told.endswith("and 14 more")
    assert changes(known(columns='["a", "b'), known(columns='["a"]')) == []


def test_a_note_tells_the_failure_and_the_machine():
    told = note(
        known(
            status="FAILED",
            error="DataError: the loss is nan",
            changed="learning_rate 0.1 → 9",
            changed_since="2013-08 · mlp",
            chip="M9",
            device_reason="it is fast",
            plan='{"reasons": ["all fits"]}',
        )
    )
    assert told.split("\n\n") == [
        "**Changed since 2013-08 · mlp**: learning_rate 0.1 → 9.",
        "**Failed**: DataError: the loss is nan.",
        "Trained on **M9** with **torch** on **cpu**: it is fast.",
        "Plan: all fits.",
    ]
