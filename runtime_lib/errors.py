"""Every error that the library raises on purpose. Each message says what was wrong and what to do."""

from __future__ import annotations

from importlib import import_module
from reprlib import Repr
from types import ModuleType
from typing import Any

__all__ = [
    "BusyError",
    "CapacityError",
    "DataError",
    "DeviceError",
    "GateError",
    "MissingExtraError",
    "MlopsError",
    "ModelError",
    "PipelineError",
    "RequestError",
    "ServiceError",
    "SettingsError",
    "UnfitError",
    "UpgradeError",
    "quoted",
    "require",
]

# A list as long as its request or nested as deeply would take long to write out, or could not be.
_REPR = Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxstring, _REPR.maxother = 8, 40, 20, 1_000, 1_000


class MlopsError(Exception):
    """Base of all errors here; the command line prints the message and exits with `exit_code`."""

    exit_code = 1


class SettingsError(MlopsError, ValueError):
    """A setting, parameter or option is wrong."""

    exit_code = 2


class DataError(MlopsError, ValueError):
    """A table breaks a rule, or is missing."""


class ModelError(MlopsError, ValueError):
    """A model cannot be read, or is not trusted."""


class RequestError(MlopsError, ValueError):
    """A request body cannot be predicted on; `status` is the HTTP status to answer."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class GateError(MlopsError):
    """The gate refused a candidate; the champion stays."""

    exit_code = 3


class PipelineError(MlopsError):
    """A stage failed or another run is under way."""


class ServiceError(MlopsError):
    """A server is not reachable, or a port is in use."""


class BusyError(MlopsError):
    """Other work held this machine's memory or GPU for longer than the caller would wait."""


class UnfitError(MlopsError):
    """This machine may not do the work: it is too hot, or lacks memory, charge or a GPU."""


class UpgradeError(MlopsError):
    """The project cannot be brought to another version of the template; nothing was changed."""


class DeviceError(MlopsError, RuntimeError):
    """No device of this machine computes correctly."""


class CapacityError(MlopsError, MemoryError):
    """The work does not fit into the memory it may take; `missing_bytes` more would do."""

    def __init__(self, message: str, *, missing_bytes: int) -> None:
        super().__init__(message)
        self.missing_bytes = missing_bytes


class MissingExtraError(MlopsError, ImportError):
    """An optional package is not installed."""

    exit_code = 2

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"'{module}' is not installed. It comes with the extra '{extra}': write the line "
            f'"runtime-lib[{extra}]" into the dependencies in pyproject.toml, then `uv sync`.'
        )


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtraError` naming the extra to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != top:
            raise  # `top` is installed but broken: keep the real cause visible
        raise MissingExtraError(top, extra) from error


def quoted(value: Any, most: int = 80) -> str:
    """Return a value from outside as a message shows it, in at most so many characters."""
    return _REPR.repr(value)[:most]
