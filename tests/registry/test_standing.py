"""What the trail means, without a registry."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runtime_lib.errors import DataError, MlopsError, SettingsError
from runtime_lib.registry import trail
from runtime_lib.registry.standing import Registered, previous, set_aside
from runtime_lib.registry.trail import Entry, checked_reason

START = datetime(2026, 1, 1, tzinfo=UTC)


def model(champion, *steps):
    """A trail from `(action, version, before, after)`, a minute each."""
    entries = [
        Entry(*step, reasons=("why",), who="ann", time=START + timedelta(minutes=n), done=True, key=str(n))
        for n, step in enumerate(steps)
    ]
    return Registered("demo", champion, tuple(entries))


FIRST = ("promoted", "5", None, "5")
SECOND = ("promoted", "7", "5", "7")
BACK = ("rolled back", "5", "7", "5")


def test_what_a_rollback_left_stays_aside():
    rolled = model("5", FIRST, SECOND, BACK)
    assert "ann went back to version 5 on 2026-01-01 00:02 UTC: why" in set_aside(rolled, "7", "promoted")
    assert set_aside(rolled, "5", "promoted") is None
    assert set_aside(rolled, "8", "") is None, "a new version is judged"


def test_what_was_refused_before_a_choice_by_hand_is_not_judged_again_and_after_it_is():
    refused = ("refused", "6", "5", "5")
    assert set_aside(model("5", FIRST, refused), "6", "refused") is None
    assert set_aside(model("7", FIRST, refused, ("set", "7", "5", "7")), "6", "refused")
    assert set_aside(model("5", FIRST, SECOND, BACK, refused), "6", "refused") is None


def test_after_clearing_only_what_was_champion_stays_aside():
    cleared = model(None, FIRST, ("refused", "6", "5", "5"), ("cleared", "5", "5", None))
    assert set_aside(cleared, "6", "refused") is None
    assert set_aside(cleared, "5", "promoted")


def test_a_version_whose_place_another_took_does_not_come_back_by_itself():
    assert "the gate promoted version 7" in set_aside(model("7", FIRST, SECOND), "5", "promoted")


@pytest.mark.parametrize("steps", [(), (FIRST, SECOND)])
def test_an_alias_moved_in_mlflow_is_somebodys_decision(steps):
    assert set_aside(model("5", *steps), "7", "promoted")


def test_a_promotion_that_was_killed_is_judged_again():
    killed = model("5", FIRST, SECOND)
    killed = replace(killed, trail=(killed.trail[0], replace(killed.trail[1], done=False)))
    assert not killed.moved_elsewhere
    assert set_aside(killed, "7", "promoted") is None
    assert set_aside(replace(killed, champion="7"), "7", "promoted") is None
    assert replace(killed, champion="7").origin.version == "7", "only the note of it is missing"


@pytest.mark.parametrize(
    ("steps", "champion", "before"),
    [
        ((FIRST,), "5", None),
        ((FIRST, SECOND), "7", "5"),
        ((FIRST, SECOND, BACK), "5", None),
        ((FIRST, SECOND, ("promoted", "8", "7", "8"), ("rolled back", "7", "8", "7")), "7", "5"),
        ((FIRST, SECOND, ("cleared", "7", "7", None)), None, "7"),
        ((FIRST, ("cleared", "5", "5", None), ("promoted", "8", None, "8")), "8", None),
        ((FIRST, SECOND, ("set", "5", "7", "5")), "5", "7"),
        ((FIRST, ("refused", "6", "5", "5"), SECOND), "7", "5"),
        ((FIRST, SECOND), "3", "7"),  # moved in MLflow
    ],
)
def test_the_champion_before(steps, champion, before):
    assert previous(model(champion, *steps)) == before


def test_before_the_trail_the_gates_tags_say_who_was_champion():
    assert previous(model("7"), promoted=["3", "10", "7", "5"]) == "5"
    assert previous(model("5", ("rolled back", "5", "7", "5")), promoted=["3", "7", "5"]) == "3"


class Tags(dict):
    def set_registered_model_tag(self, name, key, value):
        assert len(value) <= 5000, "what PostgreSQL takes"
        self[key] = value


def test_an_entry_of_any_length_fits_and_is_read_back():
    tags = Tags()
    long = Entry(
        "refused", "1", None, None, ("a b " * 3000, "short", "c " * 4000), {"candidate": {"auc": 0.5}}
    )
    trail.write(tags, "demo", trail.decided(long, ()))
    [stored] = trail.read(tags)
    assert stored.reasons[1] == "short"
    assert stored.figures == long.figures
    wide = replace(long, figures={f"metric {n}": 0.123456789 for n in range(500)})
    trail.write(tags, "demo", trail.decided(wide, [stored]))
    assert trail.read(tags)[1].figures == {}


def test_a_password_in_a_reason_is_not_stored():
    tags = Tags()
    entry = Entry("refused", "1", None, None, ("no answer from postgresql://me:secret@host/db",))
    trail.write(tags, "demo", trail.decided(entry, ()))
    assert "secret" not in str(tags)
    assert "secret" not in checked_reason("see https://me:secret@wiki/page")


def test_an_entry_is_later_than_the_trail_even_if_its_clock_is_behind():
    ahead = replace(model("5", FIRST).trail[0], time=datetime.now(UTC) + timedelta(hours=1))
    assert trail.decided(Entry(*SECOND, reasons=("why",)), [ahead]).time > ahead.time


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 1001])
def test_a_reason_is_asked_for(reason):
    with pytest.raises(SettingsError, match="--reason"):
        checked_reason(reason)


def test_half_a_character_in_a_reason_can_be_stored():
    assert checked_reason("too\nslow \udcff").encode() == b"too slow ?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged"),
        ('{"format": 1}', "damaged"),
        ("[]", "damaged"),
        ('{"format": 2}', "Update runtime-lib"),
    ],
)
def test_a_damaged_or_later_entry_is_named(text, said):
    with pytest.raises(MlopsError, match=said) as error:
        trail.read({"mlops.trail.x": text, "owner": "me"})
    assert isinstance(error.value, DataError)
    assert "mlops.trail.x" in str(error.value)
