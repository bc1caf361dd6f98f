"""What the trees of scikit-learn's histogram gradient boosting say of each column: gains, and exact shares.

TreeSHAP in its path-dependent form (Lundberg, Erion, Lee 2018, arXiv:1802.03888): where a column is not
known, a tree goes both ways at its splits, by the shares of the training rows that did. What a column adds is
its Shapley value in that game.

A leaf adds its value times a factor for each column on the path to it: 1 or 0 where the column is known, by
whether the row goes that way at all its splits, else the share of the training rows that do. The Shapley
value of such a product is an integral over the share `t` of the columns that are known (Owen 1972,
"Multilinear extensions of games", Management Science 18:64-79), of a polynomial, which Gauss-Legendre sums up
exactly.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.training.network import pieces

__all__ = ["column_gains", "tree_shares"]

_CELLS = 2_000_000  # nodes x rows x columns that are held at a time


def column_gains(estimator: Any, owner: Array, columns: int) -> Array:
    """By how much each column's splits lowered the loss, `(columns,)`; arguments as for `tree_shares`."""
    gains, place = np.zeros(columns), _places(estimator, owner)
    for tree in (tree for stage in estimator._predictors for tree in stage):
        splits = tree.nodes[tree.nodes["is_leaf"] == 0]
        np.add.at(gains, place[splits["feature_idx"]], splits["gain"])
    return gains


def tree_shares(estimator: Any, matrix: Array, owner: Array, columns: int) -> tuple[Array, Array]:
    """What each column adds to the raw answer, before the estimator's link.

    Args:
        estimator: a fitted HistGradientBoostingClassifier or -Regressor.
        matrix: what it answers for, `(n, its columns)`.
        owner: the column that each of its columns is of, by place; those of one, such as the levels of a
            category, are known or unknown together. columns: how many own.

    Returns:
        `(n, outputs, columns)`, and what is there without them, `(outputs,)`. They add up to the answer.
    """
    nodes = max(len(tree.nodes) for stage in estimator._predictors for tree in stage)
    at_once = max(1, _CELLS // (nodes * columns))
    # This puts categories first, and gives a level that training never saw as missing.
    prepared = estimator._preprocess_X(matrix, reset=False)
    found = [_of_trees(estimator, part, owner, columns) for part in pieces(prepared, at_once)]
    return np.concatenate([shares for shares, _ in found]), found[0][1]


def _places(estimator: Any, owner: Array) -> Array:
    """The owners in the order of the trees' columns: categories come first."""
    categories = estimator.is_categorical_
    return owner if categories is None else np.concatenate([owner[categories], owner[~categories]])


def _of_trees(estimator: Any, prepared: Array, owner: Array, columns: int) -> tuple[Array, Array]:
    start = np.array(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    shares = np.zeros((len(prepared), len(start), columns))
    place = _places(estimator, owner)
    for stage in estimator._predictors:
        for output, tree in enumerate(stage):
            split, added, expected = _of_tree(tree, place, prepared)
            shares[:, output, split] += added
            start[output] += expected
    return shares, start


def _of_tree(tree: Any, place: Array, prepared: Array) -> tuple[Array, Array, float]:
    """The columns that a tree splits by, what each adds `(n, columns)`, and what is there without them."""
    nodes = tree.nodes
    splits = np.flatnonzero(nodes["is_leaf"] == 0)
    columns, own = np.unique(place[nodes["feature_idx"][splits]], return_inverse=True)
    # By column, on the way to each node: the share of the training rows that go it, and whether a row does.
    share = np.ones((len(nodes), 1, len(columns)))
    goes = np.ones((len(nodes), len(prepared), len(columns)), dtype=bool)
    for node, column in zip(splits, own, strict=True):  # a node stands before the two below it
        left = _goes_left(tree, nodes[node], prepared)
        for child, there in ((nodes["left"][node], left), (nodes["right"][node], ~left)):
            share[child], goes[child] = share[node], goes[node]
            share[child, :, column] *= nodes["count"][child] / nodes["count"][node]
            goes[child, :, column] &= there
    leaves = nodes["is_leaf"] == 1
    value, share, goes = nodes["value"][leaves][:, None], share[leaves], goes[leaves]
    added = np.zeros((len(prepared), len(columns)))
    for known, weight in _points(int((share < 1).sum(axis=2).max())):
        factors = share * (1 - known) + goes * known
        rest = weight * value * factors.prod(axis=2)
        added += np.einsum("lnc,ln->nc", (goes - share) / factors, rest)
    return columns, added, float(np.sum(value * share.prod(axis=2)))


def _goes_left(tree: Any, node: Any, prepared: Array) -> Array:
    values = prepared[:, node["feature_idx"]]
    missing = np.isnan(values)
    if node["is_categorical"]:
        codes = np.where(missing, 0, values).astype(np.int64)
        words = tree.raw_left_cat_bitsets[node["bitset_idx"]][codes // 32]
        left = (words >> (codes % 32).astype(np.uint32)) & 1 == 1
    else:
        left = values <= node["num_threshold"]
    return np.where(missing, bool(node["missing_go_to_left"]), left)


@cache
def _points(columns: int) -> list[tuple[float, float]]:
    """Places between 0 and 1, and weights, that are exact for so many columns: a degree of one less."""
    at, weights = np.polynomial.legendre.leggauss(columns // 2 + 1)
    return list(zip(((at + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))
