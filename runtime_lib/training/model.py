"""A trained model as a folder: weights, what they mean, and the profile of what they saw.

    config.json          format, columns, encoder, architecture, threshold, sha256 of the weights; since 0.6
                         the types of the raw columns (data/raw.py)
    model.safetensors    the weights, by parameter name; both frameworks read them
    profile.json         what the training data looked like (training/profile.py)

Format 1. To change the layout: raise `_FORMAT`, keep reading every earlier one in `_read_config`,
and add a folder of the old format to the tests. Nothing in the folder is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from runtime_lib.data.columns import Array, Column
from runtime_lib.data.raw import RawTypes
from runtime_lib.errors import ModelError
from runtime_lib.files import atomic_folder, check_format, write_json
from runtime_lib.hardware import choose_device
from runtime_lib.training.build import build
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.network import Architecture, Framework, Network, predict

__all__ = ["Model", "digest", "read_columns", "read_raw_types", "save"]

_FORMAT = 1
_FILES = ("config.json", "model.safetensors", "profile.json")


class _Config(msgspec.Struct, frozen=True):
    format: int
    columns: list[dict[str, Any]]
    encoder: list[dict[str, Any]]
    architecture: str
    options: dict[str, Any]
    threshold: float
    trained_on: dict[str, Any]
    weights_sha256: str
    raw: dict[str, Any] | None = None


@dataclass(frozen=True)
class Model:
    """A loaded model: rows in, answers out."""

    columns: tuple[Column, ...]
    threshold: float
    info: Mapping[str, Any]
    _encoder: Encoder
    _network: Network
    # Rows on the device at a time, at most; None: all that are asked for.
    predict_rows: int | None = None

    @property
    def framework(self) -> Framework:
        return self._network.framework

    @property
    def device(self) -> str:
        return self._network.device

    @property
    def width(self) -> int:
        """Columns of the encoded matrix."""
        return self._encoder.width

    def encode(self, rows: Mapping[str, Array]) -> Array:
        """Return what the network is given for rows from `check_rows`: `float32` of shape `(n, width)`."""
        return self._encoder.encode(rows)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the network's parameters by name."""
        return self._network.shapes()

    def predict(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        """Return the probability of label 1, `float64` of shape `(n,)`, for rows from `check_rows`.

        `at_once`: how many rows are on the device at a time (default: `predict_rows`).
        """
        return predict(self._network, self.encode(rows), at_once=at_once or self.predict_rows)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        framework: Literal["auto", "mlx", "torch"] = "auto",
        trusted: Sequence[str] = (),
        force_gpu: bool = False,
    ) -> Model:
        """Read a model folder.

        Args:
            folder: as written by `save`.
            framework: which twin computes; `auto` takes the best this machine has.
            trusted: packages, besides the library's, whose architectures may be imported.
            force_gpu: see `choose_device`.

        Raises:
            ModelError: a file is missing, damaged, of a later format, or not trusted.
        """
        config = _read_config(folder)
        device = choose_device(framework, force_gpu=force_gpu)
        network = build(
            Architecture(config.architecture, config.options),
            framework=device.framework,
            device=device.name,
            trusted=trusted,
        )
        network.load(_read_weights(folder, config.weights_sha256))
        network.exact()
        return cls(
            columns=_columns(config),
            threshold=config.threshold,
            info=msgspec.to_builtins(config),
            _encoder=Encoder.from_dict(config.encoder),
            _network=network,
        )


def save(
    folder: Path,
    *,
    columns: Sequence[Column],
    encoder: Encoder,
    architecture: Architecture,
    network: Network,
    threshold: float,
    profile: Mapping[str, Any],
    raw: RawTypes | None = None,
) -> None:
    """Write a model folder, whole or not at all.

    `raw`: the types of the raw columns; without them a server takes features only.
    """
    import safetensors.numpy

    weights = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in network.weights().items()})
    config = _Config(
        format=_FORMAT,
        columns=[column.to_dict() for column in columns],
        encoder=encoder.to_dict(),
        architecture=architecture.module,
        options=dict(architecture.options),
        threshold=threshold,
        trained_on={"framework": network.framework, "device": network.device},
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        raw=raw.to_dict() if raw else None,
    )
    with atomic_folder(folder) as new:
        write_json(new / "config.json", msgspec.to_builtins(config))
        (new / "model.safetensors").write_bytes(weights)
        write_json(new / "profile.json", profile)


def read_columns(folder: Path) -> tuple[Column, ...]:
    """Return the inputs of the model in a folder, without loading it.

    Raises:
        ModelError: no model there, or one of a later format.
    """
    return _columns(_read_config(folder))


def read_raw_types(folder: Path) -> RawTypes | None:
    """Return the types of the raw columns; None for a model that was trained without knowing them.

    Raises:
        ModelError: no model there, or one of a later format.
    """
    raw = _read_config(folder).raw
    return RawTypes.from_dict(raw) if raw else None


def digest(folder: Path) -> str:
    """Identify a model by what is in its files: sha256 over names and contents, as hex."""
    total = hashlib.sha256()
    for name in _FILES:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{folder} is not a model folder: {name} cannot be read ({error.strerror})."
            ) from error
        total.update(f"{name}:{len(content)}:".encode() + content)
    return total.hexdigest()


def _columns(config: _Config) -> tuple[Column, ...]:
    return tuple(Column.from_dict(column) for column in config.columns)


def _read_config(folder: Path) -> _Config:
    path = folder / "config.json"
    try:
        fields = json.loads(path.read_bytes())
        check_format(fields.get("format"), newest=_FORMAT, where=path, error=ModelError)
        return msgspec.convert(fields, _Config)
    except OSError as error:
        raise ModelError(f"No model at {folder}: {path.name} cannot be read ({error.strerror}).") from error
    except (ValueError, AttributeError) as error:  # not JSON, not a table, or a field of another type
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is damaged: {error}. Restore it with `mlops run`.") from error


def _read_weights(folder: Path, sha256: str) -> dict[str, Array]:
    import safetensors.numpy

    path = folder / "model.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"No weights at {path} ({error.strerror}).") from error
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModelError(f"{path} is damaged: its sha256 is {found[:12]}…, config.json says {sha256[:12]}….")
    return safetensors.numpy.load(content)
