"""What a run was made of: commit, data versions, machine, library."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["data_versions", "library_version", "tags"]


def tags(root: Path) -> dict[str, str]:
    """Facts about code and machine, as tags of a run; what cannot be known is left out."""
    facts = {"mlops.version": library_version(), "mlops.python": platform.python_version()}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        facts["mlflow.source.git.commit"] = commit  # the name under which MLflow's pages show it
        facts["mlops.git.dirty"] = "true" if _git(root, "status", "--porcelain") else "false"
    if hardware := _hardware():
        facts["mlops.hardware"] = json.dumps(hardware, sort_keys=True)
    return facts


def data_versions(root: Path) -> dict[str, str]:
    """Path → DVC hash of everything below `data/` that `dvc.lock` names; empty without one."""
    import yaml

    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for kind in ("deps", "outs"):  # an output's own hash is newer than what its reader saw last time
        for stage in (lock.get("stages") or {}).values():
            for entry in stage.get(kind) or []:
                digest = entry.get("md5") or entry.get("etag") or entry.get("checksum")
                if digest and str(entry["path"]).startswith("data/"):
                    found[str(entry["path"])] = str(digest)
    return dict(sorted(found.items()))


def library_version() -> str:
    """The installed version of the library."""
    try:
        return version("runtime-lib")
    except PackageNotFoundError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str | None:
    """The command's output, or None: no git, no repository, no commit yet."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _hardware() -> dict[str, Any]:
    try:
        facts = import_module("runtime_lib.hardware").facts().to_dict()
    except (ImportError, AttributeError):
        return {}
    return dict(facts)
