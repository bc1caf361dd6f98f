"""What well-known actions and tasks do, by the table `known.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

__all__ = ["RUN_INPUTS", "SCRIPT_TASKS", "is_known", "role_of"]

# Inputs that are scripts, by the name of the action.
RUN_INPUTS: dict[str, tuple[str, ...]] = {
    "actions-hub/kubectl": ("args",),
    "addnab/docker-run-action": ("run",),
    "azure/cli": ("inlinescript", "inlineScript"),
    "coactions/setup-xvfb": ("run",),
    "devcontainers/ci": ("runCmd", "runcmd"),
    "gabrielbb/xvfb-action": ("run",),
    "nick-fields/retry": ("command",),
    "nick-invision/retry": ("command",),
    "uraimo/run-on-arch-action": ("run",),
    "wandalen/wretry.action": ("command",),
}


# Tasks of Azure Pipelines that run a script, and the inputs that hold it, in small letters.
SCRIPT_TASKS: dict[str, tuple[str, ...]] = {
    "azurecli": ("inlinescript", "scriptpath"),
    "azurepowershell": ("inline", "scriptpath"),
    "bash": ("script", "filepath"),
    "batchscript": ("filename",),
    "cmdline": ("script",),
    "commandline": ("script",),
    "powershell": ("script", "filepath"),
    "pythonscript": ("script", "scriptpath"),
    "shellscript": ("scriptpath",),
    "ssh": ("commands", "inline"),
}


@cache
def _roles() -> dict[str, str]:
    table = tomllib.loads(Path(__file__).with_name("known.toml").read_text(encoding="utf-8"))
    return {name: role for role, names in table.items() for name in names}


def role_of(name: str) -> str:
    """What the action does, as in the table; "" if it is not known. The version does not matter."""
    plain = name.partition("@")[0].lower()
    if plain.startswith("docker://"):
        return "run"
    roles = _roles()
    parts = plain.split("/")
    for size in range(len(parts), 0, -1):
        for key in ("/".join(parts[:size]), "/".join(parts[:size]) + "/"):
            if key in roles:
                return roles[key]
    return ""


def is_known(name: str) -> bool:
    return role_of(name) != ""
