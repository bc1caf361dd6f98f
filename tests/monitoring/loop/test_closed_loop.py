"""The loop, closed: traffic whose world changes, an alert, a retraining, a release, the alert resolved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runtime_lib.settings import load
from tests.support.mlops_serve import MLOPS, serving, status
from tests.support.projects import free_port
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

# A machine's readings by month. From May on a new sensor reports its heat in another unit.
DATA = '''"""Data: a machine's readings."""
import numpy as np
import pandas as pd
import pandera.pandas as pa


def load(month):
    rng = np.random.default_rng(int(month.replace("-", "")))
    rows = 2_000
    heat, load = rng.normal(60, 12, rows), rng.uniform(0, 1, rows)
    odds = (heat - 60) / 6 + 2 * load - 1.5
    fails = rng.random(rows) < 1 / (1 + np.exp(-odds))
    new = month >= "2025-05"
    return pd.DataFrame({
        "number": [f"{month}-{row}" for row in range(rows)],
        "at": pd.Timestamp(month + "-01", tz="UTC") + pd.to_timedelta(rng.uniform(0, 27, rows), unit="D"),
        "heat": 300 - 3 * heat if new else heat,
        "load": load,
        "sensor": np.where(new, "new", np.where(rng.random(rows) < 0.05, "new", "old")),
        "failed": fails.astype("int64"),
    })


def schema():
    return pa.DataFrameSchema({"number": pa.Column(str, unique=True)})
'''
FEATURES = '''"""Features of a reading."""
import pandas as pd


def features(raw):
    return pd.DataFrame({"id": raw["number"], "time": raw["at"], "heat": raw["heat"], "load": raw["load"]})


def label(raw):
    return raw["failed"]
'''
PARAMS = ["data.first=2025-01", "data.last=latest", "split.test=1", "train.batch_size=128", "train.epochs=2"]


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat that takes alerts."""
    received: list[dict[str, Any]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def project(render: Any) -> Path:
    from runtime_lib.pipeline.run import set_params

    root: Path = render(start="blank", project_name="readings", with_orchestration=False)
    [package] = (root / "src").iterdir()
    (package / "data.py").write_text(DATA)
    (package / "features.py").write_text(FEATURES)
    set_params(root / "params.yaml", PARAMS)
    return root


def mlops(root: Path, *words: str, today: str, codes: tuple[int, ...] = (0,), **variables: str) -> str:
    env = {**os.environ, **variables, "PYTHONPATH": "src", "MLOPS_TODAY": today}
    done = subprocess.run([MLOPS, *words], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in codes, (
        f"mlops {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def requests(root: Path, month: str) -> Path:
    """A month's features, as a caller sends them."""
    script = (
        "import sys; from pathlib import Path; from runtime_lib.settings import load; "
        "from runtime_lib.data.functions import find_features, load_month; "
        "settings = load(Path()); raw = load_month(settings.project.package, sys.argv[1]); "
        "find_features(settings).features(raw).to_parquet(sys.argv[2])"
    )
    path = root / "var" / f"{month}.parquet"
    env = {**os.environ, "PYTHONPATH": "src"}
    subprocess.run([sys.executable, "-c", script, month, str(path)], cwd=root, env=env, check=True)
    return path


def test_a_shift_ends_in_a_release_and_a_resolved_alert_without_a_hand(project: Path) -> None:
    mlops(project, "run", "--json", today="2025-05-02")  # the champion knows January to April
    with listening() as (address, received):
        loop = {
            "MLOPS_MONITORING__RETRAIN__HOW": "local",
            "MLOPS_MONITORING__ALERTS__CHAT__KIND": "webhook",
            "MLOPS_MONITORING__ALERTS__CHAT__URL": address,
            "MLOPS_MONITORING__ALERTS__CHAT__SEVERITY": "info",
        }
        environ = {"MLOPS_SERVING__ENGINE": "local", "MLOPS_SERVING__PORT": str(free_port())}
        settings = load(project, environ=environ)
        with serving(settings, **environ) as server:
            told = status(server)
            file = requests(project, "2025-07")
            mlops(project, "predict", str(file), "--url", server.url, today="2025-08-02")
            said = mlops(
                project, "monitor", "--month", "2025-07", "--json", today="2025-08-02", codes=(4,), **loop
            )
            verdict = json.loads(said)
            print(json.dumps({k: verdict[k] for k in ("state", "reasons", "causes", "steps")}, indent=1))
            assert verdict["state"] == "retrain"
            assert verdict["retraining"]["what"] == "released", verdict["retraining"]
            assert "heat has drifted" in " ".join(verdict["causes"])
            new = verdict["retraining"]["to"]
            # The server follows the champion: the new version answers, and nobody restarted anything.
            frame = pd.read_parquet(file).head(1).drop(columns=["id", "time"])
            body = {"inputs": {name: values.tolist() for name, values in frame.items()}}
            assert eventually(lambda: server.ask("/invocations", body)[1]["version"] == new, 60)
            assert told["model"] == settings.model_name
        kinds = [(each["data"]["kind"], each["data"]["status"]) for each in received]
        assert ("retraining", "event") in kinds
        assert ("performance", "firing") in kinds
        assert ("performance", "resolved") in kinds
        assert kinds.index(("performance", "firing")) < kinds.index(("performance", "resolved"))
