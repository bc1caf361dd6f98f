"""Has a column changed since training? Counts live rows in the profile's cells and decides per column.

A column has drifted when there are rows enough, and its effect is large enough to matter, and the change
is no accident (q < 0.05 after Benjamini-Hochberg across columns). Missing values and categories never seen
in training are tests of their own: a merged or dropped cell would hide them.

Of a text its length in characters is watched, of an image its mean brightness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles import statistics
from runtime_lib.task.task import Watched
from runtime_lib.training.profile import Floats, as_categories, as_numbers, measured, read_profile

__all__ = ["PREDICTION", "Cell", "ColumnDrift", "RateChange", "drift"]

PREDICTION = "(prediction)"  # in brackets: an input may be called "prediction"
ALPHA = 0.05
RATE_EFFECT = 0.2  # Cohen's "small": from 0 to 1 %, from 2 to 6 %, from 30 to 40 %
# What a profile counts of a column that is no number.
_MEASURED = {"text": "length ", "image": "brightness "}
MOST_CELLS = 30  # more cells than this, and 500 rows would give a PSI of 0.1 by chance


@dataclass(frozen=True)
class Cell:
    """One bin or category: its shares of the present values in training and live, between 0 and 1."""

    label: str
    reference: float
    live: float


@dataclass(frozen=True)
class RateChange:
    """A rate in training and live, the effect of the change (Cohen's h, positive for a rise), its q-value."""

    reference: float
    live: float
    effect: float
    q: float
    flagged: bool = False


@dataclass(frozen=True)
class ColumnDrift:
    """How one column's live values differ from training.

    `effect` is the PSI, `second` the distance D or Cramér's V as named by `second_name`; they, `p` and `q`
    are None when one side has no values. `reasons` says why the column counts as drifted; empty: it does not.
    """

    name: str
    kind: Literal["number", "category"]
    rows: int
    effect: float | None
    second: float | None
    second_name: Literal["ks", "cramers_v"]
    p: float | None
    q: float | None
    change: str
    nulls: RateChange
    unseen: RateChange | None
    cells: tuple[Cell, ...]
    reasons: tuple[str, ...] = ()

    @property
    def prediction(self) -> bool:
        """Whether it is one of the model's answers and no input."""
        return self.name.startswith(PREDICTION)

    @property
    def drifted(self) -> bool:
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "drifted": self.drifted}


def drift(
    profile: Mapping[str, Any],
    live: Mapping[str, Any],
    *,
    min_rows: int = 500,
    threshold: float = 0.2,
    answers: Watched | None = None,
) -> list[ColumnDrift]:
    """Compare live rows with the profile, column by column.

    Args:
        profile: from `build_profile`.
        live: column name → values of shape `(n,)`, as the prediction log holds them; columns that the
            profile lacks are ignored.
        min_rows: below this many present values, no verdict on a column.
        threshold: PSI from which a shift matters.
        answers: what `Task.watched` gives of the model's answers on the same rows; compared as columns named
            `PREDICTION`, or `PREDICTION` and the output where there are several.

    Returns:
        One entry per column of the profile, the largest effect first; the prediction among them.

    Raises:
        DataError: the profile's format is unknown, or a column is missing from `live`.
    """
    profile = read_profile(profile)
    if missing := [name for name in profile["columns"] if name not in live]:
        raise DataError(
            f"The live rows lack the column(s) {', '.join(missing)} of the model's profile. "
            "Judge the predictions of the model that the profile belongs to."
        )
    found = [_compare(name, about, live[name]) for name, about in profile["columns"].items()]
    about = profile["answers"] or {}
    for name, (_, values) in (answers or {}).items():
        if name in about:
            found.append(_compare(prediction_name(name, len(about)), about[name], values))
    decided = [_decide(column, min_rows, threshold) for column in _adjust(found)]
    return sorted(decided, key=lambda c: (not c.drifted, -(c.effect or 0.0)))


def prediction_name(output: str, outputs: int) -> str:
    """What an output is called among the columns."""
    return PREDICTION if outputs == 1 else f"{PREDICTION} {output}"


def _compare(name: str, about: Mapping[str, Any], values: Any) -> ColumnDrift:
    count = _count_categories if about["kind"] == "category" else _count_numbers
    values = measured(values, about.get("of", about)["kind"])
    labels, reference, live, nulls, unseen, change = count(name, about, values)
    rows = nulls + int(live.sum())
    both = reference.sum() > 0 and live.sum() > 0
    second = statistics.cramers_v if about["kind"] == "category" else statistics.ks_distance
    return ColumnDrift(
        name=name,
        kind=about["kind"],
        rows=rows,
        effect=statistics.psi(reference, live) if both else None,
        second=second(reference, live) if both else None,
        second_name="cramers_v" if about["kind"] == "category" else "ks",
        p=statistics.chi_square_p(reference, live) if both else None,
        q=None,
        change=change,
        nulls=_null_change(about, nulls, rows),
        unseen=unseen,
        cells=tuple(
            Cell(label, float(r / max(reference.sum(), 1)), float(n / max(live.sum(), 1)))
            for label, r, n in zip(labels, reference, live, strict=True)
            if r or n
        ),
    )


_Counted = tuple[list[str], Floats, Floats, int, RateChange | None, str]


def _count_numbers(name: str, about: Mapping[str, Any], values: Any) -> _Counted:
    numbers = as_numbers(values, name)
    present = numbers[~np.isnan(numbers)]
    edges = np.asarray(about["edges"], dtype=np.float64)
    counts = np.bincount(np.searchsorted(edges, present), minlength=edges.size + 1).astype(np.float64)
    change = ""
    if edges.size and present.size:
        what = _MEASURED.get(about.get("of", {}).get("kind"), "")
        change = f"median {what}{about['quantiles']['0.5']:.4g} → {np.median(present):.4g}"
    reference = np.asarray(about["counts"], dtype=np.float64)
    return _bin_labels(edges), reference, counts, int(numbers.size - present.size), None, change


def _bin_labels(edges: Floats) -> list[str]:
    if not edges.size:
        return ["any"]
    inner = [
        f"{b:.4g}" if np.nextafter(b, -np.inf) == a else f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)
    ]
    return [f"below {edges[0]:.4g}", *inner, f"above {edges[-1]:.4g}"]


def _count_categories(name: str, about: Mapping[str, Any], values: Any) -> _Counted:
    known: Mapping[str, int] = about["counts"]
    live = Counter(as_categories(values))
    nulls = live.pop(None, 0)
    largest = sorted(known, key=lambda value: (-known[value], value))[:MOST_CELLS]
    new = sum(n for value, n in live.items() if value not in known)
    total = sum(live.values())
    # Of a profile that could not keep every value, an unknown one may be old: it belongs to the rest.
    unseen = new if about["complete"] else 0
    rest = sum(known.values()) + about["other"] - sum(known[v] for v in largest)
    live_rest = total - unseen - sum(live[v] for v in largest)
    labels = [*largest, "(other)", "(unseen)"]
    reference = np.array([*(known[v] for v in largest), rest, 0], dtype=np.float64)
    counts = np.array([*(live[v] for v in largest), live_rest, unseen], dtype=np.float64)
    change = _largest_move(labels, reference, counts)
    return labels, reference, counts, nulls, _unseen_change(about, unseen, total), change


def _largest_move(labels: list[str], reference: Floats, live: Floats) -> str:
    if not reference.sum() or not live.sum():
        return ""
    p, q = reference / reference.sum(), live / live.sum()
    most = int(np.abs(p - q).argmax())
    return f"{labels[most]} {p[most]:.1%} → {q[most]:.1%}"


def _null_change(about: Mapping[str, Any], nulls: int, rows: int) -> RateChange:
    before, now = about["nulls"] / max(about["rows"], 1), nulls / max(rows, 1)
    if not rows or not about["rows"]:
        return RateChange(before, now, 0.0, 1.0)
    p = statistics.chi_square_p([about["nulls"], about["rows"] - about["nulls"]], [nulls, rows - nulls])
    return RateChange(before, now, statistics.cohen_h(before, now), p)


def _unseen_change(about: Mapping[str, Any], unseen: int, total: int) -> RateChange | None:
    """Unseen values against the rate at which a fresh draw of the training data would show new ones.

    That rate is the share of values met exactly once (Good 1953, Turing's estimate; one added for n = 0).
    """
    seen = sum(about["counts"].values())
    if not about["complete"] or not total or not seen:
        return None
    expected = min((sum(n == 1 for n in about["counts"].values()) + 1) / seen, 1.0)
    rate = unseen / total
    p = statistics.binomial_excess(unseen, total, expected)
    return RateChange(0.0, rate, statistics.cohen_h(0.0, rate), p)


def _adjust(columns: list[ColumnDrift]) -> list[ColumnDrift]:
    """Turn p-values into q-values, one family of tests at a time; until here the `q` of a rate is its p."""
    shapes = _q({i: c.p for i, c in enumerate(columns) if c.p is not None})
    nulls = _q({i: c.nulls.q for i, c in enumerate(columns)})
    unseen = _q({i: c.unseen.q for i, c in enumerate(columns) if c.unseen})
    return [
        replace(
            column,
            q=shapes.get(i),
            nulls=replace(column.nulls, q=nulls[i]),
            unseen=column.unseen and replace(column.unseen, q=unseen[i]),
        )
        for i, column in enumerate(columns)
    ]


def _q(p: dict[int, float]) -> dict[int, float]:
    return dict(zip(p, statistics.benjamini_hochberg(list(p.values())), strict=True))


def _decide(column: ColumnDrift, min_rows: int, threshold: float) -> ColumnDrift:
    reasons = []
    present = round(column.rows * (1 - column.nulls.live))
    effect, q = column.effect or 0.0, 1.0 if column.q is None else column.q
    if present >= min_rows and effect >= threshold and q < ALPHA:
        reasons.append(f"PSI {effect:.2f} ≥ {threshold:g} ({column.change})")
    nulls, unseen = column.nulls, column.unseen
    if column.rows >= min_rows and abs(nulls.effect) >= RATE_EFFECT and nulls.q < ALPHA:
        nulls = replace(nulls, flagged=True)
        reasons.append(f"missing values {nulls.reference:.1%} → {nulls.live:.1%}")
    if unseen and present >= min_rows and unseen.effect >= RATE_EFFECT and unseen.q < ALPHA:
        unseen = replace(unseen, flagged=True)
        reasons.append(f"{unseen.live:.1%} of values never seen in training")
    return replace(column, nulls=nulls, unseen=unseen, reasons=tuple(reasons))
