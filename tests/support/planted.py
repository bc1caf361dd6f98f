"""An honest table of customers, and leaks that are planted into it, each under the name of its column."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from runtime_lib.data.leaks.suspect import DUPLICATES

Parts = dict[str, pd.DataFrame]
PARTS = ("train", "validation", "test")
ROWS = 6_000


def customers(rows: int = ROWS, seed: int = 5) -> pd.DataFrame:
    """Rows over eight months; a fifth leaves. The best honest column has a ROC AUC of about 0.7."""
    random = np.random.default_rng(seed)
    tenure, calls = random.exponential(24, rows), random.poisson(2, rows)
    city = random.choice([f"town {number}" for number in range(60)], rows)
    of_city = pd.Series(city).map(dict(zip(np.unique(city), random.normal(0, 0.5, 60), strict=True)))
    odds = 0.5 * calls - 0.05 * tenure + of_city.to_numpy() - 1.6
    return pd.DataFrame(
        {
            "id": [f"c{number}" for number in random.permutation(rows)],
            "time": pd.date_range("2025-01-01", "2025-08-31", periods=rows, tz="UTC"),
            "tenure": tenure,
            "calls": calls.astype(float),
            "city": city,
            "plan": random.choice(["basic", "family", "pro"], rows),
            "age": np.where(random.random(rows) < 0.1, np.nan, random.normal(45, 12, rows).round()),
            "label": (random.random(rows) < 1 / (1 + np.exp(-odds))).astype("int8"),
        }
    )


def parted(table: pd.DataFrame) -> Parts:
    """By time, as the stage `split` does: six months, one, one."""
    month = table["time"].dt.month
    return dict(zip(PARTS, (table[month < 7], table[month == 7], table[month == 8]), strict=True))


def _next_month_usage(table, random):
    return np.where(table["label"] == 1, 0, 1) * random.lognormal(3, 1, len(table)) + random.exponential(
        1, len(table)
    )


def _noisy_copy(table, random):
    return table["label"] + random.normal(0, 0.45, len(table))


def _flipped_copy(table, random):
    return np.where(random.random(len(table)) < 0.04, 1 - table["label"], table["label"]).astype(float)


def _city_rate(table, random):
    """Smoothed, over all rows: those of the test months too."""
    sums = table.groupby("city")["label"].transform("sum")
    return (sums + 4 * table["label"].mean()) / (table.groupby("city")["label"].transform("size") + 4)


def _city_rate_of_others(table, random):
    """Leave-one-out: the row's own label is what is missing from its city's mean."""
    group = table.groupby("city")["label"]
    return (group.transform("sum") - table["label"]) / (group.transform("size") - 1)


def _customer_number(table, random):
    """Numbered by one who went through the leavers first, more or less."""
    order = np.argsort(random.random(len(table)) - 0.3 * table["label"].to_numpy(), kind="stable")
    number = np.empty(len(table))
    number[order] = np.arange(len(table)) + 70_000
    return number


def _note(table, random):
    words = random.choice(["called", "asked", "price", "router", "bill", "moved", "line"], (len(table), 5))
    said = [" ".join(line) for line in words]
    left = (table["label"] == 1).to_numpy() & (random.random(len(table)) < 0.7)
    return [
        f"{line} goodwill {n}" if out else f"{line} {n}"
        for n, (line, out) in enumerate(zip(said, left, strict=True))
    ]


def _exit_survey(table, random):
    """A score that only leavers were asked for, and some others by mistake."""
    asked = np.where(table["label"] == 1, random.random(len(table)) < 0.99, random.random(len(table)) < 0.01)
    return np.where(asked, random.integers(1, 6, len(table)), np.nan)


def _reason(table, random):
    """Some of those who left gave one."""
    gave = (table["label"] == 1) & (random.random(len(table)) < 0.4)
    return np.where(gave, random.choice(["price", "service"], len(table)), None)


def _state(table, random):
    left = random.choice(["closed", "archived"], len(table))
    return np.where(table["label"] == 1, left, random.choice(["open", "trial", "paused"], len(table)))


def _last_seen(table, random):
    """When the customer was last seen, in seconds: soon after the row's time, if he left."""
    days = np.where(
        table["label"] == 1, random.exponential(8, len(table)), 20 + random.exponential(40, len(table))
    )
    return table["time"].astype("datetime64[s, UTC]").astype("int64") + days * 86_400


def _left_that_day(table, random):
    """Over the whole day, also the hours after the row."""
    return table.groupby(table["time"].dt.date)["label"].transform("sum").astype(float)


def _distance(table, random):
    """Far from 50 on either side, if he left: no order ranks that."""
    side = random.choice([-1, 1], len(table))
    return 50 + side * (np.where(table["label"] == 1, 20, 0) + random.uniform(0, 20, len(table)))


def _last_bill(table, random):
    return (table["time"] - pd.to_timedelta(random.integers(0, 700, len(table)), unit="D")).dt.strftime(
        "%Y-%m-%d"
    )


def _contract(table, random):
    return [f"K-{number:x}" for number in random.permutation(len(table)) * 7919]


# Column → what it is filled with; the best-known kinds first.
COLUMNS: Mapping[str, Callable[[pd.DataFrame, np.random.Generator], object]] = {
    "next_month_usage": _next_month_usage,
    "noisy_copy": _noisy_copy,
    "flipped_copy": _flipped_copy,
    "city_rate": _city_rate,
    "city_rate_of_others": _city_rate_of_others,
    "customer_number": _customer_number,
    "note": _note,
    "exit_survey": _exit_survey,
    "reason": _reason,
    "state": _state,
    "last_seen": _last_seen,
    "left_that_day": _left_that_day,
    "distance": _distance,
    "last_bill": _last_bill,
    "contract": _contract,
}


def with_leak(column: str, table: pd.DataFrame) -> Parts:
    """The parts of the table with this leak in it."""
    return parted(joined(column, table))


def joined(column: str, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{column: COLUMNS[column](table, np.random.default_rng(11))})


def with_copied_rows(table: pd.DataFrame, share: float = 0.05) -> Parts:
    """Some training rows once more in the test months, under a new id and time."""
    parts = parted(table)
    copies = parts["train"].sample(int(share * len(parts["train"])), random_state=1)
    copies = copies.assign(id=copies["id"] + "-copy", time=parts["test"]["time"].iloc[0])
    return {**parts, "test": pd.concat([parts["test"], copies])}


def with_rows_of_another_month(table: pd.DataFrame) -> Parts:
    """A `load` that forgot the end of the month."""
    parts = parted(table)
    return {**parts, "test": pd.concat([parts["train"].tail(300), parts["test"]])}


ROW_LEAKS: Mapping[str, Callable[[pd.DataFrame], Parts]] = {
    f"{DUPLICATES} copied": with_copied_rows,
    f"{DUPLICATES} of another month": with_rows_of_another_month,
}
