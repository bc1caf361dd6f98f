"""The training loop: epochs, early stopping on the validation months, the best weights kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError, SettingsError
from runtime_lib.hardware import Device
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.progress import counted
from runtime_lib.task import binary as task
from runtime_lib.training.build import build
from runtime_lib.training.network import Architecture, Network, Optimizer, pieces, predict

__all__ = ["Fit", "FitParams", "fit_network", "network_for"]

Positive = Annotated[int, msgspec.Meta(ge=1)]


class FitParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `train` of params.yaml, less the network's own options."""

    seed: int = 7
    epochs: Positive = 12
    patience: Positive = 2
    batch_size: Positive = 1024
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-4

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> FitParams:
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise SettingsError(f"params.yaml, train: {error} (found {dict(fields)}).") from error


@dataclass(frozen=True)
class Fit:
    """A trained network at its best epoch."""

    network: Network
    epoch: int
    epochs: int
    validation_probability: Array


def network_for(
    architecture: Architecture, *, params: FitParams, device: Device, trusted: Sequence[str] = ()
) -> Network:
    """A freshly initialised network on its device, ready to be trained."""
    return build(
        architecture,
        framework=device.framework,
        device=device.name,
        seed=params.seed,
        optimizer=Optimizer(params.learning_rate, params.weight_decay),
        trusted=trusted,
    )


def fit_network(
    network: Network,
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    *,
    params: FitParams,
    on_epoch: Callable[[int, Mapping[str, float]], None],
    plan: ComputePlan | None = None,
) -> Fit:
    """Train until the task's metric on the validation rows has not improved for `params.patience` epochs.

    Args:
        train, validation: encoded inputs `float32` `(n, width)` with labels `(n,)`.
        on_epoch: called with the epoch's number and figures, for the record.
        plan: how many rows are computed at once (default: a whole batch, and all to predict).

    Raises:
        DataError: the loss is no longer finite (a learning rate too high, or inputs out of range).
    """
    micro_batch, predict_rows = (plan.micro_batch, plan.predict_rows) if plan else (None, None)
    order = np.random.default_rng(params.seed)
    best, best_epoch, best_weights = None, 0, network.weights()
    epoch = 0
    with counted(params.epochs, "epoch") as advance:
        for epoch in range(1, params.epochs + 1):
            batches = _batches(len(train[1]), params.batch_size, order)
            loss = network.train_epoch(*train, batches=batches, at_once=micro_batch)
            if not np.isfinite(loss):
                raise DataError(
                    f"The loss is {loss} at epoch {epoch}: lower train.learning_rate in params.yaml."
                )
            figures = task.figures(validation[1], predict(network, validation[0], at_once=predict_rows))
            score = figures[task.METRIC.name]
            on_epoch(epoch, {"train_loss": loss, **{f"validation_{k}": v for k, v in figures.items()}})
            advance(1, f"validation {task.METRIC.name} {score:.4f}")
            if best is None or task.METRIC.gain(score, best) > 0:
                best, best_epoch, best_weights = score, epoch, network.weights()
            elif epoch - best_epoch >= params.patience:
                break
    network.load(best_weights)
    return Fit(network, best_epoch, epoch, predict(network, validation[0], at_once=predict_rows))


def _batches(rows: int, size: int, order: np.random.Generator) -> list[Array]:
    shuffled = order.permutation(rows)
    return pieces(shuffled, size)
