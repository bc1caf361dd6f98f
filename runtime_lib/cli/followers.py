"""What every command says to servers once it may have moved the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime_lib.settings import Settings

__all__ = ["tell"]


def tell(settings: Settings) -> str:
    """Have the project's server on this machine, if one runs, look at the registry; what servers do now."""
    from runtime_lib.serving.releases import orders

    runs = orders.follow(settings)
    if not settings.serving.follow:
        return "A server keeps its version: release this one with `mlops deploy`."
    if runs:
        return "The server that runs here follows."
    return f"Servers elsewhere follow within {settings.serving.follow_seconds:g} s; here none runs."
