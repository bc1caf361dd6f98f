"""Columns that tell the label: nearly alone, with certainty in some rows, in a word, or by the clock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.data.leaks.signal import Counts, Signal, area, least
from runtime_lib.data.leaks.suspect import Suspect

__all__ = ["LIMIT", "alone", "certain", "event", "strongest", "told", "word"]

LIMIT = 0.975
_ALONE_LIMIT, _ALONE_SHARE = 0.9, 0.75
_COVERED = 0.1
_TEXTS = 20  # levels; fewer are told apart as they are
_MOST_TEXTS = 100_000
_WORD = re.compile(r"\w+")
_TEN_YEARS, _MOSTLY = 10 * 365.25 * 86_400, 0.99
_UNITS = {"seconds": 1.0, "milliseconds": 1e3, "nanoseconds": 1e9, "minutes": 1 / 60, "days": 1 / 86400}

_SAYS = {
    "ranks": "its values alone rank the label with ROC AUC {:.4f}",
    "explains": "the rate of each of its values alone ranks the held-out rows with ROC AUC {:.4f}",
    "missing": "whether it is missing alone ranks the label with ROC AUC {:.4f}",
}


def strongest(signals: Sequence[Signal]) -> Signal:
    return max(signals, key=lambda signal: (signal.least, signal.figure))


def told(column: str, signal: Signal) -> Suspect | None:
    """A column that tells the label almost alone: its area under the ROC curve is above 0.975.

    With 95 % confidence, see `signal.least`: a small table that falls apart by chance or by nature is no
    proof. H2O Driverless AI looks for leaks in the same way, by the area of a model on each column alone
    (user guide, "Data leakage and shift detection"). The limit is ours, above what clean tables have (best
    column, its lower bound): breast cancer 0.976, 0.951; iris 1.000, 0.949; digits (is it a 0?) 0.967,
    0.938; wine 0.985, 0.929; flights 0.67.
    """
    if signal.least <= LIMIT:
        return None
    return Suspect(column, signal.kind, signal.figure, _SAYS[signal.kind].format(signal.figure))


def alone(signals: Mapping[str, Signal]) -> Suspect | None:
    """The one column that tells more than three times what all others together do, as a noisy copy does.

    In units of Fisher's discriminant: an area A is a distance d of two normal distributions with
    A = Φ(d/√2), and the squares of independent columns add up (Su & Liu 1993, JASA 88:1350-1355); columns
    that repeat each other make the others' sum too large, so the rule then says nothing. Honest columns that
    are as strong come in company: the best one's share is 0.09 in breast cancer, 0.18 in digits, 0.48 in
    iris, 0.38 in wine. It must also be above 0.9 with 95 % confidence.
    """
    if len(signals) < 2:
        return None
    squares = {column: _square(signal.figure) for column, signal in signals.items()}
    column = max(squares, key=lambda name: squares[name])
    signal, total = signals[column], sum(squares.values())
    if signal.least <= _ALONE_LIMIT or squares[column] < _ALONE_SHARE * total:
        return None
    best = max((s.figure for name, s in signals.items() if name != column), default=0.5)
    said = _SAYS[signal.kind].format(signal.figure)
    return Suspect(column, "alone", signal.figure, f"{said}, no other column with more than {best:.4f}")


def certain(column: str, counts: Counts, levels: Sequence[str]) -> Suspect | None:
    """A level, or being filled at all, that always means the rarer label and holds a tenth of its rows.

    "Always": 97.5 % with 95 % confidence, so 106 rows without an exception. A reason for cancelling is filled
    only for those who cancelled, and not for all of them.
    """
    total = counts.rows.sum(axis=(0, 1))
    filled = [] if not counts.rows[-1].sum() else [("wherever it is filled", counts.present.sum(axis=0))]
    marks = [(f"wherever it is {level!r}", rows) for level, rows in zip(levels, counts.present, strict=False)]
    return _certain(column, [*filled, *marks], total)


def word(column: str, counts: Counts, levels: Sequence[str]) -> Suspect | None:
    """A word in a text column that tells the label, by the rules of `told` and `certain`."""
    if len(levels) < _TEXTS:
        return None
    total = counts.rows.sum(axis=(0, 1))
    words = _count_words(levels[:_MOST_TEXTS], counts.present[:_MOST_TEXTS])
    for name, rows in sorted(words.items(), key=lambda item: -item[1].sum()):
        figure = area(np.stack([total - rows, rows]))
        if least(max(figure, 1 - figure), int(total.min())) > LIMIT:
            why = f"whether it holds the word {name!r} alone ranks the label with ROC AUC {figure:.4f}"
            return Suspect(column, "word", max(figure, 1 - figure), why)
    return _certain(column, [(f"wherever it holds the word {name!r}", r) for name, r in words.items()], total)


def event(column: str, values: Array, seconds: Array, label: Array) -> Suspect | None:
    """A time, as a number, whose distance from the row's `time` tells the label: the time of what happened.

    Args:
        values: `float64` `(n,)`, NaN for missing. seconds: of the row's `time`, `(n,)`.
    """
    here = ~np.isnan(values) & ~np.isnan(seconds)
    unit = _unit(values[here], seconds[here])
    if not unit:
        return None
    distance = np.round(values[here] / _UNITS[unit] - seconds[here], 3)
    _, places = np.unique(distance, return_inverse=True)
    figure = area(np.stack([np.bincount(places, label[here] == which) for which in (0, 1)], axis=1))
    figure, rarer = max(figure, 1 - figure), int(np.bincount(label[here].astype(int), minlength=2).min())
    if least(figure, rarer) <= _ALONE_LIMIT:
        return None
    why = f"a time in {unit}; its distance from the row's time ranks the label with ROC AUC {figure:.4f}"
    return Suspect(column, "event", figure, why)


def _square(figure: float) -> float:
    return 2 * NormalDist().inv_cdf(min(max(figure, 0.5), 1 - 1e-9)) ** 2


def _certain(column: str, marks: Sequence[tuple[str, Array]], total: Array) -> Suspect | None:
    """`marks`: where, and the rows by label there."""
    rarer = int(total[1] <= total[0])
    for where, rows in marks:
        share = rows[rarer] / max(rows.sum(), 1)
        covered = rows[rarer] / max(total[rarer], 1)
        if covered >= _COVERED and least(float(share), int(rows.sum())) > LIMIT:
            why = f"{where}, the label is {rarer} in {share:.1%} of {int(rows.sum()):,} rows"
            return Suspect(column, "certain", float(share), why)
    return None


def _count_words(levels: Sequence[str], rows: Array) -> dict[str, Array]:
    """Rows by label of each word that 1 % of the rows hold."""
    counted: dict[str, list[int]] = {}
    for level, (zeros, ones) in zip(levels, rows.tolist(), strict=True):
        for name in set(_WORD.findall(level.lower())):
            both = counted.setdefault(name, [0, 0])
            both[0] += zeros
            both[1] += ones
    least_rows = rows.sum() / 100
    return {name: np.array(both) for name, both in counted.items() if sum(both) >= least_rows}


def _unit(values: Array, seconds: Array) -> str:
    """The unit in which `values` are times within ten years of the rows' own; "" if they are none."""
    for unit, per_second in _UNITS.items():
        near = np.abs(values / per_second - seconds) < _TEN_YEARS
        if near.size and near.mean() > _MOSTLY:
            return unit
    return ""
