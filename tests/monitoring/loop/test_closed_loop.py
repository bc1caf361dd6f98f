"""The loop, closed: traffic whose world changes, an alert, a retraining, a release, the alert resolved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runtime_lib.settings import load
from tests.support.depth import DEEP
from tests.support.mlops_serve import serving
from tests.support.projects import free_port
from tests.support.readings import make, mlops, monitor, requests
from tests.support.receivers import Receiver, receiving
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

CHAT = "MLOPS_MONITORING__ALERTS__CHAT__"
RETRAIN = "MLOPS_MONITORING__RETRAIN__"


@pytest.fixture(scope="module")
def served(render: Any) -> Path:
    """The champion knows January to April, and has answered July."""
    root = make(render)
    mlops(root, "run", "--json", today="2025-05-02")
    return root


def variables(chat: Receiver, **retrain: str) -> dict[str, str]:
    return {
        f"{CHAT}KIND": "webhook",
        f"{CHAT}URL": chat.url,
        f"{CHAT}SEVERITY": "info",
        f"{RETRAIN}HOW": "local",
        **{f"{RETRAIN}{key}": value for key, value in retrain.items()},
    }


def told(chat: Receiver) -> list[tuple[str, str]]:
    return [(body["data"]["kind"], body["data"]["status"]) for body in chat.bodies]


def test_a_shift_ends_in_a_release_and_a_resolved_alert_without_a_hand(served: Path) -> None:
    environ = {"MLOPS_SERVING__ENGINE": "local", "MLOPS_SERVING__PORT": str(free_port())}
    settings = load(served, environ=environ)
    with receiving(200) as chat, serving(settings, **environ) as server:
        file = requests(served, "2025-07")
        mlops(served, "predict", str(file), "--url", server.url, today="2025-08-02")
        verdict = monitor(served, "2025-07", today="2025-08-02", **variables(chat))
        step = verdict["retraining"]
        assert step["what"] == "released", step
        assert "heat has drifted" in " ".join(verdict["causes"])
        assert [each["what"] for each in verdict["steps"]] == ["started", "released"]
        # The server follows the champion: the new version answers, and nobody restarted anything.
        frame = pd.read_parquet(file).head(1).drop(columns=["id", "time"])
        body = {"inputs": {name: values.tolist() for name, values in frame.items()}}
        assert eventually(lambda: server.ask("/invocations", body)[1]["version"] == step["to"], 120)
    found = told(chat)
    assert found.count(("retraining", "event")) == 2
    assert found.index(("performance", "firing")) < found.index(("retraining", "event"))
    assert found.index(("performance", "firing")) < found.index(("performance", "resolved"))
    page = settings.monitoring_page.read_text()
    assert "heat has drifted" in page
    assert "version 2 is the champion" in page
