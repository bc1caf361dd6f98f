"""What is drawn of a model's answers: the curves of its task, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runtime_lib.drawing import charts

__all__ = ["Chart", "by_part", "confusion", "of_answers"]

_MOST_BARS = 20
_OWN = ("candidate", "live", "held-out")  # what is asked of the model, and of no baseline
_MOST_CLASSES = 12  # of a confusion that can still be read
# What a model answered: its name in the legend, which is its class in `charts.STYLE` → `Task.curves`.
Curves = Mapping[str, Mapping[str, Any]]


class Chart(NamedTuple):
    """A drawing, its file's name, its title, and how to read it."""

    file: str
    title: str
    reading: str
    svg: str


def of_answers(curves: Curves, *, task: str, figures: Mapping[str, float]) -> Iterator[Chart]:
    """Those that there are points for; of several models the first is drawn above the others.

    Args:
        task: its kind. figures: of the first model.
    """
    for name, draw in _DRAWN.items():
        if any(name in each for each in curves.values()):
            yield draw(curves, task, figures)


def by_part(
    figures: Mapping[str, float], others: Mapping[str, float], prefix: str, *, title: str, reading: str
) -> Iterator[Chart]:
    """Bars of the first 20 figures whose names start with `prefix.`, with marks where `others` are."""
    start = f"{prefix}."
    items = [(name.removeprefix(start), value) for name, value in figures.items() if name.startswith(start)]
    marks = {name.removeprefix(start): value for name, value in others.items() if name.startswith(start)}
    if items:
        more = f" The first {_MOST_BARS} of {len(items)}." if len(items) > _MOST_BARS else ""
        compared = " The upright line is the held-out figure." if marks else ""
        svg = charts.bars(items[:_MOST_BARS], title=title, marks=marks, form=".3f")
        yield Chart(prefix, title, f"{reading}{compared}{more}", svg)


def confusion(counts: Sequence[Sequence[int]], *, task: str, classes: Sequence[str]) -> Chart:
    """Rows by what happened and by what was decided; of many classes the commonest, the rest as one."""
    binary = task == "binary"
    counts, names = _largest(counts, classes or ("0", "1"))
    how = (
        "At the model's threshold, which flags as large a share as has label 1 in the validation months. "
        if binary
        else "Decided is the likeliest class. "
    )
    said = "predicted {}" if binary else "{}"
    svg = charts.matrix(
        counts,
        rows=[f"was {name}" for name in names],
        columns=[said.format(name) for name in names],
        title="Confusion",
    )
    return Chart("confusion", "Confusion", f"{how}Across: what was predicted. Shares are of the row.", svg)


def _largest(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> tuple[list[list[int]], list[str]]:
    places = sorted(range(len(classes)), key=lambda place: -sum(counts[place]))
    if len(places) <= _MOST_CLASSES:
        return [list(line) for line in counts], list(classes)
    kept = sorted(places[: _MOST_CLASSES - 1])
    groups = [[place] for place in kept] + [[place for place in places if place not in kept]]
    merged = [[sum(counts[a][b] for a in was for b in said) for said in groups] for was in groups]
    return merged, [*(classes[place] for place in kept), "other"]


def _series(curves: Curves, kind: str, *, dots: bool = False) -> list[charts.Series]:
    return [charts.Series(who, who, each[kind], dots) for who, each in curves.items() if kind in each]


def _own(curves: Curves, kind: str) -> list[charts.Series]:
    return [one for one in _series(curves, kind, dots=True) if one.kind in _OWN]


def _roc(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    return Chart(
        "roc",
        "ROC",
        "Dashed: guessing. The area below a curve is its ROC AUC.",
        charts.curves(
            _series(curves, "roc"),
            x="false positive rate",
            y="true positive rate",
            guide=[(0, 0), (1, 1)],
            names=0,
        ),
    )


def _precision_recall(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    rate = figures["rate"]
    return Chart(
        "precision_recall",
        "Precision and recall",
        f"Dashed: guessing, at the share of label 1, {rate:.1%}.",
        charts.curves(
            _series(curves, "precision_recall"), x="recall", y="precision", guide=[(0, rate), (1, rate)]
        ),
    )


def _calibration(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    if task == "regression":
        return _expected(curves)
    several = task == "multiclass"
    how = (
        "of those told 30 % the class is right in three of ten."
        if several
        else "of those told 30 % three in ten happen."
    )
    return Chart(
        "calibration",
        "Calibration",
        f"Ten groups of equally many rows. On the dashed line, {how}",
        charts.curves(
            _own(curves, "calibration"),
            x="mean probability of the likeliest class" if several else "mean probability",
            y="share that is right" if several else "share of label 1",
            guide=[(0, 0), (1, 1)],
            names=0,
        ),
    )


def _expected(curves: Curves) -> Chart:
    series = _own(curves, "calibration")
    values = [value for one in series for point in one.points for value in point[:2]]
    ends = (min(values), max(values))
    return Chart(
        "calibration",
        "Predicted and true",
        "Ten groups of equally many rows, by what was predicted. On the dashed line both agree.",
        charts.curves(
            series,
            x="mean prediction",
            y="mean label",
            x_range=ends,
            y_range=ends,
            guide=[(ends[0], ends[0]), (ends[1], ends[1])],
            names=0,
        ),
    )


def _residuals(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    series = _series(curves, "residuals")
    values = [point[0] for one in series for point in one.points]
    return Chart(
        "residuals",
        "Residuals",
        "Label minus prediction: which share of the rows lies below. The steeper around 0, the better.",
        charts.curves(
            series,
            x="label minus prediction",
            y="share of the rows",
            x_range=(min(values), max(values)),
            mark=0.0,
            names=0,
        ),
    )


def _spread(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    [first, *_] = _own(curves, "spread")
    lines = [("p90", "naive", 3), ("p50", first.kind, 2), ("p10", "naive", 1)]
    series = [
        charts.Series(name, kind, [(p[0], p[at]) for p in first.points], True) for name, kind, at in lines
    ]
    values, ends = [v for p in first.points for v in p[1:]], (first.points[0][0], first.points[-1][0])
    return Chart(
        "spread",
        "Residuals by prediction",
        "Label minus prediction, in ten groups of equally many rows by what was predicted: the median, and "
        "in grey what one row in ten lies below and one above. At the dashed line both agree.",
        charts.curves(
            series,
            x="mean prediction",
            y="label minus prediction",
            x_range=ends,
            y_range=(min(0.0, *values), max(0.0, *values)),
            guide=[(ends[0], 0), (ends[1], 0)],
            names=None,
        ),
    )


def _coverage(curves: Curves, task: str, figures: Mapping[str, float]) -> Chart:
    return Chart(
        "coverage",
        "Coverage",
        "Each quantile, and the share of the rows below it. On the dashed line they are as promised.",
        charts.curves(
            _series(curves, "coverage", dots=True),
            x="quantile",
            y="share of the rows below it",
            guide=[(0, 0), (1, 1)],
            names=0,
        ),
    )


_DRAWN = {
    "roc": _roc,
    "precision_recall": _precision_recall,
    "calibration": _calibration,
    "residuals": _residuals,
    "spread": _spread,
    "coverage": _coverage,
}
