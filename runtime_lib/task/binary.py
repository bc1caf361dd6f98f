"""Figures that judge a binary classifier."""

from __future__ import annotations

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError

__all__ = ["binary_metrics"]


def binary_metrics(label: Array, probability: Array) -> dict[str, float]:
    """Compare probabilities with what happened.

    Args:
        label: 0 or 1, shape `(n,)`.
        probability: of label 1, in [0, 1], shape `(n,)`.

    Returns:
        `roc_auc`, `average_precision`, `log_loss` (nats), `brier`, `rate` (share of label 1), `rows`.

    Raises:
        DataError: only one class is present, so that no ranking can be judged.
    """
    from sklearn import metrics

    label = label.astype(int)
    if len(classes := set(label.tolist())) < 2:
        raise DataError(
            f"All {len(label)} rows have the same label {classes or '(none)'}: nothing can be judged."
        )
    return {
        "roc_auc": float(metrics.roc_auc_score(label, probability)),
        "average_precision": float(metrics.average_precision_score(label, probability)),
        "log_loss": float(metrics.log_loss(label, probability)),
        "brier": float(metrics.brier_score_loss(label, probability)),
        "rate": float(label.mean()),
        "rows": float(len(label)),
    }
