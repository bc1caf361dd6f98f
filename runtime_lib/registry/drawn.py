"""What is drawn of a model's answers: the curves of its task, each with a sentence on how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runtime_lib.registry import charts
from runtime_lib.tracking.summary import MODELS

__all__ = ["Chart", "confusion", "of_answers"]

_MOST_CLASSES = 12  # of a confusion that can still be read


class Chart(NamedTuple):
    """A drawing, its file's name, its title, and how to read it."""

    file: str
    title: str
    reading: str
    svg: str


def of_answers(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[Chart]:
    """Those that the evaluation has points for.

    Args:
        curves: model → what `Task.curves` gave.
    """
    for name, draw in _DRAWN.items():
        if name in curves["candidate"]:
            yield draw(curves, evaluation)


def confusion(counts: Sequence[Sequence[int]], evaluation: Mapping[str, Any]) -> Chart:
    """Rows by what happened and by what was decided; of many classes the commonest, the rest as one."""
    binary = evaluation.get("task", "binary") == "binary"
    counts, names = _largest(counts, evaluation.get("classes") or ("0", "1"))
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


def _series(curves: Mapping[str, Any], kind: str, *, dots: bool = False) -> list[charts.Series]:
    known = [who for who in MODELS if kind in curves.get(who, {})]
    return [charts.Series(who, who, curves[who][kind], dots) for who in known]


def _roc(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Chart:
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


def _precision_recall(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Chart:
    rate = evaluation["candidate"]["rate"]
    return Chart(
        "precision_recall",
        "Precision and recall",
        f"Dashed: guessing, at the share of label 1, {rate:.1%}.",
        charts.curves(
            _series(curves, "precision_recall"), x="recall", y="precision", guide=[(0, rate), (1, rate)]
        ),
    )


def _calibration(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Chart:
    if evaluation.get("task") == "regression":
        return _expected(curves)
    several = evaluation.get("task") == "multiclass"
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
            _series(curves, "calibration", dots=True)[:1],
            x="mean probability of the likeliest class" if several else "mean probability",
            y="share that is right" if several else "share of label 1",
            guide=[(0, 0), (1, 1)],
        ),
    )


def _expected(curves: Mapping[str, Any]) -> Chart:
    series = _series(curves, "calibration", dots=True)[:1]
    values = [value for point in series[0].points for value in point[:2]]
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
        ),
    )


def _residuals(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Chart:
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


def _coverage(curves: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Chart:
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
    "coverage": _coverage,
}
