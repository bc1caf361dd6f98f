"""Files through a running server."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from runtime_lib.errors import DataError, ServiceError
from runtime_lib.serving.client import predict_file
from runtime_lib.serving.log import read_predictions
from tests.support.projects import free_port
from tests.support.servers import ROWS, Server, expected, make_project


def table(copies: int = 1) -> pd.DataFrame:
    frame = pd.concat([pd.DataFrame(ROWS)] * copies, ignore_index=True)
    return frame.assign(id=[f"flight-{row}" for row in range(len(frame))], time="2013-05-01", label=1)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_each_row_is_predicted_and_logged_under_its_id(
    server: Server, model_folder: Path, tmp_path: Path, suffix: str
) -> None:
    rows, file, out = table(40), tmp_path / f"rows{suffix}", tmp_path / "new" / "predictions.parquet"
    rows.to_parquet(file) if suffix == ".parquet" else rows.to_csv(file, index=False)
    summary = predict_file(server.settings, file, out=out, batch=50)
    assert (summary.rows, summary.model, summary.version, summary.out) == (120, "flights", "7", out)
    written = pd.read_parquet(out)
    assert list(written.columns) == ["id", "probability", "model", "version"]
    assert written["id"].tolist() == rows["id"].tolist()
    assert written["probability"].tolist() == pytest.approx(expected(model_folder) * 40, abs=1e-6)
    logged = read_predictions(server.settings.var / "predictions").set_index("id")
    assert logged.loc[written["id"], "mlops.answer.probability"].tolist() == written["probability"].tolist()


def test_without_ids_the_server_makes_them(server: Server, tmp_path: Path) -> None:
    table().drop(columns="id").to_parquet(tmp_path / "rows.parquet")
    predict_file(server.settings, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].nunique() == 3


def test_numbers_as_ids_keep_their_text(server: Server, tmp_path: Path) -> None:
    table().assign(id=["007", "08", "1e5"]).to_csv(tmp_path / "rows.csv", index=False)
    predict_file(server.settings, tmp_path / "rows.csv", out=tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].tolist() == ["007", "08", "1e5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hour": [6.0, None, 23.0]}, r"answered 400: Column 'hour', row 1: a value is missing"),
        ({"hour": [6.0, float("inf"), 23.0]}, "infinite"),
        ({"carrier": [1, 2, 3]}, "answered 400: Column 'carrier', row 0: 1 is not text"),
        ({"id": ["a", "b", "a"]}, "id 'a' occurs twice"),
        ({"id": ["a", None, "c"]}, "'id' is empty in row 1"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_and_nothing_is_written(
    server: Server, tmp_path: Path, change: dict[str, list[object]], message: str
) -> None:
    table().assign(**change).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=message):
        predict_file(server.settings, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_file_without_a_column_or_of_another_kind_is_refused(server: Server, tmp_path: Path) -> None:
    table().drop(columns="wind").to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="has no column 'wind'"):
        predict_file(server.settings, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")
    (tmp_path / "rows.xlsx").touch()
    with pytest.raises(DataError, match=r"cannot read '.xlsx' files"):
        predict_file(server.settings, tmp_path / "rows.xlsx", out=tmp_path / "out.parquet")
    with pytest.raises(DataError, match="There is no file"):
        predict_file(server.settings, tmp_path / "none.csv", out=tmp_path / "out.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        predict_file(server.settings, tmp_path / "torn.parquet", out=tmp_path / "out.parquet")


def test_a_batch_above_the_servers_limit_names_the_limit(server: Server, tmp_path: Path) -> None:
    table(20).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="60 rows in one request; at most 50"):
        predict_file(server.settings, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")


def test_no_server_and_another_model_are_service_errors(server: Server, tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "rows.parquet")
    nobody = make_project(tmp_path / "other", port=free_port())
    with pytest.raises(ServiceError, match="Start the server with `mlops serve`"):
        predict_file(nobody, tmp_path / "rows.parquet", out=tmp_path / "out.parquet")
    (tmp_path / "other" / "mlops.toml").write_text('[project]\nname = "weather"\npackage = "weather"\n')
    from runtime_lib.settings import load

    weather = load(tmp_path / "other", environ={})
    with pytest.raises(ServiceError, match="Unknown model 'weather'"):
        predict_file(weather, tmp_path / "rows.parquet", out=tmp_path / "out.parquet", url=server.url)
