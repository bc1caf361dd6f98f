"""A training without its traces: parameters in, a fitted model and its validation figures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib.data.columns import Array, check_rows
from runtime_lib.data.months import read_features
from runtime_lib.data.raw import RawTypes, read_types
from runtime_lib.errors import DataError
from runtime_lib.settings import Settings
from runtime_lib.task import binary as task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import Fit, fit_network, network_for
from runtime_lib.training.hold import held
from runtime_lib.training.model import save
from runtime_lib.training.network import predict
from runtime_lib.training.prepare import ModelFunction, Prepared, prepare
from runtime_lib.training.profile import build_profile

__all__ = ["OnEpoch", "Split", "Trial", "fit_split", "load_split", "trial"]

OnEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Split:
    """The two tables of a training, checked."""

    train: Mapping[str, Array]
    train_label: Array
    validation: Mapping[str, Array]
    validation_label: Array


@dataclass(frozen=True)
class Trial:
    """A fitted model, and its `figures` on the validation months (see `task.figures`)."""

    figures: Mapping[str, float]
    prepared: Prepared
    encoder: Encoder
    fitted: Fit
    threshold: float
    profile: Mapping[str, Any]
    raw: RawTypes | None = None

    def predict(self, rows: Mapping[str, Array]) -> Array:
        """Return the answers, `(n,)`, for `n` rows from `check_rows`."""
        inputs = self.encoder.encode(rows)
        return predict(self.fitted.network, inputs, at_once=self.prepared.plan.predict_rows)

    def save(self, folder: Path) -> None:
        """Write the model's folder, whole or not at all."""
        save(
            folder,
            columns=self.prepared.columns,
            encoder=self.encoder,
            architecture=self.prepared.architecture,
            network=self.fitted.network,
            threshold=self.threshold,
            profile=self.profile,
            raw=self.raw,
        )


def trial(
    settings: Settings, model: ModelFunction, params: Mapping[str, Any], *, on_epoch: OnEpoch | None = None
) -> Trial:
    """Train with these parameters, within a share of the machine; nothing is written or recorded.

    Args:
        model: the project's function of that name.
        params: as the table `train` of params.yaml; any values, as a search draws them.
        on_epoch: called with the epoch's number and figures.

    Raises:
        SettingsError, DataError, ModelError, CapacityError: see `prepare`.
        BusyError: other projects held too much of the machine for `hardware.max_wait` seconds.
    """
    prepared = prepare(settings, model, params)
    with held(settings, prepared.plan):
        split = load_split(settings, prepared)
        return fit_split(settings, prepared, split, on_epoch=on_epoch or (lambda epoch, figures: None))


def load_split(settings: Settings, prepared: Prepared) -> Split:
    """Load what was planned for; call it while the plan is held.

    Raises:
        DataError: a value cannot be used, or the table is no longer the one that was planned for.
    """
    parts = []
    for path in (settings.split_part("train"), settings.split_part("validation")):
        inputs, label, _ = read_features(path)
        parts += [check_rows(inputs, prepared.columns), label]
    split = Split(*parts)
    if len(split.train_label) != prepared.rows:
        raise _changed(settings, f"{len(split.train_label):,} rows", f"{prepared.rows:,}")
    return split


def fit_split(settings: Settings, prepared: Prepared, split: Split, *, on_epoch: OnEpoch) -> Trial:
    """Fit encoder and network; the middle of `trial` and of `train`."""
    encoder = Encoder.fit(split.train, prepared.columns)
    if encoder.width != prepared.width:
        raise _changed(settings, f"{encoder.width} encoded inputs", f"{prepared.width}")
    network = network_for(
        prepared.architecture,
        params=prepared.params,
        device=prepared.device,
        trusted=(settings.project.package,),
    )
    fitted = fit_network(
        network,
        (encoder.encode(split.train), split.train_label),
        (encoder.encode(split.validation), split.validation_label),
        params=prepared.params,
        on_epoch=on_epoch,
        plan=prepared.plan,
    )
    probability, label = fitted.validation_probability, split.validation_label
    figures = task.figures(label, probability)
    profile = build_profile(
        split.train, prepared.columns, probability=probability, label=label, metrics=figures
    )
    threshold, raw = task.threshold(label, probability), read_types(settings.split)
    return Trial(figures, prepared, encoder, fitted, threshold, profile, raw)


def _changed(settings: Settings, found: str, planned: str) -> DataError:
    return DataError(
        f"{settings.split_part('train')} has {found}, {planned} were planned for: it was rewritten while "
        f"this training waited for its share of the machine. Run again."
    )
