"""Figures of one version: sums over workers, differences since a snapshot, quantiles within their bound."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_lib.errors import DataError
from runtime_lib.serving.releases.figures import BASE, Figures, Latencies, Moments

events = st.lists(
    st.tuples(st.booleans(), st.floats(1e-5, 900), st.floats(-1e6, 1e6), st.integers(1, 50)), max_size=40
)


def figures(events):
    made = Figures()
    for failed, seconds, loss, rows in events:
        if failed:
            made.failed()
        else:
            made.answered(seconds, rows)
            made.losses.add(loss)
    return made


def same(one, other):
    a, b = one.to_dict(), other.to_dict()
    (count, mean, squares), (other_count, other_mean, other_squares) = a.pop("losses"), b.pop("losses")
    close = {"rel_tol": 1e-6, "abs_tol": 1e-3}
    return (
        a == b
        and count == other_count
        and math.isclose(mean, other_mean, **close)
        and math.isclose(squares, other_squares, **close)
    )


@given(events, events)
def test_two_workers_add_up_and_a_snapshot_subtracts(one, other):
    together = figures(one) + figures(other)
    assert same(together, figures(one + other))
    assert same(together - figures(one), figures(other))
    assert Figures.from_dict(json.loads(json.dumps(together.to_dict()))) == together


def test_a_sum_is_independent_of_what_it_was_made_of():
    worker = figures([(False, 0.1, 1.0, 1)])
    total = Figures() + worker
    worker.answered(0.2)
    assert total.requests == total.latencies.count == 1


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_as_near_as_is_said(share):
    seconds = np.random.default_rng(1).lognormal(-4, 1.5, 5_000)
    held = Latencies()
    for value in seconds:
        held.add(value)
    exact = np.quantile(seconds, share, method="inverted_cdf")
    assert 1 / math.sqrt(BASE) <= held.quantile(share) / exact <= math.sqrt(BASE) * (1 + 1e-9)


def test_the_ends_of_the_histogram_hold_what_is_beyond():
    held = Latencies()
    for seconds in (-1.0, 0.0, 1e-9, 1e9):
        held.add(seconds)
    assert len(held.buckets) == 2
    assert held.count == 4
    assert Latencies().quantile(0.5) is None


@given(st.integers(-100, 100))
def test_a_bucket_holds_its_upper_edge(bucket):
    held = Latencies()
    held.add(BASE ** (bucket + 1) * (1 - 1e-9))
    assert held.bucket_of(0.5) == bucket
    assert held.beyond(bucket) == 0
    assert held.beyond(bucket - 1) == 1


def test_hits_are_zeros_and_ones():
    held = Moments()
    for value in (1, 0, 0, 1, 0):
        held.add(value)
    hits = Moments.of_hits(2, 5)
    assert (hits.count, hits.mean) == (held.count, pytest.approx(held.mean))
    assert hits.squares == pytest.approx(held.squares)


def test_figures_that_fell_and_losses_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="Keep what a worker had counted"):
        Figures() - figures([(True, 1, 1, 1)])
    with pytest.raises(DataError, match="fewer latencies"):
        Figures(requests=9, rows=9) - figures([(False, 1, 1, 1)])
    with pytest.raises(DataError, match="nan cannot be averaged"):
        Moments().add(float("nan"))
    with pytest.raises(DataError, match="3 hits of 2 trials"):
        Moments.of_hits(3, 2)
