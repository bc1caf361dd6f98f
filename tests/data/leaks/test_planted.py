"""Leaks that are planted into an honest table are found, each under its column's name and by no other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runtime_lib.data.columns import columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.leaks.find import find_suspects, near_perfect
from runtime_lib.data.leaks.suspect import DUPLICATES, METRIC
from runtime_lib.task.kinds import BINARY
from tests.support import planted
from tests.support.depth import examples

KINDS = {
    "next_month_usage": "ranks",
    "noisy_copy": "alone",
    "flipped_copy": "alone",
    "city_rate": "encoding",
    "city_rate_of_others": "explains or alone",  # by how many rows of it are known
    "customer_number": "identifier",
    "note": "certain",
    "exit_survey": "missing",
    "reason": "certain",
    "state": "explains",
    "last_seen": "event",
    "left_that_day": "encoding",
    "distance": "explains",
    "last_bill": "date",
    "contract": "identifier",
}


def find(parts):
    return find_suspects(parts, columns_of(pd.concat(parts.values()), without=KEYS), BINARY)


@pytest.fixture(scope="module", params=range(examples(1, 8)))
def customers(request):
    return planted.customers(seed=request.param)


def test_the_honest_table_gives_no_alarm(customers):
    assert find(planted.parted(customers)) == []


@pytest.mark.parametrize("column", planted.COLUMNS)
def test_a_planted_column_is_found_by_name_and_no_other(customers, column):
    [suspect] = find(planted.with_leak(column, customers))
    assert suspect.column == column
    assert suspect.kind in KINDS[column].split(" or ")


@pytest.mark.parametrize("name", planted.ROW_LEAKS)
def test_rows_on_both_sides_of_the_split_are_found(customers, name):
    [suspect] = find(planted.ROW_LEAKS[name](customers))
    assert (suspect.column, suspect.kind) == (DUPLICATES, "duplicates")
    assert ("with the same id and time" in suspect.why) is name.endswith("of another month")


def test_several_leaks_at_once_are_all_named(customers):
    """Two that know all hide nothing: what stands alone is looked for among the others."""
    table = customers
    for column in ("state", "next_month_usage", "noisy_copy", "last_bill"):
        table = planted.joined(column, table)
    found = {suspect.column for suspect in find(planted.parted(table))}
    assert found == {"state", "next_month_usage", "noisy_copy", "last_bill"}


def test_the_reason_says_the_figure_and_is_json(customers):
    [suspect] = find(planted.with_leak("next_month_usage", customers))
    assert f"ROC AUC {suspect.figure:.4f}" in suspect.why
    assert type(suspect).from_dict(suspect.to_dict()) == suspect


def test_the_time_of_a_row_may_be_any_order(customers):
    """Without dates there are no days to compare; the other leaks are found as ever."""
    table = planted.joined("noisy_copy", customers)
    parts = {name: part.assign(time=range(len(part))) for name, part in planted.parted(table).items()}
    assert [suspect.column for suspect in find(parts)] == ["noisy_copy"]


@pytest.mark.parametrize(
    ("roc_auc", "rate", "rows", "suspicious"),
    [
        (1.0, 0.5, 600, True),
        (1.0, 0.02, 15_000, True),  # a newcomer's two months: 614 positives, ROC AUC 1.0000
        (1.0, 0.98, 15_000, True),
        (1.0, 0.5, 500, False),  # 250 rows without a mistake prove no more than 0.989
        (0.99, 0.5, 100_000, False),
        (0.75, 0.2, 100_000, False),
    ],
)
def test_figures_near_perfection_are_suspicious_where_there_are_rows_enough(roc_auc, rate, rows, suspicious):
    suspect = near_perfect({"roc_auc": roc_auc, "rate": rate, "rows": float(rows)})
    assert (suspect is not None) is suspicious
    assert suspect is None or (suspect.column == METRIC and f"{roc_auc:.4f}" in suspect.why)


def test_figures_that_lack_what_is_needed_say_nothing():
    assert near_perfect({"average_precision": 1.0, "rows": 9_000.0}) is None


def test_two_columns_that_give_the_label_away_together_are_seen_in_the_figures_alone(customers):
    """Neither a departure nor an arrival tells what their difference does: this is what `<metric>` is for."""
    random = np.random.default_rng(1)
    planned = random.uniform(0, 1_000, len(customers))
    real = planned + np.where(customers["label"] == 1, 5, -5) + random.normal(0, 1, len(customers))
    assert find(planted.parted(customers.assign(planned=planned, real=real))) == []
