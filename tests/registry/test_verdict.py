"""What was decided holds in another registry, and until the rows that it was decided on are others."""

import dataclasses
import json

import msgspec
import pandas as pd

from runtime_lib.registry.champion import champion, no_champion, promote
from runtime_lib.registry.choose import choose, clear, rollback
from runtime_lib.registry.register import register
from runtime_lib.registry.show import decisions, rows
from tests.registry.conftest import train_candidate


def test_another_registry_is_given_the_model_and_the_first_one_keeps_it(two, tmp_path):
    other = msgspec.structs.replace(
        two, tracking=msgspec.structs.replace(two.tracking, uri=f"sqlite:///{tmp_path}/other.db")
    )
    report = (two.reports / "registered.json").read_bytes()
    assert f"{tmp_path}/other.db: it holds no version. `mlops run` registers" in no_champion(other)
    decision = promote(other, again=False)
    assert decision.promoted, decision.reasons
    assert f"registered as version 1 of 'demo' in sqlite:///{tmp_path}/other.db" in decision.reasons[0]
    assert champion(other).version == "1"
    assert promote(other, again=False).judged is False
    assert (two.reports / "registered.json").read_bytes() == report, "an output of DVC's"
    back = promote(two, again=False)
    assert (back.version, back.promoted, back.judged) == ("2", True, False)
    assert champion(two).version == "2"


def test_what_was_decided_goes_where_the_model_goes(two, tmp_path):
    """Git takes reports/promotion.json along: an empty registry is no way round the gate or a person."""
    strict = msgspec.structs.replace(
        two, registry=msgspec.structs.replace(two.registry, min_gain_over_baseline=0.9)
    )

    def elsewhere(name):
        uri = f"sqlite:///{tmp_path}/{name}.db"
        return msgspec.structs.replace(two, tracking=msgspec.structs.replace(two.tracking, uri=uri))

    train_candidate(two, seed=5)
    register(two)
    assert not promote(strict).promoted
    kept = json.loads(two.report("promotion").read_text())
    assert kept["digest"].startswith("sha256:"), "bare digits are a secret to a hook that looks for one"
    second = elsewhere("second")
    for _ in range(2):
        told = promote(second, again=False)
        assert (told.promoted, told.judged, told.set_aside) == (False, False, False)
        assert champion(second) is None
    assert told.reasons[0] == "refused before, in another registry (promotion.json in reports/)"
    assert "`mlops promote` judges it here" in told.reasons[-1]
    assert promote(second).promoted, "it is asked for"

    assert promote(two).promoted
    before = two.report("promotion").read_bytes()
    rollback(two, reason="wrong in Spain")
    third = elsewhere("third")
    told = promote(third, again=False)
    assert (told.promoted, told.set_aside) == (False, True)
    assert any("wrong in Spain" in reason for reason in told.reasons)
    two.report("promotion").write_bytes(before)  # as a kill right after the rollback leaves it
    assert promote(two, again=False).set_aside
    assert json.loads(two.report("promotion").read_text())["set_aside"]
    train_candidate(two, seed=6)
    register(two)
    assert promote(third, again=False).promoted, "a new model is judged"


def test_other_held_out_rows_are_a_reason_to_judge_again(two):
    strict = msgspec.structs.replace(
        two, registry=msgspec.structs.replace(two.registry, min_gain_over_baseline=0.9)
    )
    train_candidate(two, seed=7)
    register(two)
    assert not promote(strict).promoted
    assert promote(strict, again=False).judged is False
    path = two.split_part("test")
    before = path.read_bytes()
    try:
        rows = pd.read_parquet(path)
        rows.loc[0, "label"] = 1 - rows.loc[0, "label"]  # an outcome that came late
        rows.to_parquet(path, index=False)
        decision = promote(strict, again=False)
        assert (decision.judged, decision.promoted) == (True, False)
        assert promote(strict, again=False).judged is False
    finally:
        path.write_bytes(before)


def test_what_a_refusal_says_is_what_holds(two):
    """A version was refused next to 2; once another is champion, the earlier answer says so."""
    strict = msgspec.structs.replace(
        two, registry=msgspec.structs.replace(two.registry, min_gain_over_baseline=0.9)
    )
    train_candidate(two, seed=4)
    version = register(two)["version"]
    assert not promote(strict).promoted
    told = promote(two, again=False)
    assert (told.promoted, told.judged, told.set_aside) == (False, False, False)
    assert "refused" in told.reasons[0]
    assert promote(strict).reasons == promote(strict).reasons
    assert [e.action for e in decisions(two)].count("refused") == 1, "the same refusal is written once"
    choose(two, "1", reason="why")
    assert promote(two, again=False).set_aside
    assert rows(two)[0].decision == "refused", "the list says what the gate said"
    clear(two, reason="why")
    assert "`mlops promote` judges again" in promote(two, again=False).reasons[-1]
    assert json.loads(json.dumps(dataclasses.asdict(told)))["version"] == version
    assert promote(two).promoted
