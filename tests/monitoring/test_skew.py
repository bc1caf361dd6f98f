"""Skew: served features that differ from those of training are found by column, before and after."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from runtime_lib import settings as settings_file
from runtime_lib.data.features import Features
from runtime_lib.data.functions import find_features, load_month
from runtime_lib.data.raw import as_json
from runtime_lib.data.skew import check_scoring, needed_columns
from runtime_lib.errors import DataError, RequestError
from runtime_lib.monitoring.labels import read_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.skew import compare_served
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import BINARY
from tests.support.served import Served
from tests.support.shop import EARLIER, MONTHS, OPEN, importable, make_months, make_shop, orders, trained_shop

Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Version:
    folder: Path
    version: str = "7"
    held_out: None = None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_file.load(trained_shop(tmp_path_factory), environ={})


@pytest.fixture
def shop(trained: Settings, tmp_path: Path):
    """The trained project, with a log of its own."""
    for name in ("data", "models", "src", "source.parquet", "mlops.toml"):
        (tmp_path / name).symlink_to(trained.root / name)
    with importable(tmp_path):
        yield settings_file.load(tmp_path, environ={})


def serve(settings: Settings, month: str, change: Change = lambda raw: raw) -> None:
    """Score a month's raw rows in a service of this process, as clients send them."""
    service = Served(settings, settings.candidate, name="flights", version="7")
    raw = change(load_month("shop", month).drop(columns=["refund", "returned"]))
    service.predict_raw(as_json(raw))
    service.stop()


def test_the_same_rows_have_the_same_features(shop: Settings) -> None:
    serve(shop, MONTHS[2], lambda raw: raw.sample(frac=1, random_state=0))  # rows are found by id
    serve(shop, OPEN)  # not among the features: nothing to compare it with
    verdict = monitor(shop, champion=Version(shop.candidate))
    assert (verdict.skew.rows, verdict.skew.columns, verdict.rows) == (300, (), 600)
    assert not verdict.skewed


def test_a_planted_skew_is_found_by_column(shop: Settings) -> None:
    def in_local_time(raw: pd.DataFrame) -> pd.DataFrame:
        late = raw["price"] > raw["price"].median()
        return raw.assign(
            at=raw["at"].where(~late, raw["at"] + pd.Timedelta(hours=2)), past=raw["past"].fillna(0)
        )

    serve(shop, MONTHS[2], in_local_time)
    verdict = monitor(shop, champion=Version(shop.candidate))
    found = {column.name: column for column in verdict.skew.columns}
    assert (verdict.state, verdict.found, set(found)) == ("skew", True, {"hour", "weekday", "past"})
    assert found["hour"].rows == 150
    assert (found["past"].served, found["past"].trained) == (0.0, None)
    report = json.loads(verdict.report_json.read_text())
    assert report["skew"]["rows"] == 300
    assert {column["name"] for column in report["skew"]["columns"]} == set(found)
    assert any(reason.startswith("skew: 'hour' in 150 rows (id order-") for reason in report["reasons"])
    page = verdict.report_html.read_text()
    assert "150 of 300" in page
    assert "missing" in str(found["past"])
    assert "<td>missing</td><td>0.0</td>" in page
    assert found["hour"].id in page


def test_a_row_of_two_months_is_compared_with_its_last_features(tmp_path: Path) -> None:
    for month, amount in (("2024-01", 1.0), ("2024-02", 2.0)):
        pd.DataFrame({"id": ["a"], "amount": [amount]}).to_parquet(tmp_path / f"{month}.parquet")
    assert compare_served(pd.DataFrame({"id": ["a"], "amount": [2.0]}), ["amount"], tmp_path).columns == ()
    (differs,) = compare_served(pd.DataFrame({"id": ["a"], "amount": [1.0]}), ["amount"], tmp_path).columns
    assert (differs.served, differs.trained) == (1.0, 2.0)


def test_labels_of_a_month_come_from_the_project_itself(shop: Settings) -> None:
    serve(shop, OPEN)
    champion = Version(shop.candidate)
    assert monitor(shop, champion=champion, month=OPEN).performance.labelled == 0
    (shop.root / "source.parquet").unlink()
    orders(open_months=()).to_parquet(shop.root / "source.parquet")  # the outcomes have come
    assert monitor(shop, champion=champion, month=OPEN).performance.labelled == 300
    assert read_labels(shop.labels, BINARY)["label"].mean() == pytest.approx(
        (orders(open_months=())["returned"].tail(300) == "yes").mean()
    )


def test_what_features_cannot_do_is_said_without_a_traceback(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = Served(shop, shop.candidate, name="flights", version="7")
    raw = as_json(load_month("shop", OPEN).head(2))
    own = service.version.raw

    def use(function: Change) -> None:
        monkeypatch.setattr(
            service.version, "_raw", type(own)(own.types, Features(function, own.features.label))
        )

    def refused(function: Change) -> RequestError:
        use(function)
        with pytest.raises(RequestError) as caught:
            service.predict_raw(raw)
        return caught.value

    error = refused(lambda raw: 1 // 0)
    assert (error.status, "ZeroDivisionError (test_skew.py, line" in str(error)) == (422, True)
    assert "Traceback" in caplog.text
    assert "Traceback" not in str(error)
    error = refused(lambda raw: own.features.features(raw).drop(columns="hour"))
    assert (error.status, "no longer returns 'hour'" in str(error)) == (500, True)
    service.stop()


def test_a_project_with_one_function_keeps_working(trained: Settings, tmp_path: Path) -> None:
    settings = make_shop(tmp_path, features=EARLIER)
    make_months(settings)
    for path in settings.features.glob("*.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(trained.features / path.name))
    shutil.copytree(trained.candidate, settings.candidate)
    with importable(tmp_path):
        own = find_features(settings)
        assert own.label is None
        check_scoring(own.features, own.label, load_month("shop", MONTHS[0]))
        service = Served(settings, settings.candidate, name="flights", version="7")
        service.predict_raw(as_json(load_month("shop", MONTHS[2])))
        with pytest.raises(RequestError, match=r"left out 300 of 300 rows.*function label\(raw\)"):
            service.predict_raw(as_json(load_month("shop", OPEN)))
        service.stop()
        verdict = monitor(settings, champion=Version(settings.candidate), month=MONTHS[2])
    assert (verdict.skew.rows, verdict.skew.columns, verdict.performance.labelled) == (300, (), 300)


@pytest.fixture
def own(trained: Settings):
    with importable(trained.root):
        yield find_features(trained)


@pytest.fixture
def raw(own: Features) -> pd.DataFrame:
    return load_month("shop", MONTHS[0])


def test_functions_that_treat_each_row_alike_pass(own: Features, raw: pd.DataFrame) -> None:
    check_scoring(own.features, own.label, raw, later=["refund"])
    assert needed_columns(own.features, raw) == ["number", "at", "country", "items", "price", "past"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw, table: table.assign(price=table["price"] - table["price"].mean()), "'price' in"),
        (
            lambda raw, table: table.assign(refund=raw["refund"].fillna(-1)),
            "without refund, returned: 'refund'",
        ),
        (
            lambda raw, table: table.assign(
                back=raw["returned"].isna().astype(float) if "returned" in raw else 0.0
            ),
            "'back' in",
        ),
        (
            lambda raw, table: table.assign(id=[f"row-{n}" for n in range(len(raw))]),
            "'id' in 19 rows",
        ),
        (lambda raw, table: table.assign(rank=range(len(raw))), "'rank' in"),
        (
            lambda raw, table: table.assign(past=raw["past"].fillna(raw["past"].median())),
            "one by one as JSON: 'past'",
        ),
    ],
)
def test_a_feature_that_cannot_be_served_is_named(
    own: Features, raw: pd.DataFrame, spoil: Callable[..., pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_scoring(lambda rows: spoil(rows, own.features(rows)), own.label, raw, later=["refund"])
