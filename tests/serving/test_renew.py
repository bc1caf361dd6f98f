"""`mlops serve --renew`: the project's code has changed, and the server takes it without an end."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from runtime_lib.settings import load
from tests.support.mlops_serve import mlops
from tests.support.projects import free_port
from tests.support.servers import running
from tests.support.shop import importable, orders, trained_shop
from tests.support.traffic import Clients


@pytest.mark.slow
def test_raw_rows_are_answered_by_the_code_as_it_is_now(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(trained_shop(tmp_path_factory), shop)
    port, code = free_port(), shop / "src" / "shop" / "features.py"
    settings = load(shop, environ={"MLOPS_SERVING__PORT": str(port), "MLOPS_SERVING__WORKERS": "2"})
    raw = orders().head(20)
    records = json.loads(
        raw.drop(columns=["refund", "returned"]).to_json(orient="records", date_format="iso")
    )
    body = {"dataframe_records": records}
    path = os.pathsep.join([str(shop / "src"), os.environ.get("PYTHONPATH", "")])
    with running(settings, settings.candidate, port, PYTHONPATH=path) as server:
        before = server.ask("/raw/invocations", body)[1]["predictions"]
        with Clients(server, rate=40, path="/raw/invocations", body=json.dumps(body).encode()) as clients:
            clients.wait_for(20)
            code.write_text(code.read_text().replace('/ raw["items"]', '/ raw["items"] * 3'))
            assert mlops(settings, "serve", "--renew") == "The workers are new.\n"
            clients.wait_for(40)
            answers = [server.ask("/raw/invocations", body)[1]["predictions"] for _ in range(8)]
        with importable(shop):
            from shop.features import features

            table = features(raw).drop(columns=["id", "time"])
        inputs = json.loads(table.to_json(orient="split"))
        split = {"columns": inputs["columns"], "data": inputs["data"]}
        expected = server.ask("/invocations", {"dataframe_split": split})[1]["predictions"]
    assert not clients.failures
    assert expected != pytest.approx(before, abs=1e-3)
    for answer in answers:
        assert answer == pytest.approx(expected, abs=1e-9)
