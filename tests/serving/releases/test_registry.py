"""A server beside its registry: it follows the champion, and gives it back."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from runtime_lib.registry.choose import choose
from runtime_lib.serving.log import read_predictions
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.settings import Settings
from tests.support.depth import DEEP
from tests.support.mlops_serve import mlops, problems, serves, serving, shipped, status
from tests.support.projects import free_port
from tests.support.registry import (
    FAILING,
    GOOD,
    LYING,
    NARROW,
    NUMBERS,
    OTHER,
    SLOW,
    alias,
    move_alias,
    project_with_registry,
    trail,
)
from tests.support.servers import eventually
from tests.support.traffic import Clients, order

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path, stored: Path) -> Settings:
    return project_with_registry(tmp_path / "project", stored, port=free_port(), follow_seconds=0.5)


def test_the_server_follows_the_champion_however_it_moves_and_rollback_takes_it_back(
    settings: Settings,
) -> None:
    from runtime_lib.registry.decide import move
    from runtime_lib.registry.trail import Entry
    from runtime_lib.registry.versions import registered
    from runtime_lib.tracking.store import connect

    with serving(settings) as server, Clients(server, rate=50) as clients:
        assert "The server that runs here follows." in mlops(
            settings, "champion", "set", OTHER, "--reason", "better in Spain"
        )
        assert eventually(lambda: serves(server, OTHER), 60)
        client = connect(settings)
        gate = Entry("promoted", GOOD, OTHER, GOOD, ("better",), {"candidate": {"roc_auc": 0.8}})
        move(client, registered(client, "flights"), gate)  # as the gate does
        assert eventually(lambda: serves(server, GOOD), 60)
        move_alias(settings, OTHER)  # as MLflow's pages do
        assert eventually(lambda: serves(server, OTHER), 60)
        said = mlops(settings, "rollback", "--reason", "too many complaints")
        back = time.monotonic()
        assert f"Traffic: all to version {GOOD} (before: all to version {OTHER}" in said
        assert f"Champion: version {GOOD}." in said
        assert serves(server, GOOD)
        assert alias(settings) == GOOD
        assert [entry for entry in trail(settings) if entry[0] == "rolled back"] == [
            ("rolled back", GOOD, "hand")
        ]
        for _ in range(2):  # it looks again and again, and is not released again
            order(server, "follow")
            clients.wait_for(150)
        assert eventually(lambda: shipped(settings), 30)
        assert set(clients.versions(back)) == {GOOD}
        mlops(settings, "champion", "set", OTHER, "--reason", "it was something else")
        assert eventually(lambda: serves(server, OTHER), 60)
        assert eventually(lambda: shipped(settings), 30)
        assert problems(server) == ""
    assert not clients.failures
    changes = [(c.action, c.by, c.state.policy.only) for c in Journal(settings.releases).changes()]
    assert changes == [
        ("started", "champion", GOOD),
        ("deployed", "champion", OTHER),
        ("deployed", "champion", GOOD),
        ("deployed", "champion", OTHER),
        ("rolled back", "hand", GOOD),
        ("deployed", "champion", OTHER),
    ]


CANARY = """steps = [50, 100]
least_seconds = 1
min_requests = 30
"""


WORSE = [
    (LYING, "loss_margin = 0.5", r"Version 7 lost 9 a row over \d+ rows, version 1 lost 0\.\d+ a row"),
    (FAILING, "", r"Version 5 failed \d+ of \d+ requests, version 1 failed 0 of"),
    (SLOW, "latency_margin = 1.0", r"Version 6 took [\d.]+ ms at the \d+th percentile, version 1 took"),
]


@pytest.mark.parametrize(("version", "rules", "why"), WORSE if DEEP else WORSE[:1])
def test_a_champion_that_is_worse_goes_back_by_itself_and_so_does_the_alias(
    tmp_path: Path, stored: Path, version: str, rules: str, why: str
) -> None:
    import json
    import re

    settings = project_with_registry(
        tmp_path / "project",
        stored,
        canary=CANARY + rules,
        port=free_port(),
        follow_seconds=0.5,
        rollout="canary",
    )
    with serving(settings) as server, Clients(server, rate=60) as clients:
        mlops(settings, "champion", "set", version, "--reason", "looks better")
        assert eventually(lambda: version in clients.versions(), 60)
        if version == LYING:
            assert eventually(lambda: status(server)["release"] is not None, 20)
            clients.wait_for(200)
            label_all(settings)
        assert eventually(lambda: serves(server, GOOD), 90), status(server)["release"]
        assert eventually(lambda: alias(settings) == GOOD, 60)
        assert eventually(lambda: shipped(settings), 30)
        order(server, "follow")
        clients.wait_for(200)
        assert serves(server, GOOD)
    assert set(clients.failures) <= {
        "500 {'error': 'The server failed on this request; the reason is in its log.'}"
    }
    assert bool(clients.failures) == (version == FAILING)
    assert trail(settings) == [("set", version, "hand"), ("rolled back", GOOD, "canary")]
    entry = json.loads(mlops(settings, "champion", "trail", "--json"))[-1]
    assert re.search(why, " ".join(entry["reasons"])), entry["reasons"]
    assert entry["figures"][version]["requests"] > 0
    assert "decided  by the canary (rolled back)" in mlops(settings, "champion")


def label_all(settings: Settings) -> None:
    """Nothing of what was asked for has happened."""
    from runtime_lib.monitoring.labels import add_labels

    table = pd.DataFrame({"id": read_predictions(settings.predictions)["id"], "label": 0})
    table.to_parquet(settings.root / "labels.parquet")
    add_labels(settings, settings.root / "labels.parquet")


def test_a_champion_that_cannot_be_served_is_not_and_the_status_says_why(settings: Settings) -> None:
    from runtime_lib.registry.versions import DIGEST_TAG
    from runtime_lib.tracking.store import connect

    with serving(settings) as server, Clients(server, rate=50) as clients:
        for version, why in (
            (NARROW, "Version 3 does not take 'wind', which callers of version 1 send."),
            (NUMBERS, "Version 4 answers a regression task, version 1 a binary one."),
        ):
            choose(settings, version, reason="by mistake")
            assert eventually(lambda why=why: why in problems(server), 60), problems(server)
            assert f"Version {version} became champion, and is not served" in problems(server)
            assert why.replace("'", "&#39;") in server.ask("/?reload=0")[1]
        clients.wait_for(150)  # meanwhile it has looked again
        assert f"Version {NUMBERS} became champion, and is not served" in problems(server)
        connect(settings).delete_model_version_tag("flights", LYING, DIGEST_TAG)
        move_alias(settings, LYING)
        assert eventually(lambda: "Version 7 of 'flights' has no tag mlops.digest" in problems(server), 60)
        connect(settings).delete_registered_model_alias("flights", "champion")
        assert eventually(lambda: "The registry has no champion any more." in problems(server), 60)
        mlops(settings, "deploy", OTHER, "--ab", "50", "--effect", "0.1", "--spread", "1")
        assert f"A/B test version {OTHER} against {GOOD}: wait" in mlops(settings, "traffic")
        move_alias(settings, OTHER)
        assert eventually(lambda: serves(server, OTHER), 60)
        last = Journal(settings.releases).changes()[-1]
        assert last.reason == f"version {OTHER} became champion, which ended the A/B test under way"
        assert problems(server) == ""
        told = settings.root / "serve.log"
        assert eventually(lambda: f"Traffic: all to version {OTHER}" in told.read_text(), 10)
    assert not clients.failures
    assert set(clients.versions()) == {GOOD, OTHER}
