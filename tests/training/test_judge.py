"""One way to open a model and one to judge it, heeding framework, device and memory."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from msgspec import structs

from runtime_lib.errors import CapacityError, DataError
from runtime_lib.hardware import choose_device
from runtime_lib.registry.champion import promote
from runtime_lib.registry.register import register
from runtime_lib.settings import load
from runtime_lib.settings.tables import Training
from runtime_lib.training import hold
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.judge import answer_table, open_model
from runtime_lib.training.on_mlx import MlxNetwork
from runtime_lib.training.on_torch import TorchNetwork
from tests.registry.conftest import make_table, train_candidate
from tests.support.served import Served

TOML = '[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "torch"\n'


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("judge")
    (root / "mlops.toml").write_text(TOML)
    settings = load(root, environ={})
    train_candidate(settings)
    return settings


@pytest.fixture
def predicted(monkeypatch):
    """Framework and rows of each call of a network's `predict`."""
    calls = []
    for network in (MlxNetwork, TorchNetwork):
        monkeypatch.setattr(network, "predict", noting(network.predict, calls))
    return calls


def noting(predict, calls):
    def noted(self, inputs):
        calls.append((self.framework, len(inputs)))
        return predict(self, inputs)

    return noted


@pytest.fixture
def little_memory(settings, monkeypatch):
    """Room for a hundred rows and something at a time."""
    model, table = open_model(settings, settings.candidate), make_table(600, 2)
    monkeypatch.setattr(hold, "working_set", lambda device: 1)
    with pytest.raises(CapacityError) as caught:
        answer_table(settings, model, table)
    least = 1 + caught.value.missing_bytes
    monkeypatch.setattr(hold, "working_set", lambda device: least + 20_000)


def test_evaluate_and_gate_heed_framework_and_memory_alike(settings, little_memory, predicted):
    other = "torch" if choose_device("auto").framework == "mlx" else "mlx"  # than the one taken by itself
    chosen = structs.replace(settings, training=Training(other))
    evaluate(chosen, {"logistic": False})
    assert json.loads(chosen.report("evaluation").read_text())["examples"] == []
    by_evaluate = predicted.copy()
    assert {name for name, _ in by_evaluate} == {other}
    assert max(rows for _, rows in by_evaluate) < 200
    # The answers are followed by those with a column shuffled, for the importance.
    assert sum(rows for _, rows in by_evaluate) == 600 * (1 + 10)
    register(chosen)
    predicted.clear()
    decision = promote(chosen)
    evaluation = json.loads((settings.reports / "evaluation.json").read_text())
    assert predicted == by_evaluate[: len(predicted)]
    assert sum(rows for _, rows in predicted) == 600
    assert decision.figures["candidate"] == evaluation["candidate"]


def test_a_server_predicts_a_large_request_in_pieces(settings, little_memory, predicted):
    serving = structs.replace(settings.serving, framework="mlx", max_rows=600)
    service = Served(structs.replace(settings, serving=serving), settings.candidate, name="demo", version="1")
    table = make_table(600, 5).drop(columns=["id", "time", "label"])
    try:
        answer = service.predict(table.to_dict("list"))
    finally:
        service.stop()
    assert {name for name, _ in predicted} == {"mlx"}
    assert max(rows for _, rows in predicted) < 200
    assert len(answer.ids) == sum(rows for _, rows in predicted) == 600


def test_a_server_starts_where_the_plan_finds_no_room(settings, monkeypatch):
    monkeypatch.setattr(hold, "working_set", lambda device: 1)
    assert open_model(settings, settings.candidate, most_rows=100).predict_rows is None


def test_a_table_is_judged_with_values_missing_that_training_always_had(settings):
    model = open_model(settings, settings.candidate)
    table = make_table(600, 2)
    whole = answer_table(settings, model, table)
    assert (answer_table(settings, model, table.assign(new=1)) == whole).all()
    gaps = answer_table(settings, model, table.assign(n=[np.nan] * 300 + [*table["n"][300:]]))
    assert len(gaps) == 600
    assert (gaps[:300] != whole[:300]).any()
    assert (gaps[300:] == whole[300:]).all()
    with pytest.raises(DataError, match="Column 'n' is missing"):
        answer_table(settings, model, table.drop(columns="n"))
    with pytest.raises(DataError, match="Column 'x', row 0"):
        answer_table(settings, model, pd.concat([table.head(1).assign(x=np.inf), table]))
