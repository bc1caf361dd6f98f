"""The champion as a rival: a figure that is no measure neither passes nor blocks for ever."""

import numpy as np
import pandas as pd

from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.choose import choose, clear
from runtime_lib.registry.register import register
from runtime_lib.registry.show import decisions, status
from tests.registry.conftest import retrain


def change(settings, columns):
    """Change the columns of the three tables, train and register on them."""
    for part in ("train", "validation", "test"):
        path = settings.split_part(part)
        columns(pd.read_parquet(path)).to_parquet(path)
    retrain(settings)
    return register(settings)


def with_a_leak(table):
    """Two columns that say nothing alone, and together what happened."""
    paid = np.random.default_rng(9).normal(size=len(table)) * 3
    return table.assign(paid=paid, due=paid - 4 * table["label"])


def test_a_champion_that_knew_the_label_blocks_until_it_is_cleared(project):
    leaked = change(project, with_a_leak)
    assert "too good to be true" in str(promote(project).reasons)
    choose(project, leaked["version"], reason="looks splendid")
    assert status(project).figures["roc_auc"] > 0.99, "the leak works"
    honest = change(project, lambda table: table.drop(columns=["paid", "due"]))
    decision = promote(project)
    assert not decision.promoted
    assert 'mlops champion clear --reason "…"`, then `mlops promote`' in decision.reasons[-1]
    clear(project, reason="paid is known a month too late")
    decision = promote(project)
    assert decision.promoted, decision.reasons
    assert champion(project).version == honest["version"] == "2"
    assert [e.action for e in decisions(project)] == ["refused", "set", "refused", "cleared", "promoted"]


def another_month(settings):
    path = settings.split_part("test")
    table = pd.read_parquet(path)
    table.assign(id="later-" + table["id"]).to_parquet(path)


def test_figures_of_other_rows_are_no_measure_and_let_nothing_pass(project):
    register(project)
    promote(project)
    change(project, lambda table: table.rename(columns={"x": "distance"}))
    another_month(project)
    decision = promote(project)
    assert not decision.promoted
    assert "of other rows" in decision.reasons[0]
    assert "mlops champion clear --reason" in decision.reasons[-1]
    clear(project, reason="x is gone")
    assert promote(project).promoted


def test_the_champion_of_another_problem_is_no_rival(project):
    register(project)
    promote(project)
    change(project, lambda table: table.rename(columns={"x": "a", "n": "b", "kind": "c"}))
    another_month(project)
    decision = promote(project)
    assert decision.promoted, decision.reasons
    assert "shares no column with this model" in decision.reasons[0]
    assert "the baseline alone decides" in decision.reasons[-1]
