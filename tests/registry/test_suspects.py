"""What is too good to be true stops the promotion until it is confirmed by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.leaks.find import beside_figures
from runtime_lib.data.leaks.suspect import METRIC, Suspect
from runtime_lib.registry.champion import champion
from runtime_lib.registry.gate import Decision
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.registry.show import rows
from runtime_lib.registry.suspects import hold_back
from runtime_lib.settings import Registry, load
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train
from tests.registry.conftest import TOML

REFUND = {"column": "refund", "kind": "ranks", "figure": 1.0, "why": "it knows"}


def leak(project):
    """Put a column of the future into all parts, and train, evaluate and register again."""
    for path in project.split.glob("*.parquet"):
        table = pd.read_parquet(path)
        rng = np.random.default_rng(1)
        amount = rng.lognormal(3, 0.5, len(table)) * (rng.random(len(table)) < 0.95)  # some are never paid
        table.assign(refund=amount * table["label"]).to_parquet(path)
    architecture = lambda width, options: Architecture("mlp", {"inputs": width, "hidden": [8]})  # noqa: E731
    train(project, architecture, {"seed": 1, "epochs": 4, "learning_rate": 0.03, "batch_size": 64})
    evaluate(project, {"logistic": False})
    register(project)


def confirm(project, *names):
    line = f"[registry]\nconfirmed = [{', '.join(json.dumps(name) for name in names)}]\n"
    (project.root / "mlops.toml").write_text(TOML + line)
    return load(project.root, environ={})


def mlops(project, *words):
    command = [str(Path(sys.executable).with_name("mlops")), *words]
    done = subprocess.run(command, cwd=project.root, env=os.environ, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_leak_stops_the_promotion_until_it_is_confirmed_by_name(project, capsys):
    """Friction 1 of a newcomer: two leaked columns gave ROC AUC 1.0000 and "Gate: champion"."""
    leak(project)
    printed = capsys.readouterr().out
    assert "TOO GOOD TO BE TRUE" in printed
    assert "refund (alone): its values alone rank the label with ROC AUC 0.9691" in printed
    evaluation = json.loads(project.report("evaluation").read_text())
    assert [(s["column"], s["kind"]) for s in evaluation["suspects"]] == [("refund", "alone")]
    assert evaluation["candidate"]["roc_auc"] > 0.97

    code, said = mlops(project, "promote")
    assert code == 3
    assert "too good to be true: refund (alone)" in said
    assert "take 'refund' out of features() and run `mlops run`" in said
    assert 'confirmed = ["refund"]' in said
    assert champion(project) is None
    assert [(row.decision, row.suspects) for row in rows(project)] == [("refused", ("refund",))]
    assert "refused, too good: refund" in " ".join(mlops(project, "champion", "list")[1].split())
    told = promote(project, again=False)  # as `mlops run` does
    assert (told.promoted, told.judged) == (False, False)
    assert 'confirmed = ["refund"]' in told.reasons[0]

    project = confirm(project, "refund")
    decision = promote(project, again=False)
    assert decision.judged
    assert decision.promoted, decision.reasons
    assert any(reason.startswith("confirmed in registry.confirmed: refund") for reason in decision.reasons)
    assert champion(project).version == "1"
    assert not promote(project, again=False).judged


def test_an_honest_table_is_promoted_as_ever(project):
    assert json.loads(project.report("evaluation").read_text())["suspects"] == []
    register(project)
    assert promote(project).promoted


@pytest.mark.parametrize(
    ("confirmed", "promoted"), [((), False), (("refunds", "Refund"), False), (("x", "refund"), True)]
)
def test_only_the_column_itself_is_confirmed(confirmed, promoted):
    decision = hold_back(Decision(True, ("above",)), {"suspects": [REFUND]}, Registry(confirmed=confirmed))
    assert decision.promoted is promoted
    assert decision.suspects == (() if promoted else ("refund",))
    assert decision.reasons[0] == "above"


def test_a_confirmation_does_not_promote_what_the_figures_refuse():
    refused = Decision(False, ("below the baseline",))
    rules = Registry(confirmed=("refund",))
    assert not hold_back(refused, {"suspects": [REFUND]}, rules).promoted


def test_the_advice_keeps_what_was_confirmed_before():
    rules = Registry(confirmed=("odds",))
    decision = hold_back(Decision(True, ()), {"suspects": [REFUND]}, rules)
    assert 'confirmed = ["odds", "refund"]' in decision.reasons[-1]


def test_figures_without_a_column_to_blame_are_confirmed_as_such():
    metric = {"column": "<metric>", "kind": "metric", "figure": 1.0, "why": "hardly any outcome"}
    decision = hold_back(Decision(True, ()), {"suspects": [metric]}, Registry())
    assert "find what gives the label away" in decision.reasons[-1]
    assert 'confirmed = ["<metric>"]' in decision.reasons[-1]
    assert hold_back(Decision(True, ()), {"suspects": [metric]}, Registry(confirmed=("<metric>",))).promoted


def test_a_suspect_that_explains_nothing_does_not_hide_figures_near_perfection():
    """An id among the inputs is confirmed; the leak that is spread over other columns stays to be seen."""
    perfect = {"roc_auc": 0.999, "rate": 0.5, "rows": 5000.0}
    of_id, of_copy = (
        Suspect(name, kind, 1.0, "why") for name, kind in (("id", "identifier"), ("x", "ranks"))
    )
    assert [each.column for each in beside_figures([of_id], perfect)] == ["id", METRIC]
    assert [each.column for each in beside_figures([of_copy], perfect)] == ["x"]
    assert beside_figures([], {**perfect, "roc_auc": 0.9}) == []


def test_an_evaluation_of_an_earlier_release_names_no_suspects():
    decision = Decision(True, ("above",))
    assert hold_back(decision, {"naive": {}}, Registry()) == decision
