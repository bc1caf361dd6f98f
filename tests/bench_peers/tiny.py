"""The model that every server has: 32 numbers → 64 → 1, ReLU, random weights."""

import numpy as np

_random = np.random.default_rng(0)
_FIRST, _LAST = _random.normal(size=(32, 64)) / 6, _random.normal(size=(64, 1)) / 8


def predict(rows):
    """Rows of 32 numbers → a number each."""
    inputs = np.asarray(rows, dtype=np.float64)
    return (np.maximum(inputs @ _FIRST, 0) @ _LAST)[:, 0].tolist()
