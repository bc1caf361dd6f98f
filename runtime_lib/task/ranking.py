"""Figures of a ranking, taken apart into each row's share of them. Labels 0 and 1, both present."""

from __future__ import annotations

import numpy as np

from runtime_lib.data.columns import Array

__all__ = ["area_rows", "precision_rows"]


def area_rows(label: Array, score: Array) -> Array:
    """Each row's share of the area under the ROC curve, `(n,)`.

    The structural components of DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44:837-845), weighted so
    that their mean is the area and their variance over n its variance.
    """
    positive = label == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    own, rank = np.empty(len(score)), _ranks(score)
    # Of a row, the share of the other kind's rows that it is ranked right against.
    own[positive] = (rank[positive] - _ranks(score[positive])) / zeros
    own[~positive] = 1 - (rank[~positive] - _ranks(score[~positive])) / ones
    area = own[positive].mean()
    weight = np.where(positive, len(score) / ones, len(score) / zeros)
    rows: Array = area + weight * (own - area)
    return rows


def precision_rows(label: Array, score: Array) -> Array:
    """Each row's share of the average precision, `(n,)`.

    The infinitesimal jackknife (Jaeckel 1972; Efron 1982, "The Jackknife, the Bootstrap and Other Resampling
    Plans", chapter 6): what the figure gains when the row counts a little more.
    """
    order = np.argsort(-score, kind="stable")
    ranked, ones = score[order], (label[order] == 1).astype(np.float64)
    # Rows of one score are told apart by nothing: each sees all of its own score.
    last = np.searchsorted(-ranked, -ranked, side="right") - 1
    first = np.searchsorted(-ranked, -ranked, side="left")
    right, seen = np.cumsum(ones)[last], (last + 1).astype(np.float64)
    precision, total = right / seen, ones.sum()
    figure = float((ones * precision).sum() / total)
    # A row above or among them adds to what the positives below it see: right answers, or wrong ones.
    gains, losses = ones * (seen - right) / seen**2, ones * right / seen**2
    below_gains, below_losses = (np.cumsum(each[::-1])[::-1][first] for each in (gains, losses))
    moved = np.where(ones == 1, precision - figure + below_gains, -below_losses) / total
    shares = np.empty(len(score))
    shares[order] = figure + len(score) * moved
    return shares


def _ranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Array = (last - (count - 1) / 2)[place]
    return mean
