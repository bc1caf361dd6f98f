"""The interface of a network in numpy, for answers alone: no framework to import, and none to wait for."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.task.task import Task
from runtime_lib.training.network import MOST_EXACT, Framework, answered, misfit

__all__ = ["NumpyNetwork"]


class NumpyNetwork:
    framework: Framework = "numpy"
    device = "cpu"

    def __init__(self, module: ModuleType, options: Mapping[str, Any], *, task: Task) -> None:
        self._task, self._net = task, module.numpy_network(**options)
        self._weights: dict[str, Array] = {}
        self._kind: type[np.floating[Any]] = np.float32

    def predict(self, inputs: Array) -> Array:
        raw = self._net(self._weights, inputs.astype(self._kind))
        return answered(self._task, raw.astype(np.float32))

    def exact(self) -> None:
        """Below a million parameters, as torch on a CPU: the two then give the same digits."""
        if sum(value.size for value in self._weights.values()) > MOST_EXACT:
            return
        self._kind = np.float64
        self._weights = {name: value.astype(np.float64) for name, value in self._weights.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._net.shapes)

    def weights(self) -> dict[str, Array]:
        return {name: value.astype(np.float32) for name, value in self._weights.items()}

    def load(self, weights: Mapping[str, Array]) -> None:
        if wrong := misfit(self.shapes(), weights):
            raise ModelError(f"The weights do not fit the network: {wrong}.")
        self._weights = {name: np.array(value, dtype=self._kind) for name, value in weights.items()}
