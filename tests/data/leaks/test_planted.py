"""Leaks that are planted into an honest table are found, each under its column's name and by no other."""

from __future__ import annotations

import pandas as pd
import pytest

from runtime_lib.data.columns import columns_of
from runtime_lib.data.features import KEYS
from runtime_lib.data.leaks.find import find_suspects
from runtime_lib.data.leaks.suspect import DUPLICATES
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
    return find_suspects(parts, columns_of(pd.concat(parts.values()), without=KEYS))


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
