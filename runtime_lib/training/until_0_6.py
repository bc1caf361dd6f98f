"""What a `Model` had until 0.6, when each was a network that answers yes or no: docs/api.md promised it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column
    from runtime_lib.training.trainer import Fitted
    from runtime_lib.training.trainers.network import FittedNetwork

__all__ = ["ModelUntil06"]


class ModelUntil06:
    """Members of `Model` for binary tasks and networks; of other models each is a `ModelError`."""

    if TYPE_CHECKING:
        columns: tuple[Column, ...]
        decision: Mapping[str, float]
        fitted: Fitted

    @property
    def threshold(self) -> float:
        """`decision["threshold"]`: above it a row is decided as label 1."""
        if "threshold" not in self.decision:
            raise ModelError("Only a model of a binary task has a threshold; use `decide`.")
        return self.decision["threshold"]

    @property
    def info(self) -> Mapping[str, Any]:
        """What the model was made of."""
        network = self._network("info")
        return {
            "columns": [column.to_dict() for column in self.columns],
            "encoder": network.encoder.to_dict(),
            "architecture": network.architecture.module,
            "options": dict(network.architecture.options),
            "threshold": self.threshold,
        }

    @property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return self._network("width").encoder.width

    def encode(self, rows: Mapping[str, Array]) -> Array:
        """Return what the network is given for rows from `check_rows`: `float32` of shape `(n, width)`."""
        return self._network("encode").encoder.encode(rows)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the network's parameters by name."""
        return self._network("shapes").network.shapes()

    def _network(self, name: str) -> FittedNetwork:
        from runtime_lib.training.trainers.network import FittedNetwork

        if not isinstance(self.fitted, FittedNetwork):
            raise ModelError(f"Model.{name} is of networks alone; this one is of {self.fitted.trainer!r}.")
        return self.fitted
