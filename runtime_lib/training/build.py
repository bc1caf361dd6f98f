"""From an architecture to a network on a framework, and to the shapes that it would have."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from runtime_lib.errors import ModelError, SettingsError, require
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.task import Task
from runtime_lib.training.network import Answering, Architecture, Network, Optimizer

__all__ = ["build", "build_numpy", "shapes"]


def build(
    architecture: Architecture,
    *,
    framework: str,
    device: str,
    seed: int = 0,
    optimizer: Optimizer | None = None,
    trusted: Sequence[str] = (),
    task: Task = BINARY,
) -> Network:
    """Make a freshly initialised network that answers for `task`; pass `optimizer` to train it.

    Raises:
        ModelError: the architecture is not trusted or does not take these options.
        MissingExtraError: the framework is not installed.
    """
    module, options = architecture.load(trusted), dict(architecture.options)
    chosen = _framework(framework)
    try:
        return chosen(module, options, task=task, device=device, seed=seed, optimizer=optimizer)  # type: ignore[no-any-return]
    except (AttributeError, TypeError) as error:
        raise _cannot(architecture, error) from error


def build_numpy(
    architecture: Architecture, *, trusted: Sequence[str] = (), task: Task = BINARY
) -> Answering | None:
    """Make the numpy twin, without weights; None where the module has none.

    Raises:
        ModelError: as `build`.
    """
    from runtime_lib.training.on_numpy import NumpyNetwork

    module = architecture.load(trusted)
    if not hasattr(module, "numpy_network"):
        return None
    try:
        return NumpyNetwork(module, architecture.options, task=task)
    except (AttributeError, TypeError) as error:
        raise _cannot(architecture, error) from error


def shapes(
    architecture: Architecture, *, framework: str, trusted: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's parameters by name, without making room for them.

    Raises:
        ModelError, MissingExtraError: as `build`.
    """
    module: ModuleType = architecture.load(trusted)
    chosen = _framework(framework)
    try:
        return chosen.shapes_of(module, dict(architecture.options))  # type: ignore[no-any-return]
    except (AttributeError, TypeError) as error:
        raise _cannot(architecture, error) from error


def _framework(name: str) -> Any:
    if name == "mlx":
        require("mlx.core", extra="mlx")
        from runtime_lib.training.on_mlx import MlxNetwork

        return MlxNetwork
    if name == "torch":
        require("torch", extra="torch")
        from runtime_lib.training.on_torch import TorchNetwork

        return TorchNetwork
    raise SettingsError(f"framework = {name!r}: choose 'mlx' or 'torch'.")


def _cannot(architecture: Architecture, error: Exception) -> ModelError:
    return ModelError(f"The architecture '{architecture.module}' cannot be built: {error}.")
