"""The stage `train`: prepare → plan → hold → fit → save, with a record of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runtime_lib.hardware import Device, facts
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.energy.estimate import cost, figures
from runtime_lib.hardware.energy.meter import Used, meter
from runtime_lib.hardware.replay.folder import REPLAY, replayed
from runtime_lib.settings import Settings
from runtime_lib.tracking.lineage import plan_tags
from runtime_lib.tracking.record import Record
from runtime_lib.tracking.summary import TRAINER_TAG, side_by_side
from runtime_lib.training.hold import held
from runtime_lib.training.model import digest
from runtime_lib.training.prepare import ModelFunction, Prepared, prepare
from runtime_lib.training.trainer import OnEpoch
from runtime_lib.training.trial import Trial, fit_split, load_split

__all__ = ["train"]


def train(settings: Settings, model: ModelFunction, params: Mapping[str, Any]) -> None:
    """Train on `data/split/train.parquet`; write `models/candidate` and `models/record`.

    Args:
        model: the project's function of that name, see `ModelFunction`.
        params: the table `train` of params.yaml.
    """
    prepared = prepare(settings, model, params)
    first = prepared.plans[0]
    # Waiting for a share of the machine is no part of the run, costs it no energy and holds no tables.
    with held(settings, prepared.plans):
        split = load_split(settings, prepared)
        tags = {
            **plan_tags(first),
            "mlops.columns": json.dumps([column.name for column in prepared.columns]),
        }
        with Record.start(settings, prepared.described(), tags=tags) as record:
            _say(first)
            with _metered(settings, first.device, record):
                trial = fit_split(settings, prepared, split, on_epoch=_epochs(record, prepared))
            _keep(record, trial)
            trial.save(settings.candidate)
            record.finish(model_digest=digest(settings.candidate))


def _epochs(record: Record, prepared: Prepared) -> Callable[[str], OnEpoch]:
    """Record an epoch's figures below `epoch/`: a name without it is for the figures of the model.

    Of several candidates each has its own below that, by its name.
    """

    def of(name: str) -> OnEpoch:
        prefix = f"epoch/{name}/" if len(prepared.candidates) > 1 else "epoch/"
        return lambda epoch, figures: record.metrics(
            epoch, {prefix + figure: value for figure, value in figures.items()}
        )

    return of


def _keep(record: Record, trial: Trial) -> None:
    """Record the figures of the epoch whose weights are kept, which is seldom the last one.

    And, of several candidates, which one is kept, the figures of all, and by how much it is ahead.
    """
    kept = trial.fit.epoch
    figures = {f"validation_{name}": value for name, value in trial.figures.items()}
    record.metrics(kept, {"kept_epoch": kept, "epochs_run": trial.fit.epochs, **figures})
    if trial.ahead:
        _keep_best(record, trial)


def _keep_best(record: Record, trial: Trial) -> None:
    assert trial.ahead is not None
    measured = {
        f"trainer/{name}/{figure}": value
        for name, compared in trial.compared.items()
        for figure, value in compared.items()
    }
    measured |= {
        "ahead": trial.ahead.value,
        "ahead_least": trial.ahead.lower,
        "ahead_most": trial.ahead.upper,
    }
    record.metrics(0, measured)
    record.tag({**plan_tags(trial.kept.plan), TRAINER_TAG: trial.kept.name})
    told = side_by_side(measured, trial.prepared.task.metric)
    assert told is not None
    each = ", ".join(f"{name} {value:.4f}" for name, value in told.each.items())
    chance = "" if trial.ahead.lower > 0 else ", perhaps by chance"
    print(
        f"Kept: {trial.kept.name}, ahead by {told.ahead}{chance} (90 % interval {told.least} to {told.most}) "
        f"in validation {told.metric} ({each}).",
        flush=True,
    )


def _say(plan: ComputePlan) -> None:
    device = plan.device
    if folder := replayed():
        print(f"{REPLAY}: planned and recorded as the machine in {folder}, which is not this one.")
    print(f"Training with {device.framework} on {device.name}: {device.reason}.")
    print(f"Plan: {'; '.join(plan.reasons)}.", flush=True)


@contextmanager
def _metered(settings: Settings, device: Device, record: Record) -> Iterator[None]:
    """Meter the block's energy into the run, also into one that fails."""
    used = Used()
    try:
        with meter(facts(), device=device) as used:
            yield
    finally:
        values, tags = figures(used.energy, cost(used.energy, settings.hardware))
        record.metrics(0, values)
        record.tag(tags)
