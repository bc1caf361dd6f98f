"""A trained model as a folder: what it answers, how, and the profile of what it saw.

    config.json          format, task, decision, columns, what the trainer stored, sha256 of every other file;
                         since 0.6 the types of the raw columns (data/raw.py)
    profile.json         what the training data looked like (training/profile.py)
    model.safetensors    of a network; other trainers have files of their own (trainers/)
    text.*               of the transformer that reads its text, if one does (transformer/)

Format 2. Format 1, until 0.6, knew binary tasks and networks only: see `_of_format_1`. To change the layout:
raise `_FORMAT`, keep reading every earlier one in `_read_config`, and add a folder of the old format to the
tests. Nothing in the folder is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runtime_lib.data.columns import Array, Column
from runtime_lib.data.raw import RawTypes
from runtime_lib.errors import ModelError
from runtime_lib.files import atomic_folder, check_format, write_json
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.device import Answers
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import from_dict
from runtime_lib.task.task import Task
from runtime_lib.training.trainer import Fitted, Opening
from runtime_lib.training.trainers.open import open_fitted
from runtime_lib.training.until_0_6 import ModelUntil06

if TYPE_CHECKING:
    from runtime_lib.training.encoder import Encoder
    from runtime_lib.training.transformer.embed import Transformer

__all__ = ["Model", "digest", "model_files", "read_columns", "read_raw_types", "read_task", "save"]

_FORMAT = 2
_CONFIG, _PROFILE = "config.json", "profile.json"
_FILES_1 = (_CONFIG, "model.safetensors", _PROFILE)


class _Config(msgspec.Struct, frozen=True):
    format: int
    task: dict[str, Any]
    decision: dict[str, float]
    columns: list[dict[str, Any]]
    trainer: str
    stored: dict[str, Any]
    trained_on: dict[str, Any]
    files: dict[str, str]
    raw: dict[str, Any] | None = None


@dataclass(frozen=True)
class Model(ModelUntil06):
    """A loaded model: rows in, answers out."""

    task: Task
    columns: tuple[Column, ...]
    decision: Mapping[str, float]
    fitted: Fitted
    # Rows on the device at a time, at most; None: all that are asked for.
    predict_rows: int | None = None

    @property
    def framework(self) -> str:
        return self.fitted.framework

    @property
    def device(self) -> str:
        return self.fitted.device

    @property
    def transformer(self) -> Transformer | None:
        """What reads its text; None: n-grams are counted, or it is given the text itself."""
        encoder: Encoder | None = getattr(self.fitted, "encoder", None)
        return encoder.transformer if encoder else None

    def predict(self, rows: Mapping[str, Array], *, at_once: int | None = None) -> Array:
        """Answer for `n` rows from `check_rows`, in `float64`.

        Args:
            at_once: how many rows are computed at a time (default: `predict_rows`).

        Returns:
            The probability of label 1 or the expected number, `(n,)`; for a task with several outputs
            `(n, k)`, a column for each of `task.outputs`.
        """
        return self.fitted.answer(rows, at_once=at_once or self.predict_rows)

    def decide(self, answer: Array) -> Array | None:
        """The labels that follow from answers, `(n,)`; None where the answer is the label."""
        return self.task.decide(answer, self.decision)

    def plan(self, settings: Settings, rows: int) -> ComputePlan:
        """How so many rows may be predicted on this machine."""
        return self.fitted.plan(settings, rows)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        framework: Answers = "auto",
        trusted: Sequence[str] = (),
        force_gpu: bool = False,
        light: bool = False,
    ) -> Model:
        """Read a model folder.

        Args:
            folder: as written by `save`.
            framework: which twin of a network computes; `auto` takes the best this machine has.
            trusted: packages, besides the library's, whose architectures may be imported.
            force_gpu: see `choose_device`.
            light: let `auto` take numpy for a small network that has that twin, in the place of a CPU.

        Raises:
            ModelError: a file is missing, damaged, of a later format, or not trusted.
            MissingExtraError: what computes the model is not installed.
        """
        config = _read_config(folder)
        task, opening = from_dict(config.task), Opening(framework, trusted, force_gpu, light)
        files = {name: _read(folder, name, sha256) for name, sha256 in config.files.items()}
        fitted = open_fitted(config.trainer, files, config.stored, task, opening)
        return cls(task, _columns(config), config.decision, fitted)


def save(
    folder: Path,
    *,
    task: Task,
    columns: Sequence[Column],
    fitted: Fitted,
    decision: Mapping[str, float],
    profile: Mapping[str, Any],
    raw: RawTypes | None = None,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        task: as it learned from the training rows.
        decision: of `Task.decision`.
        raw: the types of the raw columns; without them a server takes features only.
    """
    with atomic_folder(folder) as new:
        stored = fitted.save(new)
        write_json(new / _PROFILE, profile)
        config = _Config(
            format=_FORMAT,
            task=task.to_dict(),
            decision=dict(decision),
            columns=[column.to_dict() for column in columns],
            trainer=fitted.trainer,
            stored=stored,
            trained_on={"framework": fitted.framework, "device": fitted.device},
            files={path.name: _sha256(path) for path in sorted(new.iterdir())},
            raw=raw.to_dict() if raw else None,
        )
        write_json(new / _CONFIG, msgspec.to_builtins(config))


def read_task(folder: Path) -> Task:
    """Return the task of the model in a folder, without loading it.

    Raises:
        ModelError: no model there, or one of a later format.
    """
    return from_dict(_read_config(folder).task)


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


def model_files(folder: Path) -> list[Path]:
    """The files that make the model, and no other that lies there.

    Raises:
        ModelError: no model there, or one of a later format.
    """
    return [folder / name for name in sorted({_CONFIG, _PROFILE, *_read_config(folder).files})]


def digest(folder: Path) -> str:
    """Identify a model by what is in its files, as hex.

    The sha256 of config.json, which holds that of every other file; these are compared. For format 1 the
    sha256 over names and contents.

    Raises:
        ModelError: no model there, one of a later format, or a file is missing or damaged.
    """
    config = _read_config(folder)
    if config.format == 1:
        return _digest_1(folder)
    for name, sha256 in config.files.items():
        _check(folder / name, _sha256(folder / name), sha256)
    return _sha256(folder / _CONFIG)


def _digest_1(folder: Path) -> str:
    total = hashlib.sha256()
    for name in _FILES_1:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise _unreadable(folder / name, error) from error
        total.update(f"{name}:{len(content)}:".encode() + content)
    return total.hexdigest()


def _columns(config: _Config) -> tuple[Column, ...]:
    return tuple(Column.from_dict(column) for column in config.columns)


def _read_config(folder: Path) -> _Config:
    path = folder / _CONFIG
    try:
        fields = json.loads(path.read_bytes())
        number = check_format(fields.get("format"), newest=_FORMAT, where=path, error=ModelError)
        config = msgspec.convert(_of_format_1(fields) if number == 1 else fields, _Config)
    except OSError as error:
        raise ModelError(f"No model at {folder}: {path.name} cannot be read ({error.strerror}).") from error
    except (KeyError, ValueError, AttributeError) as error:  # not JSON, no table, or a field of another type
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is damaged: {error}. Restore it with `mlops run`.") from error
    if foreign := [name for name in config.files if Path(name).name != name or name == _CONFIG]:
        raise ModelError(
            f"{path} names the file {foreign[0]!r}, which is none of a model's. Do not trust it."
        )
    return config


def _of_format_1(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What 0.1 to 0.6 wrote: a binary task, a network, and the digest of its weights alone."""
    return {
        "format": 1,
        "task": {"kind": "binary"},
        "decision": {"threshold": fields["threshold"]},
        "columns": fields["columns"],
        "trainer": "network",
        "stored": {name: fields[name] for name in ("encoder", "architecture", "options")},
        "trained_on": fields["trained_on"],
        "files": {"model.safetensors": fields["weights_sha256"]},
        "raw": fields.get("raw"),
    }


def _read(folder: Path, name: str, sha256: str) -> bytes:
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _check(path, hashlib.sha256(content).hexdigest(), sha256)
    return content


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _check(path: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise ModelError(f"{path} is damaged: its sha256 is {found[:12]}…, config.json says {sha256[:12]}….")


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path.parent} is not a model folder: {path.name} cannot be read ({error.strerror}).")
