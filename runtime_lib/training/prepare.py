"""What a training is about to take, found before anything large is loaded.

It reads the metadata of `train.parquet` and `validation.parquet` and, for missing values and levels, each
column in pieces of some thousand rows (`scan`). For the network's shapes it imports the framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from runtime_lib.data.columns import Column
from runtime_lib.data.scan import scan
from runtime_lib.errors import ModelError
from runtime_lib.hardware import Device, choose_device
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.settings import Settings
from runtime_lib.training.build import shapes
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import FitParams
from runtime_lib.training.hold import plan_for
from runtime_lib.training.network import Architecture

__all__ = ["ModelFunction", "Prepared", "prepare"]

# The project's `model`: from the number of encoded inputs and `params["network"]` to an architecture.
ModelFunction = Callable[[int, Mapping[str, Any]], Architecture]


@dataclass(frozen=True)
class Prepared:
    """A training that has its plan. `rows`: of the training table; `width`: of the encoded matrix."""

    params: FitParams
    columns: tuple[Column, ...]
    rows: int
    width: int
    architecture: Architecture
    device: Device
    plan: ComputePlan

    def described(self) -> dict[str, Any]:
        """Parameters, for the run's record."""
        return {
            **msgspec.to_builtins(self.params),
            **self.architecture.options,
            "architecture": self.architecture.module,
        }


def prepare(settings: Settings, model: ModelFunction, params: Mapping[str, Any]) -> Prepared:
    """Plan a training on `data/split/` with these parameters.

    A column may be missing in serving if it is in the training or the validation months; the test months
    are not looked at.

    Args:
        params: as the table `train` of params.yaml.

    Raises:
        SettingsError: a parameter is unknown or out of range.
        DataError: a table cannot be read, or holds a type that no model takes.
        ModelError: `model` returned something else, or the architecture cannot be built.
        CapacityError: not even one row at a time fits.
    """
    fit_params = FitParams.read({key: value for key, value in params.items() if key != "network"})
    folder = settings.split
    train, validation = scan(folder / "train.parquet"), scan(folder / "validation.parquet")
    nullable = {column.name for part in (train, validation) for column in part.columns if column.nullable}
    columns = tuple(replace(column, nullable=column.name in nullable) for column in train.columns)
    width = Encoder.width_for(columns, train.levels)
    architecture = _network(model(width, params.get("network", {})))
    device = choose_device(settings.training.framework, force_gpu=settings.hardware.force_gpu)
    plan = plan_for(
        shapes(architecture, framework=device.framework, trusted=(settings.project.package,)),
        device,
        width=width,
        batch_size=min(fit_params.batch_size, train.rows),
        rows=train.rows,
        hardware=settings.hardware,
    )
    return Prepared(fit_params, columns, train.rows, width, architecture, device, plan)


def _network(made: object) -> Architecture:
    if isinstance(made, Architecture):
        return made
    returned = "nothing" if made is None else f"a {type(made).__name__}"
    raise ModelError(
        f"model() returned {returned}; it must return an Architecture, for instance "
        'Architecture("mlp", {"inputs": inputs, **params}). Networks in MLX or torch are trained; '
        "scikit-learn, XGBoost and LightGBM are not supported."
    )
