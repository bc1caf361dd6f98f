"""The loop, closed: traffic whose world changes, an alert, a retraining, a release, the alert resolved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runtime_lib.pipeline.run import set_params
from runtime_lib.settings import load
from tests.support.depth import DEEP
from tests.support.mlops_serve import serving
from tests.support.projects import free_port
from tests.support.readings import answer, command, first_version, make, mlops, monitor, requests
from tests.support.receivers import Receiver, receiving
from tests.support.servers import eventually

pytestmark = pytest.mark.slow

CHAT = "MLOPS_MONITORING__ALERTS__CHAT__"
RETRAIN = "MLOPS_MONITORING__RETRAIN__"


TODAY = "2025-08-02"


@pytest.fixture(scope="module")
def first(render: Any) -> Path:
    """The champion knows January to April."""
    root = make(render)
    first_version(root, today="2025-05-02")
    return root


@pytest.fixture
def project(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "project"))


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


def test_a_shift_ends_in_a_release_and_a_resolved_alert_without_a_hand(project: Path) -> None:
    environ = {"MLOPS_SERVING__ENGINE": "local", "MLOPS_SERVING__PORT": str(free_port())}
    settings = load(project, environ=environ)
    with receiving(200) as chat, serving(settings, **environ) as server:
        file = requests(project, "2025-07")
        mlops(project, "predict", str(file), "--url", server.url, today=TODAY)
        verdict = monitor(project, "2025-07", today=TODAY, **variables(chat))
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


def test_what_monitor_prints_and_that_it_says_it_once(project: Path) -> None:
    """A real `mlops run`, for which there is nothing new."""
    answer(project, "2025-07")
    set_params(project / "params.yaml", ["data.last=2025-04"])
    local = {f"{RETRAIN}HOW": "local"}
    said = mlops(project, "monitor", "--month", "2025-07", today=TODAY, code=4, **local).splitlines()
    assert said[0].startswith("Retrain: performance has dropped (700 predictions of version 1)")
    assert any(line.startswith("  perhaps: heat has drifted") for line in said)
    began, nothing = said[-2:]
    assert began.startswith("Retraining began: AUC 0.")
    assert nothing.startswith("Nothing new: there was nothing new to learn from.")
    again = mlops(project, "monitor", today=TODAY, code=4, **local)
    assert again.splitlines()[-1].startswith(
        "Cools down: the last retraining began less than the cool-down ago"
    )
    document = json.loads(mlops(project, "monitor", "--json", today=TODAY, code=4, **local))
    assert document["retraining"]["what"] == "cooling"
    assert [step["what"] for step in document["steps"]] == ["started", "nothing", "cooling"]


@pytest.mark.skipif(
    not DEEP, reason="test_retrain.py has each end with a stand-in for `mlops run`: nox -s deep"
)
def test_every_other_end_of_a_real_run(project: Path) -> None:
    answer(project, "2025-07")
    [data] = project.glob("src/*/data.py")
    good = data.read_text()
    with receiving(200) as chat:
        loop = variables(chat, COOL_DOWN_HOURS="0")

        mlops(project, "monitor", "--month", "2025-07", today=TODAY, code=4)
        data.write_text(good + "raise RuntimeError('no source today')\n")
        assert monitor(project, "", today=TODAY, **loop)["retraining"]["what"] == "failed"
        data.write_text(good)

        strict = {**loop, "MLOPS_REGISTRY__MIN_GAIN_OVER_BASELINE": "0.9"}
        step = monitor(project, "", today=TODAY, **strict)["retraining"]
        assert step["what"] == "refused"
        assert step["reason"].startswith("the gate refused version 2: roc_auc")
        assert chat.bodies[-1]["data"]["text"] == step["reason"]
        assert monitor(project, "", today=TODAY, **strict)["retraining"]["what"] == "nothing"

        later = "2025-09-02"
        step = monitor(project, "", today=later, **variables(chat, COOL_DOWN_HOURS="0", APPROVE="true"))[
            "retraining"
        ]
        assert (step["what"], step["to"]) == ("waiting", "3")
        assert "`mlops promote`" in chat.bodies[-1]["data"]["text"]
        assert ("performance", "resolved") not in told(chat)
        mlops(project, "promote", today=later)
        answer(project, "2025-08")
        done = command(project, "monitor", "--month", "2025-08", "--json", today=later, **loop)
        verdict = json.loads(done.stdout)
        assert (verdict["version"], verdict["retrain"], verdict["retraining"]) == ("3", False, None)
        assert told(chat)[-1][1] == "resolved"
        assert ("performance", "resolved") in told(chat)
