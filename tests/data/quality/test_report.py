"""What is reported: the words, what is broken, and what alerts are told of it."""

from __future__ import annotations

import json

import pytest

from runtime_lib.data.quality import Freshness, Range, Volume
from runtime_lib.data.quality.count import Example, QualityCount, RuleCount
from runtime_lib.data.quality.report import assess, evidence
from runtime_lib.data.quality.stored import Found, read_found, write_found
from runtime_lib.errors import DataError

RULES = [Range("price", least=0), Range("age", least=0, max_bad=0.01), Volume(least=10)]


def month(price: int, age: int, late: int = 0, rows: int = 10_000) -> QualityCount:
    example = (Example("2013-01", 7, "ada@example.org"),)
    return QualityCount(
        rows,
        price,
        {
            "range price": RuleCount(rows, price, example if price else ()),
            "range age": RuleCount(rows, age, example if age else ()),
            "volume": RuleCount(1, late, (Example("2013-02", "", "2 rows, fewer than 10"),) if late else ()),
        },
    )


def test_the_words_follow_the_rates():
    report = assess(RULES, {"2013-01": month(100, 1), "2013-02": month(100, 1)}, "months")
    assert [each.word for each in report.judgements] == ["broken", "proven", "kept"]
    assert (report.rows, report.quarantined, report.parts) == (20_000, 200, ("2013-01", "2013-02"))
    [reason] = report.reasons
    assert reason == "range price: 200 of 20,000 rows are bad, 1 %, surely more than the accepted 0.1 %"
    assert report.judgements[0].interval == "1 % (0.887 % to 1.12 %)"


@pytest.mark.parametrize(("first", "second", "word"), [(1, 0, "kept"), (0, 1, "broken")])
def test_a_rule_of_months_is_broken_by_the_newest_one_alone(first, second, word):
    report = assess(RULES, {"2013-01": month(0, 0, first), "2013-02": month(0, 0, second)}, "months")
    assert report.judgements[2].word == word
    assert report.judgements[2].count.bad == 1
    assert report.reasons == (("volume: 2013-02: 2 rows, fewer than 10",) if second else ())


def test_the_evidence_has_all_broken_rules_and_no_values_of_rows():
    assert evidence(assess(RULES, {"2013-01": month(0, 0)}, "months"))["rules"] == []
    report = assess(RULES, {"2013-01": month(100, 900)}, "served")
    assert report.reasons[1].startswith("range age: 900 of 10,000 rows are bad, 9 %")
    told = json.loads(json.dumps(evidence(report)))
    bad = {rule["name"]: rule["bad"] for rule in told["rules"]}
    assert bad == {"range price": 100, "range age": 900}
    assert "ada@example.org" not in json.dumps([report.reasons, told])


def test_what_was_found_is_read_back_and_a_later_format_is_refused(tmp_path):
    assert read_found(tmp_path) is None
    rules = [*RULES, Freshness("at", days=1, action="stop")]
    write_found(Found(rules, {"2013-01": month(3, 1)}), tmp_path)
    assert read_found(tmp_path) == Found(rules, {"2013-01": month(3, 1)})
    text = (tmp_path / "quality.json").read_text()
    (tmp_path / "quality.json").write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(DataError, match=r"quality.json has format 2; this library reads 1"):
        read_found(tmp_path)
    (tmp_path / "quality.json").write_text(text[:40])
    with pytest.raises(DataError, match=r"quality.json is damaged"):
        read_found(tmp_path)
