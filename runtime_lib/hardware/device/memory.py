"""How much memory a training or a prediction needs, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.device.device import Device

__all__ = ["Size", "Workload"]

# The interpreter with torch, pandas, pyarrow and scikit-learn, measured on Linux: 362 MiB.
_RUNTIME_BYTES = 400 * 2**20
# Bytes per parameter. AdamW holds weights, gradients and two moments in float32 (4 + 4 + 8; "16 bytes",
# ZeRO, Rajbhandari et al. 2020, section 3.1); gradients are held twice while those of another micro-batch
# are added.
_WEIGHTS, _GRADIENTS, _MOMENTS = 4, 8, 8
# An optimiser's step: torch keeps the size of the parameters for it (documentation of AdamW, `foreach`);
# MLX makes new weights and moments before it lets go of the old (measured: 28 bytes in all).
_STEP = {"torch": 4, "mlx": 12}
# The best weights so far are kept in the host's memory, and replaced by new ones.
_BEST = 8
# Activations and their gradients: peak of a training step over what its forward pass
# keeps, measured with MLPs with dropout (torch 1.3 to 2.2, by how its allocator reuses memory; MLX 2.3).
_BACKWARD = 2.5
# A prediction may take as much as a training step, and this much in any case: small pieces are slow.
_PREDICT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Workload:
    """The size of a training (or, `training=False`, of a prediction of `batch_size` rows).

    `sample_bytes`: one encoded row in float32. `activation_bytes`: what the forward pass of one row keeps,
    in float32. `rows`: of the table that lies on the device all the time.
    """

    parameters: int
    sample_bytes: int
    activation_bytes: int
    batch_size: int
    rows: int = 0
    training: bool = True

    def __post_init__(self) -> None:
        for name in ("parameters", "sample_bytes", "activation_bytes", "rows"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} = {getattr(self, name)}: a workload has no negative size.")
        if self.batch_size < 1:
            raise SettingsError(f"batch_size = {self.batch_size}: take at least 1.")


@dataclass(frozen=True)
class Size:
    """Memory of a workload in float32, in bytes."""

    device: Device
    work: Workload

    @property
    def fixed(self) -> int:
        """What does not depend on how many rows are computed at once."""
        return _RUNTIME_BYTES + self.work.parameters * self.per_parameter + self.table

    @property
    def table(self) -> int:
        return self.work.rows * self.work.sample_bytes

    @property
    def per_parameter(self) -> int:
        if not self.work.training:
            return _WEIGHTS
        on_host = _BEST if self.device.name == "cpu" else 0
        return _WEIGHTS + _GRADIENTS + _MOMENTS + _STEP.get(self.device.framework, 0) + on_host

    @property
    def per_row(self) -> int:
        factor = _BACKWARD if self.work.training else 1
        return max(self.per_predicted, self.work.sample_bytes + ceil(self.work.activation_bytes * factor))

    @property
    def per_predicted(self) -> int:
        return max(1, self.work.sample_bytes + self.work.activation_bytes)

    @property
    def least(self) -> int:
        """With one row at a time."""
        return self.fixed + self.per_row

    def rows_bytes(self, rows: int) -> int:
        return rows * self.per_row

    def predict_bytes(self, rows: int) -> int:
        return rows * self.per_predicted

    def pieces(self, limit: int | None) -> int:
        """Into how many micro-batches a batch is cut, as equal as can be."""
        at_once = self.work.batch_size if limit is None else (limit - self.fixed) // self.per_row
        return ceil(self.work.batch_size / min(self.work.batch_size, at_once))

    def predicted(self, limit: int | None) -> int:
        """How many rows are predicted at once."""
        step = self.rows_bytes(ceil(self.work.batch_size / self.pieces(limit)))
        room = max(step, _PREDICT_BYTES)
        if limit is not None:
            room = min(room, limit - self.fixed)
        return min(max(self.work.rows, self.work.batch_size), room // self.per_predicted)
