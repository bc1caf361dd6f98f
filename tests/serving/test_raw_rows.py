"""Raw rows, scored by file, by month and by the server: the features of training, to the last digit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runtime_lib.data.raw import as_json
from runtime_lib.errors import RequestError
from runtime_lib.serving.client import predict_file, predict_raw
from runtime_lib.serving.example import _raw_row
from runtime_lib.serving.page.examples import shown
from runtime_lib.settings import load
from tests.support.projects import free_port
from tests.support.served import Served
from tests.support.servers import Server, make_project, running
from tests.support.shop import MONTHS, OPEN, importable, orders, trained_shop

OUTCOME = ["refund", "returned"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_shop(tmp_path_factory)


@pytest.fixture(scope="module")
def served(shop: Path) -> Iterator[Server]:
    port = free_port()
    settings = load(shop, environ={"MLOPS_SERVING__PORT": str(port)})
    with running(settings, settings.candidate, port, PYTHONPATH=str(shop / "src")) as server:
        yield server


@pytest.fixture
def month() -> pd.DataFrame:
    """The newest month as the shop's systems hold it: no outcome."""
    table = orders()
    return table[table["at"].dt.strftime("%Y-%m") == OPEN]


def records(raw: pd.DataFrame) -> list[dict[str, Any]]:
    columns = as_json(raw.drop(columns=OUTCOME))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_the_newest_month_is_scored_alike_in_every_way(
    served: Server, shop: Path, month: pd.DataFrame, tmp_path: Path
) -> None:
    with importable(shop):
        by_month = predict_raw(served.settings, month=OPEN, out=tmp_path / "month.parquet")
        month.to_parquet(tmp_path / "raw.parquet")
        month.drop(columns=OUTCOME).to_csv(tmp_path / "raw.csv", index=False)
        for kind in ("parquet", "csv"):
            predict_raw(
                served.settings, file=tmp_path / f"raw.{kind}", out=tmp_path / f"{kind}.parquet", batch=37
            )
        from shop.features import features

        features(month).to_parquet(tmp_path / "features.parquet")
    predict_file(served.settings, tmp_path / "features.parquet", out=tmp_path / "file.parquet", batch=99)
    assert (by_month.rows, by_month.note) == (300, "")
    expected = pd.read_parquet(tmp_path / "month.parquet")
    assert expected["id"].tolist() == [f"order-{number}" for number in month["number"]]
    for name in ("parquet", "csv", "file"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / f"{name}.parquet"), expected, check_exact=True
        )
    answers = [served.ask("/raw/invocations", {"dataframe_records": [row]}) for row in records(month)[:60]]
    assert {status for status, _ in answers} == {200}
    assert [answer["ids"][0] for _, answer in answers] == expected["id"].tolist()[:60]
    assert [answer["predictions"][0] for _, answer in answers] == expected["probability"].tolist()[:60]
    status, whole = served.ask("/raw/invocations", {"inputs": as_json(month.drop(columns=OUTCOME))})
    assert (status, whole["predictions"]) == (200, expected["probability"].tolist())


def test_a_load_that_outlasts_the_servers_patience_is_waited_for(
    served: Server, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with importable(shop):
        from shop import data

        quick = data.load
        # uvicorn closes a connection that is idle for 5 seconds.
        monkeypatch.setattr(data, "load", lambda month: time.sleep(6) or quick(month))
        assert predict_raw(served.settings, month=OPEN, out=tmp_path / "out.parquet").rows == 300


def test_the_server_says_which_raw_columns_it_takes(served: Server) -> None:
    status, answer = served.ask("/raw")
    assert (status, answer["columns"]["at"], answer["columns"]["past"]) == (
        200,
        "datetime64[us, UTC]",
        "float64",
    )


def test_ids_of_the_client_count(served: Server, month: pd.DataFrame) -> None:
    body = {"instances": records(month)[:2], "ids": ["a", "b"]}
    assert served.ask("/raw/invocations", body)[1]["ids"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"price": "dear"}, 400, "Raw column 'price', row 1: 'dear' is not a number"),
        ({"at": "yesterday"}, 400, "Raw column 'at', row 1: 'yesterday' is not a time"),
        ({"price": None}, 400, "Column 'price', row 1: a value is missing"),
        ({"number": 1}, 200, ""),
        ({"items": None}, 400, "Column 'price', row 1: a value is missing"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    served: Server, month: pd.DataFrame, change: dict[str, Any], status: int, message: str
) -> None:
    first, second = records(month)[:2]
    found, answer = served.ask("/raw/invocations", {"dataframe_records": [first, {**second, **change}]})
    assert found == status
    assert message in answer.get("error", "")


@pytest.mark.parametrize("name", ["number", "at", "past"])
def test_a_raw_column_that_is_missing_is_named(served: Server, month: pd.DataFrame, name: str) -> None:
    rows = [{key: value for key, value in row.items() if key != name} for row in records(month)[:3]]
    status, answer = served.ask("/raw/invocations", {"dataframe_records": rows})
    assert status == 400
    assert answer["error"].startswith(
        f"Raw column '{name}' is missing: features() reads it (features.py, line"
    )


def test_without_the_package_features_are_taken_all_the_same(shop: Path, tmp_path: Path) -> None:
    shutil.copy(shop / "mlops.toml", tmp_path)
    service = Served(load(tmp_path, environ={}), shop / "models" / "candidate", name="m", version="7")
    with pytest.raises(
        RequestError, match=r"'shop' \(project.package in mlops.toml\) is not installed"
    ) as it:
        service.predict_raw({"price": [1]})
    assert it.value.status == 501
    row = {"country": ["AT"], "weekday": ["Monday"], "hour": [8], "price": [20.0], "past": [None]}
    assert len(service.predict(row).answer) == 1
    service.stop()


def test_a_model_that_does_not_know_the_raw_types_says_how_to_train_it_again(
    model_folder: Path, tmp_path: Path
) -> None:
    service = Served(make_project(tmp_path), model_folder, name="m", version="7")
    with pytest.raises(RequestError, match="trained without the types of the raw columns") as it:
        service.predict_raw({"hour": [1]})
    assert it.value.status == 501
    service.stop()


def test_the_printed_request_is_a_real_row_of_the_raw_columns_that_features_needs(shop: Path) -> None:
    settings = load(shop, environ={})
    with importable(shop):
        row = _raw_row(settings, settings.candidate)
    assert row is not None
    assert list(row) == ["number", "at", "country", "items", "price", "past"]
    last = pd.read_parquet(settings.raw / f"{MONTHS[-2]}.parquet").iloc[-1]
    assert (row["number"], row["price"]) == (last["number"], last["price"])


def test_an_image_that_would_fill_the_screen_is_printed_in_words() -> None:
    assert shown([[0.5] * 28] * 28) == "nested lists of 28 x 28 values"
    for small in ([[16] * 8] * 8, "text", 1.5, None):
        assert shown(small) == small
