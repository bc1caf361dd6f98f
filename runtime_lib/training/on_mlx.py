"""The network interface on MLX: Metal on Apple silicon, the CPU build on Linux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.optimizers import AdamW
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.task.task import Task
from runtime_lib.training.network import Framework, Optimizer, answered, mean_loss, misfit, pieces

__all__ = ["MlxNetwork"]


def _pinball(outputs: Any, target: Any, levels: Sequence[float]) -> Any:
    share, over = mx.array(list(levels)), target - outputs
    return mx.maximum(share * over, (share - 1) * over).mean()


# By the task's name of it: from outputs `(n, width)` and targets to the mean over the rows.
_LOSSES: dict[str, Any] = {
    "binary_cross_entropy": partial(nn.losses.binary_cross_entropy, with_logits=True),
    "cross_entropy": partial(nn.losses.cross_entropy, reduction="mean"),
    "huber": partial(nn.losses.huber_loss, reduction="mean"),
    "pinball": _pinball,
}


class MlxNetwork:
    framework: Framework = "mlx"

    def __init__(
        self,
        module: ModuleType,
        options: dict[str, Any],
        *,
        task: Task,
        device: str,
        seed: int,
        optimizer: Optimizer | None,
    ) -> None:
        mx.random.seed(seed)
        self.device, self._task = device, task
        self._loss_of_task: Any = partial(_LOSSES[task.loss], **task.loss_options)
        # A module of the project may have its own, see `Architecture`.
        self._step: Any = getattr(module, "mlx_step", None)
        # Else MLX takes the GPU wherever there is one, also one that was refused.
        self._place = getattr(mx, device)
        with mx.stream(self._place):
            self._net = module.mlx_network(**options)
            mx.eval(self._net.parameters())
        self._steps: Any = None
        if optimizer:
            # MLX's Adam leaves bias correction out by default; with it, both frameworks take the same steps.
            self._steps = AdamW(
                optimizer.learning_rate, weight_decay=optimizer.weight_decay, bias_correction=True
            )

    @staticmethod
    def shapes_of(module: ModuleType, options: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters by name; MLX makes no array before it is evaluated."""
        return _shapes(module.mlx_network(**options))

    def train_epoch(
        self, inputs: Array, label: Array, *, batches: Sequence[Array], at_once: int | None = None
    ) -> float:
        assert self._steps is not None, "built without an optimiser"
        self._net.train()
        with mx.stream(self._place):
            x, y = mx.array(inputs), mx.array(self._task.target(label))
            total = 0.0
            for batch in batches:
                loss, gradient = self._gradient(x, y, pieces(batch, at_once))
                self._steps.update(self._net, gradient)
                mx.eval(self._net.parameters(), self._steps.state)
                total += loss.item()
        return total / len(batches)

    def _gradient(self, x: Any, y: Any, parts: Sequence[Array]) -> tuple[Any, Any]:
        """Mean loss of a batch in parts, and its gradient; each part is computed before the next."""
        step = nn.value_and_grad(self._net, self._loss)
        count = sum(len(part) for part in parts)
        loss, gradient = 0.0, None
        for part in parts:
            rows = mx.array(part)
            of_part, gradient_of_part = step(x[rows], y[rows])
            if len(parts) == 1:
                return of_part, gradient_of_part
            share = len(part) / count  # so that the parts' means add up to the batch's
            loss += share * of_part
            scaled = tree_map(lambda value, share=share: share * value, gradient_of_part)
            gradient = scaled if gradient is None else tree_map(mx.add, gradient, scaled)
            mx.eval(loss, gradient)
        return loss, gradient

    def predict(self, inputs: Array) -> Array:
        self._net.eval()
        with mx.stream(self._place):
            return answered(self._task, np.array(self._net(mx.array(inputs))))

    def exact(self) -> None:
        """Metal has no double precision."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return _shapes(self._net)

    def weights(self) -> dict[str, Array]:
        return {name: np.array(value) for name, value in tree_flatten(self._net.parameters())}

    def load(self, weights: Mapping[str, Array]) -> None:
        if wrong := misfit(self.shapes(), weights):
            raise ModelError(f"The weights do not fit the network: {wrong}.")
        self._net.update(tree_unflatten([(name, mx.array(value)) for name, value in weights.items()]))
        mx.eval(self._net.parameters())

    def _loss(self, x: Any, y: Any) -> Any:
        if not self._step:
            return self._loss_of_task(self._net(x), y)
        return mean_loss(self._step(self._net, x, y), "mlx_step")


def _shapes(net: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tree_flatten(net.parameters())}
