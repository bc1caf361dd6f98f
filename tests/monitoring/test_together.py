"""Two tables told apart by a classifier: what no column shows by itself, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError
from runtime_lib.monitoring.drift import sample as sampled
from runtime_lib.monitoring.drift.files import compare_files
from runtime_lib.monitoring.drift.sample import draw
from runtime_lib.monitoring.drift.together import tell_apart
from runtime_lib.settings import Monitoring
from tests.support.depth import examples


def plain(count, seed, correlation=0.0):
    """Two numbers of one distribution each, whatever their correlation; a heavy tail, a week day, a place."""
    random = np.random.default_rng(seed)
    first = random.normal(size=count)
    second = correlation * first + np.sqrt(1 - correlation**2) * random.normal(size=count)
    table = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "cost": random.lognormal(size=count),
            "day": random.integers(0, 7, count),
            "place": random.choice(["A", "B", "C", None], count),
        }
    )
    table.loc[random.random(count) < 0.05, "cost"] = np.nan
    return table


def save(folder, before, now, suffix="parquet"):
    paths = []
    for name, table in (("before", before), ("now", now)):
        paths.append(folder / f"{name}.{suffix}")
        table.to_parquet(paths[-1]) if suffix == "parquet" else table.to_csv(paths[-1], index=False)
    return paths


def told(folder, before, now, suffix="parquet", **rules):
    reference, current = save(folder, before, now, suffix)
    alone = compare_files(reference, current, Monitoring(**rules))
    return alone, tell_apart(reference, current, alone.kinds, Monitoring(**rules))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_changed_correlation_is_found_that_no_column_shows(tmp_path, suffix):
    alone, found = told(tmp_path, plain(5_000, 1), plain(5_000, 2, correlation=0.8), suffix)
    assert [column.name for column in alone.columns if column.drifted] == []
    assert found.drifted
    assert found.lower > 0.6
    assert found.p < 1e-6
    assert {each.name for each in found.tellers} == {"first", "second"}
    assert found.tellers[0].loss > 0.1


def test_categories_that_no_longer_go_together_are_found(tmp_path):
    random = np.random.default_rng(3)
    place = random.choice(["A", "B"], 4_000)
    before = pd.DataFrame({"place": place, "shop": np.where(place == "A", "x", "y")})
    now = before.assign(shop=random.permutation(before["shop"]))
    alone, found = told(tmp_path, before, now)
    assert not alone.drifted
    assert found.drifted
    assert {each.name for each in found.tellers} == {"place", "shop"}


def test_missing_values_that_come_together_are_found(tmp_path):
    random = np.random.default_rng(4)
    before, now = plain(6_000, 5)[["first", "second"]], plain(6_000, 6)[["first", "second"]]
    for name in before:  # a third each, by itself before, of the same rows now
        before.loc[random.random(len(before)) < 0.3, name] = np.nan
    now.loc[random.random(len(now)) < 0.3, ["first", "second"]] = np.nan
    alone, found = told(tmp_path, before, now)
    assert not alone.drifted
    assert found.drifted


@pytest.mark.parametrize("rows", [500, 1_500])
def test_clean_tables_are_not_told_apart(tmp_path, rows):
    """Of 50 pairs at most 3; here fewer in the quick run."""
    pairs = examples(10, 50)
    flagged, sure = 0, 0
    for seed in range(pairs):
        _, found = told(tmp_path, plain(rows, 10_000 + seed), plain(rows, 20_000 + seed))
        flagged += found.drifted
        sure += found.p < 0.05
    assert flagged <= examples(1, 3), flagged
    assert sure <= 0.15 * pairs, sure  # p says how often


def test_a_small_difference_is_sure_but_does_not_matter(tmp_path):
    before, now = plain(20_000, 7), plain(20_000, 8)
    now["first"] += 0.15
    _, found = told(tmp_path, before, now)
    assert found.p < 0.001
    assert 0.5 < found.lower < found.auc < 0.6
    assert not found.drifted
    assert told(tmp_path, before, now, together_threshold=0.51)[1].drifted


def test_what_tells_any_two_tables_apart_is_left_out_and_named(tmp_path):
    def table(count, seed):
        random = np.random.default_rng(seed)
        start = pd.Timestamp("2026-01-01") + pd.Timedelta(days=30 * seed)
        when = start + pd.to_timedelta(np.arange(count), unit="min")
        return plain(count, seed).assign(
            order=[f"order {seed}-{i}" for i in range(count)],
            number=random.permutation(count) + seed * 1_000_000,
            counter=np.arange(count) / 7 + seed * count,
            when=random.permutation(when),
            date=[str(each)[:10] for each in random.permutation(when)],
            unit="EUR",
            nothing=np.nan,
        )

    left_out = {
        "order": "another value in each row, or nearly",
        "number": "another value in each row, or nearly",
        "counter": "rises or falls from row to row",
        "when": "is a moment in time",
        "date": "is a moment in time",
        "unit": "holds one value",
        "nothing": "holds one value",
    }
    for suffix in ("parquet", "csv"):
        _, found = told(tmp_path, table(2_000, 1), table(2_000, 2), suffix)
        assert dict(found.left_out) == left_out, suffix
        assert set(found.columns) == {"first", "second", "cost", "day", "place"}
        assert not found.drifted


def test_a_value_that_changed_for_all_rows_is_no_constant(tmp_path):
    before, now = plain(1_000, 1).assign(unit="EUR"), plain(1_000, 2).assign(unit="USD")
    _, found = told(tmp_path, before, now)
    assert found.auc > 0.99
    assert found.tellers[0].name == "unit"


def test_rows_are_taken_from_all_parts_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "MOST_ROWS", 1_000)
    count = 70_000
    before = pd.DataFrame({"x": np.random.default_rng(1).permutation(count).astype(float) / 2, "place": "A"})
    before.loc[count // 2 :, "place"] = "B"
    reference, current = save(tmp_path, before, before[::-1])
    found = draw(reference, current, {"x": "number", "place": "category"})
    assert found.values.shape == (2_000, 2)
    place = found.values[found.label == 0, 1]
    assert place.mean() == pytest.approx(0.5, abs=0.01)
    assert (np.diff(place) != 0).sum() == 1  # in the order of the file
    assert np.ptp(found.values[:, 0]) > 0.95 * count / 2


def test_many_categories_infinities_and_uneven_tables_are_no_error(tmp_path):
    random = np.random.default_rng(2)

    def table(count):
        made = pd.DataFrame(
            {"code": random.integers(0, 900, count).astype(str), "x": random.normal(size=count)}
        )
        made.loc[:4, "x"] = [np.inf, -np.inf, 1e308, -1e308, np.nan]
        return made

    _, found = told(tmp_path, table(20_000), table(600))
    assert found.rows == (20_000, 600)
    assert set(found.columns) == {"code", "x"}
    assert not found.drifted
    assert 0.4 < found.auc < 0.6


def test_it_says_the_same_each_time(tmp_path):
    first, second = (told(tmp_path, plain(800, 1), plain(800, 2, 0.7))[1] for _ in range(2))
    assert first.to_dict() == second.to_dict()


def test_too_few_rows_or_columns_are_not_judged(tmp_path):
    _, few = told(tmp_path, plain(400, 1), plain(2_000, 2, 0.9))
    assert (few.early, few.auc, few.drifted) == (True, None, False)
    bare = pd.DataFrame({"id": np.arange(1_000)})
    _, none = told(tmp_path, bare, bare + 5_000)
    assert (none.early, none.auc, none.drifted, dict(none.left_out)) == (
        False, None, False, {"id": "rises or falls from row to row"},
    )  # fmt: skip


def test_an_unreadable_file_is_named(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read as parquet"):
        tell_apart(path, path, {"x": "number"})
    with pytest.raises(DataError, match="There is no file"):
        tell_apart(Path("gone.csv"), path, {"x": "number"})
