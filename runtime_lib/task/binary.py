"""Yes or no: a label is 0 or 1, an answer the probability of label 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.errors import DataError
from runtime_lib.task.curves import POINTS, points, reliability
from runtime_lib.task.metric import Z95, Metric
from runtime_lib.task.naive import naive as best_column
from runtime_lib.task.ranking import area_rows, precision_rows
from runtime_lib.task.task import Task

__all__ = ["Binary", "figures", "log_loss_rows", "logistic", "naive", "standard_error"]


@dataclass(frozen=True)
class Binary(Task):
    kind: ClassVar[str] = "binary"
    labels: ClassVar[str] = "0 or 1"
    loss: ClassVar[str] = "binary_cross_entropy"
    linear_name: ClassVar[str] = "logistic"
    stored: ClassVar[str] = "int8"

    def wrong_labels(self, values: Any) -> Array:
        import pandas as pd

        return np.asarray(~pd.Series(values).isin([0, 1]), dtype=bool)

    def read(self, values: Any) -> Array:
        return np.asarray(values, dtype=np.float32)

    def target(self, label: Array) -> Array:
        return np.asarray(label, dtype=np.float32)[:, None]

    def support(self, label: Array) -> int:
        """Rows of the rarer label."""
        positives = int(np.sum(label))
        return min(positives, len(label) - positives)

    def questions(self, label: Array) -> dict[str, Array]:
        return {"": label.astype(np.int64)}

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("probability",)

    def answer(self, raw: Array) -> Array:
        """From log-odds to probabilities of label 1."""
        # 1 / (1 + exp(-x)), without overflow.
        return np.exp(-np.logaddexp(0.0, -raw[:, 0].astype(np.float64)))

    def decision(self, label: Array, answer: Array) -> dict[str, float]:
        """The threshold that flags as large a share of these rows as has label 1."""
        return {"threshold": float(np.quantile(answer, 1 - label.mean()))}

    def decide(self, answer: Array, decision: Mapping[str, float]) -> Array:
        """Labels, `int64`: 1 where the probability is above the threshold."""
        return (answer > decision["threshold"]).astype(np.int64)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return _METRICS

    def figures(self, label: Array, answer: Array) -> dict[str, float]:
        """`roc_auc`, `average_precision`, `log_loss` (nats), `brier`, `rate` (share of label 1), `rows`.

        Raises:
            DataError: only one class is present, so that no ranking can be judged.
        """
        if len(classes := set(label.astype(int).tolist())) < 2:
            raise DataError(
                f"All {len(label)} rows have the same label {classes or '(none)'}: nothing can be judged."
            )
        return super().figures(label, answer)

    def described(self, label: Array, answer: Array) -> dict[str, float]:
        return {"rate": float(label.astype(int).mean())}

    def curves(self, label: Array, answer: Array) -> dict[str, list[list[float]]]:
        """`roc`: false and true positive rate. `precision_recall`: recall and precision. `calibration`."""
        from sklearn import metrics

        self.figures(label, answer)  # refuses what cannot be judged
        wrong, right, _ = metrics.roc_curve(label, answer)
        precision, recall, _ = metrics.precision_recall_curve(label, answer)
        # Of a few rows the precision is chance, and the last point, of none, is scikit-learn's own.
        told = recall[::-1] >= 1 / POINTS
        recall, precision = recall[::-1][told], precision[::-1][told]
        return {
            "roc": points(wrong + right, wrong, right),
            "precision_recall": points(recall, recall, precision),
            "calibration": reliability(answer, label),
        }

    def confusion(self, label: Array, answer: Array, decision: Mapping[str, float]) -> list[list[int]]:
        decided = self.decide(answer, decision)
        return [[int(np.sum((label == truth) & (decided == said))) for said in (0, 1)] for truth in (0, 1)]

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("0", "1")

    def group_answers(self, group: Array, label: Array, groups: int) -> Array:
        """The rate of label 1; a pseudo-row at the overall rate keeps a tiny group from 0 or 1."""
        count = np.bincount(group, minlength=groups)
        rate: Array = (np.bincount(group, weights=label, minlength=groups) + label.mean()) / (count + 1)
        return rate

    def linear(self, inputs: Array, label: Array, *, unseen: Array) -> Array:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(max_iter=300).fit(inputs, label)
        return fitted.predict_proba(unseen)[:, 1]  # type: ignore[no-any-return]


def figures(label: Array, probability: Array) -> dict[str, float]:
    """`Binary.figures`, under the name that `mlops upgrade` gave it in projects of 0.1 to 0.4, as below."""
    return Binary().figures(label, probability)


def logistic(inputs: Array, label: Array, *, unseen: Array) -> Array:
    return Binary().linear(inputs, label, unseen=unseen)


def naive(
    rows: Mapping[str, Array], label: Array, columns: Sequence[Column], *, unseen: Mapping[str, Array]
) -> tuple[str, Array]:
    return best_column(Binary(), rows, label, columns, unseen=unseen)


def standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve (Hanley & McNeil 1982, Radiology 143:29-36).

    Args:
        auc: the area, between 0 and 1.
        positives, negatives: rows with label 1 and 0, at least 1 of each.
    """
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return math.sqrt(max(variance, 0.0) / (positives * negatives))


def log_loss_rows(label: Array, probability: Array) -> Array:
    """Minus the logarithm of the probability of what happened, in nats, `(n,)`.

    Args:
        label: class numbers `(n,)`. probability: of label 1 `(n,)`, or of each class `(n, k)`.
    """
    each = probability if probability.ndim == 2 else np.column_stack([1 - probability, probability])
    # As scikit-learn does, so that a probability of 0 does not make the figure infinite.
    least = np.finfo(each.dtype).eps
    happened = np.clip(each[np.arange(len(label)), label.astype(np.int64)], least, 1 - least)
    rows: Array = -np.log(happened)
    return rows


def _area(label: Array, answer: Array) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label.astype(int), answer))


def _area_bounds(value: float, label: Array) -> tuple[float, float]:
    positives = int(np.sum(label))
    half = Z95 * standard_error(value, positives, len(label) - positives)
    return max(value - half, 0.0), min(value + half, 1.0)


def _precision(label: Array, answer: Array) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label.astype(int), answer))


def _precision_bounds(value: float, label: Array) -> tuple[float, float]:
    """On the logit scale with the positives as sample size.

    As recommended by Boyd, Eng & Page 2013, "Area under the precision-recall curve: point estimates and
    confidence intervals" (ECML PKDD): deterministic, and as good here as a bootstrap over rows.
    """
    positives = int(np.sum(label))
    # 0 and 1 have no logit: as far from them as half a row.
    inner = min(max(value, 0.5 / positives), 1 - 0.5 / positives)
    centre, half = math.log(inner / (1 - inner)), Z95 / math.sqrt(positives * inner * (1 - inner))
    lower, upper = (1 / (1 + math.exp(-point)) for point in (centre - half, centre + half))
    return min(lower, value), max(upper, value)


def _brier_rows(label: Array, answer: Array) -> Array:
    rows: Array = (answer - label) ** 2
    return rows


_METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", "AUC", 1, area_rows, _area, _area_bounds, guessed=0.5),
        # By chance it is the share of label 1 (Saito and Rehmsmeier 2015, PLOS ONE 10(3), e0118432).
        Metric(
            "average_precision",
            "average precision",
            1,
            precision_rows,
            _precision,
            _precision_bounds,
            guessed="rate",
        ),
        Metric("log_loss", "log loss", 0, log_loss_rows),
        Metric("brier", "Brier score", 0, _brier_rows),
    )
}
