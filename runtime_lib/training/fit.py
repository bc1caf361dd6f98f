"""The loop that trains a network: epochs, early stopping on the validation months, the best weights kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError
from runtime_lib.hardware import Device
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.progress import counted
from runtime_lib.task.task import Task
from runtime_lib.training.build import build
from runtime_lib.training.network import Architecture, Network, Optimizer, pieces, predict
from runtime_lib.training.trainer import FitParams, OnEpoch

__all__ = ["fit_network", "network_for"]


def network_for(
    architecture: Architecture, *, task: Task, params: FitParams, device: Device, trusted: Sequence[str] = ()
) -> Network:
    """A freshly initialised network on its device, ready to be trained."""
    return build(
        architecture,
        framework=device.framework,
        device=device.name,
        seed=params.seed,
        optimizer=Optimizer(params.learning_rate, params.weight_decay),
        trusted=trusted,
        task=task,
    )


def fit_network(
    network: Network,
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    *,
    task: Task,
    params: FitParams,
    on_epoch: OnEpoch,
    plan: ComputePlan | None = None,
) -> tuple[int, int, Array]:
    """Train until the task's metric on the validation rows has not improved for `params.patience` epochs.

    Args:
        train, validation: encoded inputs `float32` `(n, width)` with labels `(n,)` of the task.
        on_epoch: called with the epoch's number and figures, for the record.
        plan: how many rows are computed at once (default: a whole batch, and all to predict).

    Returns:
        The epoch whose weights the network has now, the epochs that were run, and the answers on the
        validation rows.

    Raises:
        DataError: the loss is no longer finite (a learning rate too high, or inputs out of range).
        ModelError: the network gives another number of outputs than the task needs.
    """
    micro_batch, predict_rows = (plan.micro_batch, plan.predict_rows) if plan else (None, None)
    predict(network, validation[0][:1])  # a network of other outputs: some losses would not notice
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
            score = figures[task.metric.name]
            on_epoch(epoch, {"train_loss": loss, **{f"validation_{k}": v for k, v in figures.items()}})
            advance(1, f"validation {task.metric.name} {score:.4f}")
            if best is None or task.metric.gain(score, best) > 0:
                best, best_epoch, best_weights = score, epoch, network.weights()
            elif epoch - best_epoch >= params.patience:
                break
    network.load(best_weights)
    return best_epoch, epoch, predict(network, validation[0], at_once=predict_rows)


def _batches(rows: int, size: int, order: np.random.Generator) -> list[Array]:
    shuffled = order.permutation(rows)
    return pieces(shuffled, size)
