"""The two stages around a model: train it, and judge it on months it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from runtime_lib.data.columns import Array, Column, check_rows, columns_of
from runtime_lib.data.months import KEYS, read_features
from runtime_lib.errors import SettingsError
from runtime_lib.files import write_json
from runtime_lib.hardware import Device, choose_device, facts
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.limits import applied
from runtime_lib.hardware.energy.estimate import cost, figures
from runtime_lib.hardware.energy.meter import Used, meter
from runtime_lib.hardware.replay.folder import REPLAY, replayed
from runtime_lib.settings import Settings
from runtime_lib.task.binary import binary_metrics
from runtime_lib.training.baselines import logistic_probability, naive_probability
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import Fit, FitParams, fit_network, network_for
from runtime_lib.training.hold import held, plan_for, tags
from runtime_lib.training.model import Model, digest, save
from runtime_lib.training.network import Architecture

if TYPE_CHECKING:
    from runtime_lib.tracking.record import Record

__all__ = ["evaluate", "train"]


def train(
    settings: Settings, model: Callable[[int, Mapping[str, Any]], Architecture], params: Mapping[str, Any]
) -> None:
    """Train on `data/split/train.parquet` and leave the model in `models/candidate`.

    Args:
        model: from the number of encoded inputs and `params["network"]` to an architecture.
        params: the table `train` of params.yaml.
    """
    from runtime_lib.tracking.record import Record

    fit_params = FitParams.read({key: value for key, value in params.items() if key != "network"})
    columns = _columns(settings)
    train_rows, train_label, train_table = _split(settings, "train", columns)
    validation_rows, validation_label, _ = _split(settings, "validation", columns)
    encoder = Encoder.fit(train_rows, columns)
    architecture = model(encoder.width, params.get("network", {}))
    device = _device(settings)
    trusted = (settings.project.package,)
    network = network_for(architecture, params=fit_params, device=device, trusted=trusted)
    plan = plan_for(
        network.shapes(),
        device,
        width=encoder.width,
        batch_size=min(fit_params.batch_size, len(train_label)),
        rows=len(train_label),
        hardware=settings.hardware,
    )
    described = {
        **msgspec.to_builtins(fit_params),
        **architecture.options,
        "architecture": architecture.module,
    }
    # Waiting for a share of the machine is no part of the run, and costs it no energy.
    with held(settings, plan), Record.start(settings, described, tags=tags(plan)) as record:
        _say(device, plan)
        with _metered(settings, device, record):
            fitted = fit_network(
                network,
                (encoder.encode(train_rows), train_label),
                (encoder.encode(validation_rows), validation_label),
                params=fit_params,
                on_epoch=record.metrics,
                plan=plan,
            )
        _save(settings, fitted, columns, encoder, architecture, train_table, validation_label)
        record.finish(model_digest=digest(settings.candidate))


def _say(device: Device, plan: ComputePlan) -> None:
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


def _save(
    settings: Settings,
    fitted: Fit,
    columns: Sequence[Column],
    encoder: Encoder,
    architecture: Architecture,
    train_table: Any,
    validation_label: Array,
) -> None:
    from runtime_lib.training.profile import build_profile

    probability = fitted.validation_probability
    profile = build_profile(
        train_table,
        columns,
        probability=probability,
        label=validation_label,
        metrics=binary_metrics(validation_label, probability),
    )
    save(
        settings.candidate,
        columns=columns,
        encoder=encoder,
        architecture=architecture,
        network=fitted.network,
        # Flag as many rows as had label 1 in the validation months.
        threshold=float(np.quantile(probability, 1 - validation_label.mean())),
        profile=profile,
    )


def evaluate(settings: Settings, params: Mapping[str, Any]) -> None:
    """Judge the candidate and two baselines on the held-out months; write `reports/evaluation.json`.

    Args:
        params: the table `evaluate` of params.yaml; `logistic: false` leaves the regression out.
    """
    if unknown := set(params) - {"logistic"}:
        raise SettingsError(f"params.yaml, evaluate: unknown key '{min(unknown)}'. Known: logistic.")
    model = Model.load(
        settings.candidate,
        framework=settings.training.framework,
        trusted=(settings.project.package,),
        force_gpu=settings.hardware.force_gpu,
    )
    rows, label, _ = _split(settings, "train", model.columns)
    test_rows, test_label, _ = _split(settings, "test", model.columns)
    inputs = model.encode(test_rows)
    plan = plan_for(
        model.shapes(), _device(settings), width=inputs.shape[1], batch_size=len(inputs), training=False
    )
    with applied(plan):
        probability = model.predict(test_rows, at_once=plan.predict_rows)
    column, naive = naive_probability(rows, label, model.columns, target=test_rows)
    report: dict[str, Any] = {
        "format": 1,
        "digest": digest(settings.candidate),
        "rows": len(test_label),
        "candidate": binary_metrics(test_label, probability),
        "naive": {**binary_metrics(test_label, naive), "column": column},
    }
    if params.get("logistic", True):
        logistic = logistic_probability(model.encode(rows), label, target=inputs)
        report["logistic"] = binary_metrics(test_label, logistic)
    write_json(settings.reports / "evaluation.json", report)


def _device(settings: Settings) -> Device:
    return choose_device(settings.training.framework, force_gpu=settings.hardware.force_gpu)


def _columns(settings: Settings) -> tuple[Column, ...]:
    """The training table's inputs; one that is missing in any part of the split may be missing in serving."""
    parts = [
        read_features(settings.root / "data" / "split" / f"{p}.parquet")[2]
        for p in ("train", "validation", "test")
    ]
    nullable = {c.name for part in parts for c in columns_of(part, without=KEYS) if c.nullable}
    return tuple(Column(c.name, c.kind, c.name in nullable) for c in columns_of(parts[0], without=KEYS))


def _split(settings: Settings, part: str, columns: tuple[Column, ...]) -> tuple[dict[str, Array], Array, Any]:
    inputs, label, table = read_features(settings.root / "data" / "split" / f"{part}.parquet")
    return check_rows(inputs, columns), label, table
