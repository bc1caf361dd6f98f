"""A request through the service, without HTTP: its limits, its ids, its log, and how it ends."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import DataError, RequestError, ServiceError
from runtime_lib.serving.log import read_predictions
from runtime_lib.serving.predictor import Predictor
from runtime_lib.serving.service import Service, open_service
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import Model, save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.network import FittedNetwork
from tests.support.servers import ROWS, expected, make_project


def test_a_prediction_says_which_version_answered_which_rows(model_folder: Path, tmp_path: Path) -> None:
    settings = make_project(tmp_path)
    service = open_service(settings, model_folder, name="flights", version="7").start()
    found = service.predict(ROWS, ["a", "b", "c"])
    assert (found.model, found.version, found.ids) == ("flights", "7", ["a", "b", "c"])
    assert found.answer.tolist() == pytest.approx(expected(model_folder), abs=1e-6)
    assert found.label.tolist() == [int(p > 0.5) for p in expected(model_folder)]
    assert found.rows["hour"].tolist() == ROWS["hour"]
    assert len(set(service.predict(ROWS).ids)) == 3
    logged = read_predictions(settings.var / "predictions", version="7").set_index("id")
    assert logged.loc[["a", "b", "c"], "mlops.answer.probability"].tolist() == found.answer.tolist()
    assert len(logged) == 6
    service.stop()
    assert not service.predictor.ready
    with pytest.raises(ServiceError, match="'flights' is not loaded"):
        service.predict(ROWS)


def test_what_is_refused_is_neither_predicted_nor_logged(model_folder: Path, tmp_path: Path) -> None:
    settings = make_project(tmp_path, max_rows=2)
    service = open_service(settings, model_folder, name="flights", version="7").start()
    with pytest.raises(RequestError, match="3 rows in one request; at most 2"):
        service.predict(ROWS)
    two = {name: values[:2] for name, values in ROWS.items()}
    with pytest.raises(RequestError, match="'ids' has 1 entries for 2 rows"):
        service.predict(two, ["a"])
    with pytest.raises(DataError, match="differ in length"):
        service.predict({**two, "wind": [1.0]}, ["a", "b"])
    service.stop()
    assert read_predictions(settings.var / "predictions").empty


def test_the_model_is_loaded_in_the_predictors_own_thread(model_folder: Path) -> None:
    seen = []

    def load() -> Model:
        seen.append(threading.current_thread())
        return Model.load(model_folder, framework="torch")

    predictors = [Predictor(load, name="flights", version=version) for version in ("1", "2")]
    for predictor in predictors:
        predictor.start()
        seen.append(predictor.thread.submit(threading.current_thread).result())
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert len({*seen, threading.current_thread()}) == 3
    for predictor in predictors:
        predictor.stop()


@pytest.mark.parametrize("name", ["model", "mlops.answer", "mlops.answer.probability"])
def test_a_model_whose_input_the_log_cannot_hold_does_not_start(tmp_path: Path, name: str) -> None:
    columns = (Column(name, "number"),)
    encoder = Encoder.fit(check_rows({name: [1.0, 2.0]}, columns), columns)
    architecture = Architecture("mlp", {"inputs": encoder.width, "hidden": [2]})
    network = build(architecture, framework="torch", device="cpu", seed=1)
    save(
        tmp_path / "candidate",
        task=BINARY,
        columns=columns,
        fitted=FittedNetwork(encoder, architecture, network),
        decision={"threshold": 0.5},
        profile={"format": 1},
    )
    predictor = Predictor(
        lambda: Model.load(tmp_path / "candidate", framework="torch"), name="m", version="1"
    )
    with pytest.raises(DataError, match=f"Input '{name}' has the name of a column of the prediction log"):
        Service(predictor).start()
    assert not predictor.ready
