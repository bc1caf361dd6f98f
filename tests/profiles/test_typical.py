"""What is typical of a column: as much as its own blocks show, and nothing where they are too few."""

import json

import numpy as np
import pytest

from runtime_lib.errors import DataError
from runtime_lib.profiles.blocks import places_of_numbers
from runtime_lib.profiles.effects import number_effects
from runtime_lib.profiles.typical import Typical, vary
from tests.support.drifting import stream
from tests.support.samples import profile_of

ROWS = 1_000


def typical_of(values):
    profile = profile_of(values)
    places = places_of_numbers(profile, values)
    return vary(iter([("x", profile, profile.counts.size, places)]))["x"], profile


def normal(rows, phi, seed=0):
    return stream(seed, rows, 1, 0, phi).table["n3"]


@pytest.mark.parametrize("phi", [0.0, 0.9])
@pytest.mark.parametrize("effect", ["ks", "psi", "wasserstein"])
def test_about_one_new_block_of_a_hundred_is_above_what_is_typical_once(phi, effect):
    values = normal(50_000 + 400 * ROWS, phi)
    typical, profile = typical_of(values[:50_000])
    limit = typical.of(effect, ROWS, "once")
    blocks = values[50_000:].reshape(400, ROWS)
    above = [number_effects(profile, profile_of(block, profile))[effect].value > limit for block in blocks]
    assert np.mean(above) <= 0.05
    assert any(
        number_effects(profile, profile_of(block, profile))[effect].value > 0.5 * limit for block in blocks
    )


def test_rows_that_resemble_each_other_vary_more():
    loose, close = (typical_of(normal(50_000, phi))[0] for phi in (0.0, 0.9))
    for effect in ("ks", "psi", "wasserstein", "nulls"):
        assert close.of(effect, ROWS, "once") > 1.5 * loose.of(effect, ROWS, "once")
        assert close.of(effect, ROWS, "lasting") > 1.5 * loose.of(effect, ROWS, "lasting")


def test_larger_blocks_vary_less_and_sizes_between_are_between():
    typical, _ = typical_of(normal(50_000, 0.0))
    assert typical.rows == (500, 1_000, 2_000, 4_000)
    limits = [typical.of("ks", rows, "once") for rows in (100, 500, 700, 1_000, 4_000, 10**6)]
    assert limits[0] == limits[1] > limits[2] > limits[3] > limits[4] == limits[5] > 0


def test_of_a_column_that_follows_the_seasons_no_more_is_typical_than_twice_what_it_showed():
    rows = 48_000
    season = 3 * np.sin(np.linspace(0, 3 * np.pi, rows))
    typical, profile = typical_of(season + np.random.default_rng(0).normal(size=rows))
    sizes = [typical.of("wasserstein", size, "lasting") for size in typical.rows]
    assert sizes == sorted(sizes, reverse=True)  # large blocks are mixtures of small ones
    shown = abs(season - profile.mean).max() / profile.sd
    assert 1 < sizes[-1] <= sizes[0] <= 2.4 * shown


def test_of_few_rows_nothing_is_typical():
    typical, _ = typical_of(normal(3_999, 0.0))
    assert typical.rows == ()
    assert typical.of("ks", 500, "once") == typical.of("ks", 500, "lasting") == 0


@pytest.mark.parametrize(
    "values", [np.full(20_000, 3.0), np.full(20_000, np.nan), np.arange(20_000.0)], ids=str
)
def test_columns_without_a_spread_are_described(values):
    typical, _ = typical_of(values)
    stored = json.loads(json.dumps(typical.to_dict(), allow_nan=False))
    assert Typical.from_dict(stored).rows == typical.rows


def test_what_is_stored_comes_back_to_four_digits():
    typical, _ = typical_of(normal(50_000, 0.0))
    again = Typical.from_dict(json.loads(json.dumps(typical.to_dict())))
    for effect in ("ks", "psi", "wasserstein", "nulls"):
        for often in ("once", "lasting"):
            assert again.of(effect, 700, often) == pytest.approx(typical.of(effect, 700, often), rel=1e-3)
    assert Typical.from_dict(None).of("ks", 500, "once") == 0


@pytest.mark.parametrize(
    "damage",
    [{"rows": None}, {"rows": [500]}, {"once": None}, {"lasting": {"ks": ["much"]}}, {"once": {"ks": [0.1]}}],
    ids=str,
)
def test_damage_is_said(damage):
    typical, _ = typical_of(normal(50_000, 0.0))
    with pytest.raises(DataError, match=r"The profile is damaged: .+ Train again\."):
        Typical.from_dict(typical.to_dict() | damage)
