"""Multi-layer perceptron: linear layers with ReLU and dropout between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array

__all__ = ["mlx_network", "numpy_network", "torch_network"]


def torch_network(*, inputs: int, hidden: Sequence[int], outputs: int = 1, dropout: float = 0.0) -> Any:
    """Return the torch twin; `inputs` columns in, `outputs` numbers out."""
    from torch import Tensor, nn

    class MLP(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([inputs, *hidden, outputs]))
            self.dropout = nn.Dropout(dropout)

        def forward(self, x: Tensor) -> Tensor:
            for layer in list(self.layers)[:-1]:
                x = self.dropout(layer(x).relu())
            return self.layers[-1](x)  # type: ignore[no-any-return]

    return MLP()


def mlx_network(*, inputs: int, hidden: Sequence[int], outputs: int = 1, dropout: float = 0.0) -> Any:
    """Return the MLX twin; `inputs` columns in, `outputs` numbers out."""
    import mlx.nn as nn

    class MLP(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(a, b) for a, b in pairwise([inputs, *hidden, outputs])]
            self.dropout = nn.Dropout(dropout)

        def __call__(self, x: Any) -> Any:
            for layer in self.layers[:-1]:
                x = self.dropout(nn.relu(layer(x)))
            return self.layers[-1](x)

    return MLP()


def numpy_network(*, inputs: int, hidden: Sequence[int], outputs: int = 1, dropout: float = 0.0) -> Any:
    """Return the numpy twin, which answers and is not trained; `dropout` is for training."""
    sizes = list(pairwise([inputs, *hidden, outputs]))
    names = [(f"layers.{place}.weight", f"layers.{place}.bias") for place in range(len(sizes))]

    class MLP:
        def __init__(self) -> None:
            self.shapes: dict[str, tuple[int, ...]] = {}
            for (weight, bias), (a, b) in zip(names, sizes, strict=True):
                self.shapes |= {weight: (b, a), bias: (b,)}

        def __call__(self, weights: Mapping[str, Array], x: Array) -> Array:
            for weight, bias in names[:-1]:
                x = x @ weights[weight].T
                x += weights[bias]
                np.maximum(x, 0, out=x)
            weight, bias = names[-1]
            return x @ weights[weight].T + weights[bias]

    return MLP()
