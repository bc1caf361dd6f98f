"""What is installed, reachable and out of date: one finding each, with what mends it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runtime_lib import __version__
from runtime_lib.errors import MlopsError
from runtime_lib.settings import Settings

__all__ = ["Finding", "examine"]

_PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `mend` is a command or a short advice, empty where all is well."""

    what: str
    ok: bool
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Look at the project and this machine; nothing is changed."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _library,
        _packages,
        _device,
        _tracking,
        _champion,
    )
    return [finding for check in checks for finding in check(settings)]


def _library(settings: Settings) -> Iterator[Finding]:
    answers = settings.root / ".copier-answers.yml"
    commit = re.search(r"^_commit: (\S+)", _text(answers), re.MULTILINE)
    template = commit.group(1) if commit else None
    released = template is not None and re.fullmatch(r"v\d+\.\d+\.\d+\S*", template) is not None
    ok = not released or template == f"v{__version__}"
    yield Finding(
        "library and template",
        ok,
        f"runtime-lib {__version__}, template {template or 'unknown'}",
        "" if ok else "uv lock && uv sync",
    )


def _packages(settings: Settings) -> Iterator[Finding]:
    wanted = {"dvc": "data", "mlflow": "tracking"}
    if "serve" in _text(settings.root / "pyproject.toml"):
        wanted["ray"] = "serve"
    for package, extra in wanted.items():
        try:
            yield Finding(package, True, version(package))
        except PackageNotFoundError:
            mend = f"add '{extra}' to runtime-lib[…], then uv sync"
            yield Finding(package, False, "not installed", mend)


def _device(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.hardware import choose_device

    try:
        device = choose_device(settings.training.framework)
    except MlopsError as error:
        yield Finding("device", False, str(error), "uv sync")
    else:
        yield Finding("device", True, f"{device.framework} on {device.name}: {device.reason}")


def _tracking(settings: Settings) -> Iterator[Finding]:
    uri = urlsplit(settings.tracking.uri)
    if uri.scheme in ("http", "https") and uri.hostname:
        port = uri.port or {"http": 80, "https": 443}[uri.scheme]
        where = f"{uri.hostname}:{port}"  # never the whole URI: it may carry a password
        try:
            socket.create_connection((uri.hostname, port), _PROBE_SECONDS).close()
        except OSError as error:
            yield Finding(
                "tracking",
                False,
                f"{where}: {error.strerror or error}",
                "start the server, or set tracking.uri",
            )
        else:
            yield Finding("tracking", True, f"{where} answers")
    else:
        yield Finding("tracking", True, f"embedded {uri.scheme}")


def _champion(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.registry.champion import champion

    try:
        held = champion(settings)
    except MlopsError as error:
        yield Finding("champion", False, str(error), "see the message")
        return
    if held:
        yield Finding("champion", True, f"{held.name} version {held.version}")
    else:
        yield Finding("champion", False, "none yet", "uv run mlops run")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
