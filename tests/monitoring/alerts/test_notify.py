"""Incidents: told when they are new, again when they last, and when they are over; each source its own."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from runtime_lib.errors import DataError
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.notify import announce, notify
from runtime_lib.settings import Settings
from tests.support.alerts import NOW, drift, webhook
from tests.support.receivers import receiving

HOUR = timedelta(hours=1)


class Watch:
    """Runs of one source on a project with one channel, and what arrived of each."""

    def __init__(self, settings: Settings, receiver) -> None:
        self.settings, self.receiver, self.seen = settings, receiver, 0

    def run(self, *findings, at=0.0, source="monitor", **options):
        """(status, kind, members) of each message of a run, hours after the first."""
        notify(self.settings, findings, source=source, now=NOW + at * HOUR, **options)
        return self.news()

    def news(self):
        bodies = self.receiver.bodies[self.seen :]
        self.seen += len(bodies)
        return [(b["data"]["status"], b["data"]["kind"], tuple(b["data"]["members"])) for b in bodies]


@pytest.fixture
def watch(project):
    def make(**keys):
        text, environ = webhook("ops", receiver.url, **keys)
        return Watch(project(text, **environ), receiver)

    with receiving() as receiver:
        yield make


SPEED = ("firing", "drift", ("speed",))


def test_an_alert_is_sent_once_repeated_after_its_hours_and_resolved(watch):
    ops = watch(repeat=24)
    assert ops.run(drift("speed")) == [SPEED]
    assert ops.run(drift("speed"), at=1) == []
    assert ops.run(drift("speed"), at=23) == []
    assert ops.run(drift("speed"), at=23.8) == [SPEED]  # a schedule may be a little early
    assert ops.run(drift("speed"), at=47) == []
    assert ops.run(at=48) == [("resolved", "drift", ("speed",))]
    assert ops.run(at=49) == []
    assert ops.run(drift("speed"), at=50) == [SPEED]


def test_a_repeat_of_no_hours_never_comes(watch):
    ops = watch(repeat=0)
    assert ops.run(drift("speed")) == [SPEED]
    assert ops.run(drift("speed"), at=1_000) == []


def test_ids_tell_what_is_new_from_what_comes_again(watch):
    ops = watch()
    for at, findings in ((0, [drift("speed")]), (25, [drift("speed")]), (26, []), (27, [drift("speed")])):
        ops.run(*findings, at=at)
    bodies = ops.receiver.bodies
    ids = [body["id"] for body in bodies]
    incidents = [each.partition("-")[0] for each in ids]
    assert incidents[0] == incidents[1] == incidents[2] != incidents[3]
    assert [each.partition("-")[2] for each in ids] == ["firing-0", "firing-1", "resolved-2", "firing-0"]
    assert {body["data"]["key"] for body in bodies} == {"shop/local/shop/monitor/drift"}
    assert bodies[1]["data"]["since"] == bodies[2]["data"]["since"] == NOW.isoformat()
    assert bodies[2]["data"]["time"] == (NOW + 26 * HOUR).isoformat()


def test_columns_are_one_alert_and_each_is_told_when_it_is_new(watch):
    ops = watch()
    twenty = [f"c{n}" for n in range(20)]
    assert ops.run(drift(*twenty)) == [("firing", "drift", tuple(twenty))]
    assert ops.run(drift("c1"), at=1) == []
    assert ops.run(drift("c1", "new"), at=2) == [("firing", "drift", ("c1", "new"))]
    assert ops.run(drift("c1"), at=3) == []
    assert ops.run(drift("c1", "new"), at=4) == []  # it was named before, in this incident


def test_kinds_and_groups_are_alerts_of_their_own(watch):
    ops = watch()
    rules = [drift("a", kind="quality", group=group) for group in ("schema", "volume")]
    assert len(ops.run(*rules, source="quality")) == 2
    assert ops.run(rules[0], source="quality", at=1) == [("resolved", "quality", ("a",))]
    with pytest.raises(ValueError, match="Two findings of one kind and group"):
        ops.run(rules[0], rules[0], source="quality", at=2)


def test_a_source_a_model_and_an_environment_resolve_only_their_own(watch):
    ops = watch()
    ops.run(drift("speed"))
    assert ops.run(source="quality", at=1) == []
    assert ops.run(model="other", at=1) == []
    prod = Watch(ops.settings, ops.receiver)
    prod.seen = ops.seen
    prod.settings = msgspec.structs.replace(ops.settings, environment="prod")
    assert prod.run(at=1) == []
    assert prod.run(at=100) == []  # nor does it repeat them: they have channels of their own
    assert ops.run(at=2) == [("resolved", "drift", ("speed",))]


def test_what_could_not_be_judged_is_not_over(watch):
    ops = watch()
    ops.run(drift("speed"), Finding("performance", "shop: worse", "0.61 after 0.72"))
    assert ops.run(unjudged={"drift"}, at=1) == [("resolved", "performance", ())]
    assert ops.run(at=2) == [("resolved", "drift", ("speed",))]


def test_what_was_found_of_another_version_is_over_even_if_the_new_one_cannot_be_judged_yet(watch):
    ops = watch()
    worse = Finding("performance", "shop: worse", "0.61 after 0.72")
    ops.run(worse, version="7")
    assert ops.run(version="7", unjudged={"performance"}, at=1) == []
    assert ops.run(version="8", unjudged={"performance"}, at=2) == [("resolved", "performance", ())]


def test_names_with_slashes_make_keys_of_their_own(watch):
    ops = watch()
    assert len(ops.run(drift("a", group="km/h"), drift("a", group="km"), drift("a", group="km/"))) == 3
    assert len({body["data"]["key"] for body in ops.receiver.bodies}) == 3


def test_severity_decides_where_an_alert_goes_and_a_graver_one_is_told_at_once(watch):
    ops = watch(severity='"critical"')
    assert ops.run(drift("speed")) == []
    assert ops.run(drift("speed", severity="critical"), at=1) == [SPEED]
    assert ops.run(drift("speed"), at=30) == []
    assert ops.run(at=31) == [("resolved", "drift", ("speed",))]
    assert ops.run(drift("speed"), at=40) == []
    assert ops.run(at=41) == []  # nobody was told
    assert ops.run(Finding("performance", "shop: worse", ""), at=42) == [("firing", "performance", ())]


def test_a_warning_that_becomes_critical_is_told_again(watch):
    ops = watch()
    ops.run(drift("speed"))
    assert ops.run(drift("speed", severity="critical"), at=1) == [SPEED]
    assert ops.run(drift("speed", severity="critical"), at=2) == []


def test_an_event_is_told_once_and_resolves_nothing(watch):
    ops = watch(severity='"info"')
    ops.run(drift("speed"))
    event = Finding("retraining", "shop: retraining has begun", "performance has dropped")
    for at in (1, 2):
        announce(ops.settings, event, source="loop", now=NOW + at * HOUR)
    assert ops.news() == [("event", "retraining", ())] * 2
    assert ops.receiver.bodies[-1]["data"]["severity"] == "info"
    assert ops.receiver.bodies[-1]["id"] != ops.receiver.bodies[-2]["id"]
    assert ops.run(drift("speed"), at=3) == []


def test_an_event_of_little_weight_goes_nowhere_by_default(watch):
    ops = watch()
    assert announce(ops.settings, Finding("released", "shop: version 8", ""), source="loop") == ()
    assert ops.news() == []


def test_evidence_goes_out_as_json_whatever_it_holds(watch):
    import numpy as np

    ops = watch()
    odd = {"nan": float("nan"), "n": np.int64(3), "x": np.float32(0.5), "set": {1}, "path": ops.settings.root}
    ops.run(drift("speed", evidence=odd, title="two\nlines"))
    [body] = ops.receiver.bodies
    assert body["data"]["evidence"] == {
        "nan": None,
        "n": 3,
        "x": 0.5,
        "set": [1],
        "path": str(ops.settings.root),
    }
    assert body["data"]["title"] == "two lines"


def test_a_damaged_state_is_named_with_what_to_do(watch):
    ops = watch()
    ops.run(drift("speed"))
    path = ops.settings.alerts / "state.db"
    for left in path.parent.glob("state.db*"):
        left.unlink()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(
        DataError, match=r"state\.db is damaged .*Remove it: what still fires will be told again"
    ):
        ops.run(drift("speed"), at=1)
    path.unlink()
    assert ops.run(drift("speed"), at=2) == [SPEED]


@pytest.mark.parametrize("name", ["", "lock", "state.db"])
def test_a_state_that_cannot_be_written_is_named(watch, name):
    ops = watch()
    path = ops.settings.alerts / name
    path.parent.mkdir(parents=True)
    if name:
        path.mkdir()
    else:
        path.write_text("a file in the folder's place")
    with pytest.raises(DataError, match=r"var/monitoring/alerts.* cannot be written"):
        ops.run(drift("speed"))


def test_a_state_of_a_later_format_is_refused(watch):
    import sqlite3

    ops = watch()
    ops.run(drift("speed"))
    with sqlite3.connect(ops.settings.alerts / "state.db") as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(DataError, match=r"has format 2; this library reads 1\. Update runtime-lib"):
        ops.run(at=1)


def test_what_is_stored_is_for_its_owner_alone(watch):
    ops = watch()
    ops.receiver.answers[:] = [404]
    for at in (0, 1):  # appended, then written anew
        ops.run(drift("speed"), at=at)
    folder = ops.settings.alerts
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes["state.db"] == modes["dead.jsonl"] == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    [line] = (folder / "dead.jsonl").read_text().splitlines()
    assert json.loads(line)["format"] == 1
