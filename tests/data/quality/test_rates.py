"""What is said of a rate holds as often as it promises, and with as few rows as the bound allows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from runtime_lib.data.quality.rates import binomial_bounds, rate
from runtime_lib.errors import DataError

TARGET = 0.001
STREAMS = 1_000


@pytest.mark.parametrize(("bad", "rows"), [(0, 1), (0, 5_000), (3, 40), (39, 40), (40, 40), (20, 9_000)])
def test_the_bounds_are_those_of_clopper_and_pearson(bad, rows):
    # Both one-sided bounds at 95 % are the two-sided interval at 90 %, which scipy has too.
    interval = binomtest(bad, rows).proportion_ci(0.90, method="exact")
    lower, upper = binomial_bounds(bad, rows)
    assert lower == pytest.approx(interval.low, abs=1e-12) or (bad == 0 and lower == 0)
    if 0 < bad < rows:
        assert upper == pytest.approx(interval.high)


def test_without_rows_nothing_is_known_and_wrong_counts_are_refused():
    assert binomial_bounds(0, 0) == (0, 1)
    found = rate([], TARGET)
    assert (found.share, found.word) == (None, "not yet")
    for bad, rows in ((5, 4), (-1, 4)):
        with pytest.raises(DataError, match=f"{bad} of {rows} rows cannot be bad"):
            binomial_bounds(bad, rows)


@pytest.mark.parametrize(("bad", "needed"), [(0, 2_995), (1, 4_742), (2, 6_294), (5, 10_511)])
def test_so_many_rows_prove_less_than_one_in_a_thousand(bad, needed):
    least = next(
        rows for rows in range(needed - 40, needed + 40) if rate([(rows, bad)], TARGET).word == "proven"
    )
    assert least == needed
    assert rate([(least - 1, bad)], TARGET).word == "not yet"


def test_a_rate_is_broken_once_it_is_surely_above_the_target():
    assert rate([(100, 1)], TARGET).word == "not yet"
    assert rate([(10_000, 30)], TARGET).word == "broken"
    assert rate([(50, 1)], 0.0).word == "broken"
    assert rate([(10**9, 0)], 0.0).word == "not yet"


@pytest.mark.parametrize(("parts", "rows"), [(1, 5_000), (1, 100_000), (12, 1_000), (12, 28_000), (400, 60)])
def test_at_exactly_the_target_it_is_seldom_called_proven_or_broken(parts, rows):
    rng = np.random.default_rng(parts * rows)
    words = [
        rate([(rows, int(bad)) for bad in rng.binomial(rows, TARGET, parts)], TARGET).word
        for _ in range(STREAMS)
    ]
    assert words.count("proven") <= 0.05 * STREAMS
    assert words.count("broken") <= 0.05 * STREAMS
    assert words.count("not yet") >= 0.9 * STREAMS


@pytest.mark.parametrize("rows", [500, 3_000, 20_000, 336_776])
def test_at_exactly_the_target_the_chances_of_both_words_are_at_most_a_twentieth(rows):
    """Not simulated: the probability of each number of bad rows, added up by the word it leads to."""
    chances = binom.pmf(np.arange(rows + 1), rows, TARGET)
    chance = {"proven": 0.0, "broken": 0.0, "not yet": 0.0}
    for bad in np.flatnonzero(chances > 1e-12):
        chance[rate([(rows, int(bad))], TARGET).word] += chances[bad]
    assert max(chance["proven"], chance["broken"]) <= 0.05
    assert sum(chance.values()) == pytest.approx(1)


def test_bad_rows_that_come_in_clusters_prove_nothing():
    """Twelve months whose rates differ, in the mean exactly the target: the binomial bound is fooled."""
    rng = np.random.default_rng(7)
    spread = 1 / 1e-3 - 1  # intra-month correlation 1e-3
    fooled, words = 0, []
    for _ in range(STREAMS):
        rates = rng.beta(TARGET * spread, (1 - TARGET) * spread, 12)
        bad = rng.binomial(28_000, rates)
        fooled += binomial_bounds(int(bad.sum()), 12 * 28_000)[1] < TARGET
        words.append(rate([(28_000, int(each)) for each in bad], TARGET).word)
    assert fooled > 0.3 * STREAMS
    assert words.count("proven") <= 0.05 * STREAMS
    assert words.count("broken") <= 0.05 * STREAMS


def test_what_is_clearly_better_or_worse_is_said_so():
    rng = np.random.default_rng(3)
    for parts, rows in ((1, 30_000), (12, 28_000), (400, 200)):
        better = [(rows, int(bad)) for bad in rng.binomial(rows, TARGET / 10, parts)]
        worse = [(rows, int(bad)) for bad in rng.binomial(rows, TARGET * 3, parts)]
        assert (rate(better, TARGET).word, rate(worse, TARGET).word) == ("proven", "broken")


def test_small_days_are_brought_together():
    """A day of 50 rows with one bad row is no sign of clusters."""
    days = [(50, int(day % 160 == 0)) for day in range(365)]
    found = rate(days, TARGET)
    assert (found.rows, found.bad, found.word) == (18_250, 3, "proven")
    assert found.next_upper is not None
    assert found.next_upper < TARGET
