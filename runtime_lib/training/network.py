"""A network by name, and the small interface that MLX and torch both offer, numpy as far as it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.task.task import Task

__all__ = [
    "MOST_EXACT",
    "Answering",
    "Architecture",
    "Framework",
    "Network",
    "Optimizer",
    "answered",
    "mean_loss",
    "misfit",
    "pieces",
    "predict",
]

Framework = Literal["mlx", "torch", "numpy"]

# Parameters of a network that a CPU computes in double precision: above, twice the time would be felt.
MOST_EXACT = 1_000_000

_OURS = "runtime_lib.training.networks"


@dataclass(frozen=True)
class Architecture:
    """Which network and how large.

    `module` is `mlp` for the library's own (`runtime_lib.training.networks.mlp`) or the dotted path
    of a module in the project's package that offers `torch_network` and `mlx_network`.

    Such a module may also say what is learned: `torch_step(network, inputs, target)` and `mlx_step` give the
    mean loss of some rows, instead of the task's loss. Inputs are `(n, width)` in `float32`, the target is
    that of `Task.target`. It is for training alone: a server needs the network.

    `numpy_network` is a third twin, for answers alone: it has `shapes`, of the parameters by name as in the
    other two, and is called with `(weights, inputs)`, arrays of one precision, for outputs `(n, outputs)`.

    And `units(**options)`: how many numbers all layers give for one row, for the plan of a network whose
    layers are applied at many positions.
    """

    module: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self, trusted: Sequence[str]) -> ModuleType:
        """Import the module, if it is the library's or below a trusted package; nothing else is imported."""
        path = self.module if "." in self.module else f"{_OURS}.{self.module}"
        if not any(path.startswith(f"{package}.") for package in (_OURS, *trusted)):
            raise ModelError(
                f"The architecture '{self.module}' is not trusted: its module is neither below {_OURS} nor "
                f"below {', '.join(trusted) or 'a trusted package'}. Load only models whose origin you know."
            )
        try:
            return import_module(path)
        except ModuleNotFoundError as error:
            raise ModelError(f"The architecture's module '{path}' does not exist ({error}).") from error

    def units(self, trusted: Sequence[str]) -> int | None:
        """What the module says of itself; None: it does not."""
        of = getattr(self.load(trusted), "units", None)
        return int(of(**self.options)) if of else None


@dataclass(frozen=True)
class Optimizer:
    """AdamW, with bias correction in both frameworks (off by default in MLX)."""

    learning_rate: float
    weight_decay: float


class Answering(Protocol):
    """A network with its weights on a device, as far as it answers."""

    framework: Framework
    device: str

    def predict(self, inputs: Array) -> Array:
        """The task's answers, `float64`, for `float32` inputs `(n, width)`."""

    def exact(self) -> None:
        """Compute answers in double precision from now on, where device and network can.

        Matrix products round otherwise for one row than for many. Rounded to `float32` only at the end, a
        row has the same answer alone and among others.
        """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters by name."""

    def weights(self) -> dict[str, Array]:
        """Copies of all parameters by name, `float32`."""

    def load(self, weights: Mapping[str, Array]) -> None:
        """Take these parameters over; names and shapes must fit exactly."""


class Network(Answering, Protocol):
    """A network that can be trained."""

    def train_epoch(
        self, inputs: Array, label: Array, *, batches: Sequence[Array], at_once: int | None = None
    ) -> float:
        """Take one optimiser step per batch of row numbers; return the mean loss (for classes in nats).

        With `at_once`, gradients are computed for so many rows at a time and added: the step is that of the
        whole batch, as long as the network treats each row on its own (no batch normalisation).
        """


def answered(task: Task, raw: Array) -> Array:
    """The task's answers from what a network gave.

    Raises:
        ModelError: it gives another number of outputs than the task needs. A task that has not learned its
            classes yet takes any.
    """
    if raw.ndim != 2 or raw.shape[1] != (task.width or raw.shape[1]):
        raise ModelError(
            f"The network gives outputs of shape {list(raw.shape[1:])} for a row; a {task.kind} task needs "
            f"{task.width}. Let model(inputs, outputs, params) hand their number on: "
            f'Architecture("mlp", {{"inputs": inputs, "outputs": outputs, **params["network"]}}).'
        )
    return task.answer(raw)


def predict(network: Answering, inputs: Array, *, at_once: int | None = None) -> Array:
    """`network.predict`, for at most `at_once` rows at a time."""
    if at_once is None or len(inputs) <= at_once:
        return network.predict(inputs)
    return np.concatenate([network.predict(part) for part in pieces(inputs, at_once)])


def pieces(rows: Array, at_once: int | None) -> list[Array]:
    """Cut along the first axis into parts of at most `at_once`."""
    size = at_once or len(rows)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def mean_loss(loss: Any, step: str) -> Any:
    """What a step of the project's own returned, if it is one number.

    Raises:
        ModelError: it is a loss for each row, or no loss at all.
    """
    if getattr(loss, "ndim", None) != 0:
        found = f"an array of {loss.ndim} axes" if hasattr(loss, "ndim") else f"{loss!r:.40}"
        raise ModelError(f"{step} must return the mean loss of the rows, one number; it returned {found}.")
    return loss


def misfit(expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, Array]) -> str | None:
    """Say in words how `weights` differ from the expected names and shapes, if they do."""
    if names := sorted(set(expected) ^ set(weights)):
        return f"parameter '{names[0]}' is {'missing' if names[0] in expected else 'unknown'}"
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            return f"parameter '{name}' has shape {tuple(weights[name].shape)}, the network wants {shape}"
    return None
