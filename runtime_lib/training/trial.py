"""A training without its traces: parameters in, a fitted model and its validation figures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, check_rows
from runtime_lib.data.months import read_features
from runtime_lib.data.raw import RawTypes, read_types
from runtime_lib.hardware.device.limits import applied
from runtime_lib.settings import Settings
from runtime_lib.task.metric import Gain
from runtime_lib.training.hold import held
from runtime_lib.training.model import save
from runtime_lib.training.prepare import Candidate, ModelFunction, Prepared, prepare
from runtime_lib.training.profile import build_profile
from runtime_lib.training.trainer import Fit, OnEpoch, Split, Work, rewritten

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trial", "fit_split", "load_split", "trial"]


@dataclass(frozen=True)
class Trial:
    """The best of the fitted models, and its `figures` on the validation months (see `Task.figures`).

    `compared`: those of each model by name, where there were several; `ahead`: how much better the best is
    than the next, on the same rows.
    """

    figures: Mapping[str, float]
    prepared: Prepared
    kept: Candidate
    fit: Fit
    decision: Mapping[str, float]
    profile: Mapping[str, Any]
    raw: RawTypes | None = None
    compared: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ahead: Gain | None = None

    def predict(self, rows: Mapping[str, Array]) -> Array:
        """Return the answers, see `Model.predict`, for `n` rows from `check_rows`."""
        return self.fit.fitted.answer(rows, at_once=self.kept.plan.predict_rows)

    def save(self, folder: Path) -> None:
        """Write the model's folder, whole or not at all."""
        save(
            folder,
            task=self.prepared.task,
            columns=self.prepared.columns,
            fitted=self.fit.fitted,
            decision=self.decision,
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
    with held(settings, prepared.plans):
        split = load_split(settings, prepared)
        told = on_epoch or (lambda epoch, figures: None)
        return fit_split(settings, prepared, split, on_epoch=lambda name: told)


def load_split(settings: Settings, prepared: Prepared) -> Split:
    """Load what was planned for; call it while the plan is held.

    Raises:
        DataError: a value cannot be used, or the table is no longer the one that was planned for.
    """
    parts: list[Any] = []
    times: list[Any] = []
    for path in (settings.split_part("train"), settings.split_part("validation")):
        inputs, label, table = read_features(path, prepared.task)
        parts += [check_rows(inputs, prepared.columns), label]
        times.append(_time(table))
    split = Split(*parts, *times)
    if len(split.train_label) != prepared.table.rows:
        raise rewritten(f"{len(split.train_label):,} rows", f"{prepared.table.rows:,}")
    return split


def _time(table: pd.DataFrame) -> Array | None:
    """Of each row in UTC; None where the features have no time that says their order."""
    import pandas as pd

    time = pd.to_datetime(table["time"], utc=True, errors="coerce") if "time" in table else None
    if time is None or time.isna().any():
        return None
    return np.asarray(time.dt.tz_localize(None).to_numpy(), dtype="datetime64[us]")


def fit_split(
    settings: Settings, prepared: Prepared, split: Split, *, on_epoch: Callable[[str], OnEpoch]
) -> Trial:
    """Fit each candidate and keep the best; the middle of `trial` and of `train`.

    Args:
        on_epoch: from a candidate's name to what is called after each of its epochs.
    """
    task, label = prepared.task, split.validation_label
    fits = {
        each.name: _fit(settings, prepared, each, split, on_epoch(each.name)) for each in prepared.candidates
    }
    figures = {name: task.figures(label, fit.answer) for name, fit in fits.items()}
    order = sorted(
        figures, key=lambda name: task.metric.gain(figures[name][task.metric.name], 0.0), reverse=True
    )
    best, *others = order
    fit = fits[best]
    profile = build_profile(
        split.train,
        prepared.columns,
        task=task,
        answer=fit.answer,
        label=label,
        metrics=figures[best],
        time=split.train_time,
        answer_time=split.validation_time,
    )
    return Trial(
        figures[best],
        prepared,
        next(each for each in prepared.candidates if each.name == best),
        fit,
        task.decision(label, fit.answer),
        profile,
        read_types(settings.split),
        figures if others else {},
        task.metric.compare(label, fit.answer, fits[others[0]].answer) if others else None,
    )


def _fit(
    settings: Settings, prepared: Prepared, candidate: Candidate, split: Split, on_epoch: OnEpoch
) -> Fit:
    if len(prepared.candidates) > 1:
        print(
            f"Fitting {candidate.name}: {candidate.trainer.name} on {candidate.plan.device.name}.", flush=True
        )
    trusted = (settings.project.package,)
    work = Work(prepared.table, split, prepared.params, candidate.plan, trusted, on_epoch)
    with applied(candidate.plan):
        return candidate.trainer.fit(work)
