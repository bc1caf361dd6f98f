"""What a run was made of: commit, data versions, library, machine and plan, as tags of the run."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime_lib.errors import DataError
from runtime_lib.hardware import facts
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.replay.folder import replayed
from runtime_lib.settings import Settings

__all__ = ["content_tags", "data_versions", "git", "library_version", "plan_tags", "tags"]


def tags(root: Path) -> dict[str, str]:
    """Facts about code and machine, as tags of a run; what cannot be known is left out.

    Under a replay the machine is the replayed one: then a tag of its own names the folder.
    """
    found = {"mlops.version": library_version(), "mlops.python": platform.python_version()}
    commit = git(root, "rev-parse", "HEAD")
    if commit:
        found["mlflow.source.git.commit"] = commit  # the name under which MLflow's pages show it
        found["mlops.git.dirty"] = "true" if git(root, "status", "--porcelain") else "false"
    machine = facts()
    found["mlops.chip"] = machine.chip or "unknown"
    found["mlops.hardware"] = json.dumps(machine.to_dict(), sort_keys=True)
    if folder := replayed():
        found["mlops.hardware_replay"] = folder
    return found


def plan_tags(plan: ComputePlan) -> dict[str, str]:
    """Tags of a training: framework, device and why, and the plan as JSON."""
    device = plan.device
    return {
        "mlops.framework": device.framework,
        "mlops.device": device.name,
        "mlops.device_reason": device.reason,
        "mlops.plan": json.dumps(plan.to_dict()),
    }


def content_tags(settings: Settings) -> dict[str, str]:
    """The months that have features, and a hash of each file of the project's package."""
    found = {}
    if months := sorted(path.stem for path in settings.features.glob("*.parquet")):
        found["mlops.months"] = f"{months[0]} to {months[-1]}"
    package = settings.root / "src" / settings.project.package
    hashes = {
        path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in sorted(package.rglob("*.py"))
    }
    if hashes:
        found["mlops.code"] = json.dumps(hashes)
    return found


def data_versions(root: Path) -> dict[str, str]:
    """Path → DVC hash of everything below `data/` that `dvc.lock` names; empty without one.

    Raises:
        DataError: `dvc.lock` is damaged.
    """
    import yaml

    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = f"{root / 'dvc.lock'} is damaged ({' '.join(str(error).split())})"
        raise DataError(f"{what}. Take it from git, or run `mlops run`.") from error
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


def git(root: Path, *arguments: str) -> str | None:
    """The command's output, or None: no git, no repository, no commit yet."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
