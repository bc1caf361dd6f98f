"""The whole rule over time: hardly an alarm while nothing changes, and each change of a size that matters.

The deep run makes the tables of docs/monitoring.md: 1,000 windows of each kind.
"""

import math

import numpy as np
import pytest
from scipy.stats import norm

from runtime_lib.monitoring.drift import drift
from tests.support.depth import examples
from tests.support.drifting import (
    MISSING,
    judged,
    names_of,
    profile_like,
    reference_of,
    shares_of_psi,
    shares_of_v,
    stream,
)

REFERENCE, WINDOWS = 50_000, 20


@pytest.mark.parametrize("rows", [500, 2_000])
@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_twenty_clean_columns_raise_an_alarm_in_less_than_one_window_of_a_hundred(phi, rows):
    alarms, windows = [], 0
    for seed in range(examples(1, 50)):
        found = stream(1_000 + seed, REFERENCE, rows, WINDOWS + 2, phi)
        reference = reference_of(found)
        profiles = [profile_like(reference, table) for table in found.windows()]
        for columns in judged(reference, profiles):
            windows += 1
            alarms += [(seed, c.name, c.reasons) for c in columns if c.drifted][:1]
    print(f"{phi=}, {rows} rows: {len(alarms)} of {windows} windows")
    assert len(alarms) <= windows / 100, alarms


def missing_more(rng, values):
    rate = _rate(MISSING, 0.2)
    values[rng.random(values.size) < (rate - MISSING) / (1 - MISSING)] = np.nan
    return values


def new_names(rng, values):
    values[rng.random(values.size) < _rate(0, 0.2)] = "new"
    return values


def _rate(before, h):
    return math.sin(math.asin(math.sqrt(before)) + h / 2) ** 2


def other_names(shares):
    return lambda rng, values: names_of(shares, rng.random(values.size))


# `n0` is normal with a standard deviation of 1, `c0` has four names.
CHANGES = {
    "wasserstein": ("n0", lambda rng, values: values + 0.1),
    "ks": ("n0", lambda rng, values: values + 2 * norm.ppf(0.55)),
    "psi": ("c0", other_names(shares_of_psi(0.2))),
    "cramers_v": ("c0", other_names(shares_of_v(0.1))),
    "nulls": ("n0", missing_more),
    "unseen": ("c0", new_names),
}


@pytest.fixture(scope="module")
def reference():
    return reference_of(stream(1, 100_000, 5_000, 0))


@pytest.mark.parametrize("effect", CHANGES)
def test_a_change_that_just_matters_is_found_within_three_windows(reference, effect):
    name, change = CHANGES[effect]
    found, times = 0, examples(10, 100)
    for seed in range(times):
        live, rng = stream(10_000 + seed, 0, 5_000, 3), np.random.default_rng(seed)
        live.table[name] = change(rng, live.table[name])
        windows = [profile_like(reference, table) for table in live.windows()]
        [column] = [c for c in drift(reference, windows) if c.name == name]
        if effect in ("nulls", "unseen"):
            found += getattr(column, effect).flagged
        else:
            found += next(each.counts for each in column.evidence if each.name == effect)
    print(f"{effect}: {found} of {times}")
    assert found >= min(0.95 * times, times - 1)
