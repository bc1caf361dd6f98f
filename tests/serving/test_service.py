"""A request through the service, without HTTP: its limits, its ids, its log, its batches, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import DataError, ModelError, RequestError, ServiceError
from runtime_lib.serving.log import PredictionLog, read_predictions
from runtime_lib.serving.predictor import Prediction, Predictor
from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.serving.releases.journal import Held
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.serving.version import open_version
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.model import Model, digest, save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.network import FittedNetwork
from tests.support.servers import ROWS, expected, make_project


async def started(settings: Settings, **models: Held) -> Service:
    service = Service(settings, name="flights", log=PredictionLog(settings.predictions))
    await service.prepare({name.lstrip("v"): held for name, held in models.items()})
    return service


async def predict(
    service: Service, rows: dict[str, Any] = ROWS, ids: Sequence[str] | None = None
) -> Prediction:
    version = service.choose({})
    return await service.predict(version, version.check(Batch(rows)), ids)


def test_a_prediction_says_which_version_answered_which_rows(model_folder: Path, tmp_path: Path) -> None:
    settings = make_project(tmp_path)

    async def ask() -> tuple[Prediction, Prediction]:
        service = await started(settings, v7=Held(str(model_folder), digest(model_folder)))
        service.commit(Policy.all_to("7"))
        found = await predict(service, ids=["a", "b", "c"]), await predict(service)
        service.stop()
        with pytest.raises(ServiceError, match="is starting or stopping"):
            await predict(service)
        return found

    found, unnamed = asyncio.run(ask())
    assert (found.model, found.version, found.ids) == ("flights", "7", ["a", "b", "c"])
    assert found.answer.tolist() == pytest.approx(expected(model_folder), abs=1e-6)
    assert found.label.tolist() == [int(p > 0.5) for p in expected(model_folder)]
    assert len({*unnamed.ids, "a", "b", "c"}) == 6
    logged = read_predictions(settings.predictions, version="7").set_index("id")
    assert logged.loc[["a", "b", "c"], "mlops.answer.probability"].tolist() == found.answer.tolist()
    assert logged.loc[["a", "b", "c"], "hour"].tolist() == ROWS["hour"]
    assert len(logged) == 6


def test_requests_of_one_turn_of_the_loop_are_one_batch_and_a_wrong_one_spoils_no_other(
    model_folder: Path, tmp_path: Path
) -> None:
    batches = []

    async def ask() -> list[Any]:
        service = await started(make_project(tmp_path), v7=Held(str(model_folder), ""))
        service.commit(Policy.all_to("7"))
        predictor = service.versions["7"].predictor
        computed = predictor.compute
        predictor.compute = lambda rows, ids: batches.append(len(rows)) or computed(rows, ids)
        wrong = {**ROWS, "hour": [1, "x", 2]}
        asked = [predict(service, ids=[f"{n}a", f"{n}b", f"{n}c"]) for n in range(5)]
        found = await asyncio.gather(*asked[:2], predict(service, wrong), *asked[2:], return_exceptions=True)
        service.stop()
        return found

    found = asyncio.run(ask())
    assert isinstance(found.pop(2), DataError)
    assert [one.ids[0] for one in found] == ["0a", "1a", "2a", "3a", "4a"]
    assert [one.answer.tolist() for one in found] == [expected(model_folder)] * 5
    assert batches == [5]


def test_who_waits_too_long_or_in_too_long_a_queue_is_refused(model_folder: Path, tmp_path: Path) -> None:
    async def ask() -> list[Any]:
        service = await started(make_project(tmp_path, timeout=0.01), v7=Held(str(model_folder), ""))
        service.commit(Policy.all_to("7"))
        predictor = service.versions["7"].predictor
        predictor._on_loop, predictor._most_jobs = False, 3
        free = threading.Event()
        predictor.thread.submit(free.wait)
        first = asyncio.create_task(predict(service))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(predict(service)) for _ in range(4)]
        await asyncio.sleep(0.05)
        free.set()
        found = await asyncio.gather(first, *waiting, return_exceptions=True)
        service.stop()
        return found

    first, *others, last = asyncio.run(ask())
    assert first.answer.tolist() == expected(model_folder)
    assert [str(error) for error in others] == [
        "The request waited longer than it may (serving.timeout)."
    ] * 3
    assert "3 requests wait already" in str(last)


def test_what_is_refused_is_neither_predicted_nor_logged(model_folder: Path, tmp_path: Path) -> None:
    settings = make_project(tmp_path, max_rows=2)

    async def ask() -> None:
        service = await started(settings, v7=Held(str(model_folder), ""))
        service.commit(Policy.all_to("7"))
        with pytest.raises(RequestError, match="3 rows in one request; at most 2"):
            service.check_count(3)
        two = {name: values[:2] for name, values in ROWS.items()}
        with pytest.raises(RequestError, match="'ids' has 1 entries for 2 rows"):
            await predict(service, two, ["a"])
        with pytest.raises(DataError, match="differ in length"):
            await predict(service, {**two, "wind": [1.0]}, ["a", "b"])
        service.stop()

    asyncio.run(ask())
    assert read_predictions(settings.predictions).empty


def test_a_version_that_does_not_load_leaves_the_others_as_they_are(
    model_folder: Path, tmp_path: Path
) -> None:
    settings = make_project(tmp_path)

    async def ask() -> None:
        service = await started(settings, v7=Held(str(model_folder), ""))
        service.commit(Policy.all_to("7"))
        with pytest.raises(ModelError, match="No model at"):
            await service.prepare({"8": Held(str(tmp_path / "nowhere"), "")})
        with pytest.raises(ModelError, match="is not the one that was released"):
            await service.prepare({"8": Held(str(model_folder), "0" * 64)})
        assert list(service.versions) == ["7"]
        assert (await predict(service)).version == "7"
        service.stop()

    asyncio.run(ask())


def test_traffic_is_divided_by_key_by_turn_and_by_name(model_folder: Path, tmp_path: Path) -> None:
    async def ask() -> None:
        held = Held(str(model_folder), "")
        service = await started(make_project(tmp_path), v7=held, v8=held, v9=held)
        service.commit(Policy({"7": 900, "8": 100, "9": 0}))
        turns = [service.choose({}).name for _ in range(1000)]
        assert (turns.count("7"), turns.count("8")) == (900, 100)
        of_keys = [service.choose({b"x-mlops-key": b"user-%d" % n}).name for n in range(2000)]
        assert of_keys == [service.choose({b"x-mlops-key": b"user-%d" % n}).name for n in range(2000)]
        assert of_keys.count("8") == pytest.approx(200, abs=50)
        assert service.choose({b"x-mlops-version": b"9"}).name == "9"
        with pytest.raises(RequestError, match="Unknown version '6' of 'flights'"):
            service.choose({b"x-mlops-version": b"6"})
        service.stop()

    asyncio.run(ask())


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
    version = open_version(make_project(tmp_path), tmp_path / "candidate", name="m", version="1", log=None)
    with pytest.raises(DataError, match=f"Input '{name}' has the name of a column of the prediction log"):
        version.start()
    assert not version.predictor.ready
