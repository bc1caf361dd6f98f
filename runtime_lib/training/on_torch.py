"""The network interface on torch: CPU, CUDA or Apple's MPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.task.task import Task
from runtime_lib.training.network import (
    MOST_EXACT,
    Framework,
    Optimizer,
    answered,
    mean_loss,
    misfit,
    pieces,
)

__all__ = ["TorchNetwork"]


def _pinball(outputs: torch.Tensor, target: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    share, over = outputs.new_tensor(levels), target - outputs
    return torch.maximum(share * over, (share - 1) * over).mean()


# By the task's name of it: from outputs `(n, width)` and targets to the mean over the rows.
_LOSSES: dict[str, Any] = {
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    "cross_entropy": functional.cross_entropy,
    "huber": functional.huber_loss,
    "pinball": _pinball,
}


class TorchNetwork:
    framework: Framework = "torch"

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
        torch.manual_seed(seed)
        self.device, self._task = device, task
        self._loss_of_task: Any = partial(_LOSSES[task.loss], **task.loss_options)
        # A module of the project may have its own, see `Architecture`.
        self._step: Any = getattr(module, "torch_step", None)
        self._net = module.torch_network(**options).to(device)
        self._kind: type[np.floating[Any]] = np.float32
        self._steps = None
        if optimizer:
            self._steps = torch.optim.AdamW(
                self._net.parameters(), lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay
            )

    @staticmethod
    def shapes_of(module: ModuleType, options: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters by name; tensors on `meta` have a shape and no memory."""
        try:
            with torch.device("meta"):
                return _shapes(module.torch_network(**options))
        except (NotImplementedError, RuntimeError):  # a network that looks at values while it is made
            return _shapes(module.torch_network(**options))

    def train_epoch(
        self, inputs: Array, label: Array, *, batches: Sequence[Array], at_once: int | None = None
    ) -> float:
        assert self._steps is not None, "built without an optimiser"
        self._net.train()
        x, y = self._tensor(inputs), self._target(label)
        total = torch.zeros((), device=self.device)
        for batch in batches:
            self._steps.zero_grad()
            for part in pieces(batch, at_once):
                rows = torch.from_numpy(part).to(self.device)
                loss = self._loss(x[rows], y[rows])
                loss = loss * (len(part) / len(batch))  # so that the parts' means add up to the batch's
                loss.backward()
                total += loss.detach()
            self._steps.step()
        return float(total) / len(batches)

    def predict(self, inputs: Array) -> Array:
        self._net.eval()
        try:
            with torch.inference_mode():
                raw = self._net(self._tensor(inputs)).float().cpu().numpy()
            return answered(self._task, raw)
        except RuntimeError:  # of a network that makes single-precision tensors of its own
            if self._kind is np.float32:
                raise
            self._net.float()
            self._kind = np.float32
            return self.predict(inputs)

    def exact(self) -> None:
        """On a CPU, and below a million parameters: above, twice the time would be felt."""
        if self.device != "cpu" or sum(value.numel() for value in self._net.parameters()) > MOST_EXACT:
            return
        self._net.double()
        self._kind = np.float64

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return _shapes(self._net)

    def weights(self) -> dict[str, Array]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self._net.state_dict().items()}

    def load(self, weights: Mapping[str, Array]) -> None:
        if wrong := misfit(self.shapes(), weights):
            raise ModelError(f"The weights do not fit the network: {wrong}.")
        self._net.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        )

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        if not self._step:
            return self._loss_of_task(self._net(x), y)
        return mean_loss(self._step(self._net, x, y), "torch_step")

    def _target(self, label: Array) -> torch.Tensor:
        target = self._task.target(label)
        return torch.from_numpy(target).to(self.device) if target.dtype == np.int64 else self._tensor(target)

    def _tensor(self, values: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=self._kind)).to(self.device)


def _shapes(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}
