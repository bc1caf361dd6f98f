"""Multi-layer perceptron: linear layers with ReLU and dropout between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

__all__ = ["mlx_network", "torch_network"]


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
