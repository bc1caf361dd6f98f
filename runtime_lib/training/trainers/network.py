"""Networks in MLX or torch: an encoder, an architecture, and our training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.hardware import choose_device
from runtime_lib.hardware.device.choice import choose_to_answer
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.settings import Settings
from runtime_lib.task.task import Task
from runtime_lib.training.build import build, build_numpy, shapes
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import fit_network, network_for
from runtime_lib.training.hold import plan_for
from runtime_lib.training.network import MOST_EXACT, Answering, Architecture, predict
from runtime_lib.training.trainer import Fit, Opening, Table, Work, rewritten

__all__ = ["FittedNetwork", "NetworkTrainer"]

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class FittedNetwork:
    """A network with its weights on a device, and the encoder in front of it."""

    encoder: Encoder
    architecture: Architecture
    network: Answering
    units: int | None = None  # see `Architecture.units`

    trainer: ClassVar[str] = "network"

    @property
    def framework(self) -> str:
        return self.network.framework

    @property
    def device(self) -> str:
        return self.network.device

    def answer(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        return predict(self.network, self.encoder.encode(rows), at_once=at_once)

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        device = choose_to_answer(self.network.framework, force_gpu=settings.hardware.force_gpu)
        return plan_for(
            self.network.shapes(),
            device,
            width=self.encoder.width,
            batch_size=rows,
            training=False,
            units=self.units,
        )

    def importance(self) -> None:
        """Not by its weights; `training/importance.py` asks the answers."""

    def contributions(self, rows: Mapping[str, Array]) -> None:
        """Not exactly."""

    def save(self, folder: Path) -> dict[str, Any]:
        import safetensors.numpy

        weights = {name: np.ascontiguousarray(value) for name, value in self.network.weights().items()}
        (folder / _WEIGHTS).write_bytes(safetensors.numpy.save(weights))
        return {
            "encoder": self.encoder.save(folder),
            "architecture": self.architecture.module,
            "options": dict(self.architecture.options),
        }

    @classmethod
    def open(
        cls, files: Mapping[str, bytes], stored: Mapping[str, Any], task: Task, opening: Opening
    ) -> FittedNetwork:
        """Rebuild it; see `trainers/open.py`."""
        import safetensors.numpy

        architecture = Architecture(stored["architecture"], stored["options"])
        encoder = Encoder.open(stored["encoder"], files, force_gpu=opening.force_gpu)
        weights = safetensors.numpy.load(files[_WEIGHTS])
        # torch that reads a text is there anyway.
        light = opening.light and not encoder.transformer and _size(weights) <= MOST_EXACT
        network = _network(architecture, task, replace(opening, light=light))
        network.load(weights)
        network.exact()
        units = architecture.units(opening.trusted)
        return cls(encoder, architecture, network, units)


def _network(architecture: Architecture, task: Task, opening: Opening) -> Answering:
    """In numpy where that is asked for, or is what `auto` takes; else on a framework's device."""
    wanted, force = opening.framework, opening.force_gpu
    if wanted == "numpy" or (wanted == "auto" and opening.light):
        twin = build_numpy(architecture, trusted=opening.trusted, task=task)
        if twin and choose_to_answer(wanted, force_gpu=force).framework == "numpy":
            return twin
        if wanted == "numpy":
            raise ModelError(
                f"The architecture '{architecture.module}' has no numpy_network. Write serving.framework = "
                f'"auto" in mlops.toml, or add that twin to its module.'
            )
    device = choose_device(wanted, force_gpu=force)
    return build(
        architecture, framework=device.framework, device=device.name, trusted=opening.trusted, task=task
    )


def _size(weights: Mapping[str, Array]) -> int:
    return sum(value.size for value in weights.values())


@dataclass(frozen=True)
class NetworkTrainer:
    architecture: Architecture

    @property
    def name(self) -> str:
        return self.architecture.module.rpartition(".")[2]

    def described(self) -> Mapping[str, Any]:
        return {**self.architecture.options, "architecture": self.architecture.module}

    def plan(self, settings: Settings, table: Table, batch_size: int) -> ComputePlan:
        device = choose_device(settings.training.framework, force_gpu=settings.hardware.force_gpu)
        trusted = (settings.project.package,)
        return plan_for(
            shapes(self.architecture, framework=device.framework, trusted=trusted),
            device,
            width=table.width,
            batch_size=min(batch_size, table.rows),
            rows=table.rows,
            hardware=settings.hardware,
            units=self.architecture.units(trusted),
        )

    def fit(self, work: Work) -> Fit:
        encoder, split = work.encoder(), work.split
        if encoder.width != work.table.width:
            raise rewritten(f"{encoder.width} encoded inputs", f"{work.table.width}")
        network = network_for(
            self.architecture,
            task=work.table.task,
            params=work.params,
            device=work.plan.device,
            trusted=work.trusted,
        )
        epoch, epochs, answer = fit_network(
            network,
            (encoder.encode(split.train), split.train_label),
            (encoder.encode(split.validation), split.validation_label),
            task=work.table.task,
            params=work.params,
            on_epoch=work.on_epoch,
            plan=work.plan,
        )
        units = self.architecture.units(work.trusted)
        return Fit(FittedNetwork(encoder, self.architecture, network, units), epoch, epochs, answer)
