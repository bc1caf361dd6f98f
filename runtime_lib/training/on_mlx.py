"""The network interface on MLX: Metal on Apple silicon, the CPU build on Linux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.optimizers import AdamW
from mlx.utils import tree_flatten, tree_unflatten

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.training.network import Framework, Optimizer, misfit

__all__ = ["MlxNetwork"]


class MlxNetwork:
    framework: Framework = "mlx"

    def __init__(
        self,
        module: ModuleType,
        options: dict[str, Any],
        *,
        device: str,
        seed: int,
        optimizer: Optimizer | None,
    ) -> None:
        mx.random.seed(seed)
        self.device = device
        self._net = module.mlx_network(**options)
        self._steps: Any = None
        if optimizer:
            # MLX's Adam leaves bias correction out by default; with it, both frameworks take the same steps.
            self._steps = AdamW(
                optimizer.learning_rate, weight_decay=optimizer.weight_decay, bias_correction=True
            )
        mx.eval(self._net.parameters())

    def train_epoch(self, inputs: Array, label: Array, *, batches: Sequence[Array]) -> float:
        assert self._steps is not None, "built without an optimiser"
        self._net.train()
        x, y = mx.array(inputs), mx.array(label[:, None].astype(np.float32))
        step = nn.value_and_grad(self._net, self._loss)
        total = 0.0
        for batch in batches:
            rows = mx.array(batch)
            loss, gradient = step(x[rows], y[rows])
            self._steps.update(self._net, gradient)
            mx.eval(self._net.parameters(), self._steps.state)
            total += loss.item()
        return total / len(batches)

    def predict(self, inputs: Array) -> Array:
        self._net.eval()
        return np.array(mx.sigmoid(self._net(mx.array(inputs))[:, 0])).astype(np.float64)

    def weights(self) -> dict[str, Array]:
        return {name: np.array(value) for name, value in tree_flatten(self._net.parameters())}

    def load(self, weights: Mapping[str, Array]) -> None:
        expected = {name: tuple(value.shape) for name, value in tree_flatten(self._net.parameters())}
        if wrong := misfit(expected, weights):
            raise ModelError(f"The weights do not fit the network: {wrong}.")
        self._net.update(tree_unflatten([(name, mx.array(value)) for name, value in weights.items()]))
        mx.eval(self._net.parameters())

    def _loss(self, x: Any, y: Any) -> Any:
        return nn.losses.binary_cross_entropy(self._net(x), y, with_logits=True)
