"""Commands of a Mac for a machine that has none: scripts that print what they are told, or misbehave."""

from __future__ import annotations

from pathlib import Path

from runtime_lib.hardware.read.probe import Live

__all__ = ["commands", "live"]


def commands(folder: Path, scripts: dict[str, str]) -> Path:
    """Write an executable per name; its text is the script's body."""
    folder.mkdir(exist_ok=True)
    for name, body in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return folder


def live(folder: Path, scripts: dict[str, str], *, timeout: float = 5.0) -> Live:
    """A Mac that answers with these commands alone."""
    path = f"{commands(folder, scripts)}:/usr/bin:/bin"
    return Live(system="darwin", path=path, timeout=timeout)
