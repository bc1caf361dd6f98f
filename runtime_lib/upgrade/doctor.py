"""What is installed, reachable, out of date or half done: one finding each, with what mends it.

The most pressing comes first. Nothing is changed, and no check needs another one's success: a project whose
files hold conflict markers is the one that needs a doctor most.
"""

from __future__ import annotations

import shlex
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from runtime_lib.errors import MissingExtraError, MlopsError
from runtime_lib.settings import Settings
from runtime_lib.settings import load as load_settings
from runtime_lib.upgrade import lockstep
from runtime_lib.upgrade.answers import Answers, read_answers
from runtime_lib.upgrade.conflicts import conflicts
from runtime_lib.upgrade.drift import RESTORE, drift
from runtime_lib.upgrade.dropped import Dropped, dropped
from runtime_lib.upgrade.finding import Finding, Level, without_secrets
from runtime_lib.upgrade.owned import changed_by_hand, unanswered
from runtime_lib.upgrade.rendering import Renderings

__all__ = ["Finding", "Level", "examine"]

_PROBE_SECONDS = 3.0
_NEWEST_ALONE = "uvx --from {requirement} mlops doctor"


def examine(root: Path) -> list[Finding]:
    """Look at the project at `root` and at this machine; what cannot be looked at is a finding of its own."""
    root = root.resolve()
    found = [*_waiting(root), *conflicts(root)]
    settings = _settings(root, found)
    answers = _answers(root, found)
    off = drift(root, answers)
    lost, changed = _template(root, answers, fence=all(finding.ok for finding in off))
    found += [*lost, *off, *changed, *_packages(root)]
    if settings:
        found += [*_device(settings), *_tracking(settings), *_champion(settings)]
    mlops = "uv run mlops" if _uv_runs(root) else ".venv/bin/mlops"
    return [
        replace(
            f, found=without_secrets(f.found), mend=without_secrets(f.mend.replace("uv run mlops", mlops))
        )
        for f in found
    ]


def _uv_runs(root: Path) -> bool:
    """Whether `uv run` may be advised: it reads these files first, and locks what they name."""
    try:
        for file in (root / "pyproject.toml", lockstep.lock_file(root)):
            tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:  # it makes a missing lock
        pass
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    return all(pin.url for pin in _pins(root))  # a bare name: it would fetch and run anybody's package


def _waiting(root: Path) -> Iterator[Finding]:
    from runtime_lib.upgrade.run import journal

    try:
        waiting = journal(root)
    except MlopsError:  # no git: no upgrade has begun
        return
    except ValueError as error:
        found = f"its note is damaged ({error})"
        yield Finding("upgrade", "mend", found, "uv run mlops upgrade --abort")
        return
    if waiting:
        yield Finding(
            "upgrade",
            "mend",
            "one waits for its conflicts to be resolved",
            "uv run mlops upgrade --finish  # or --abort: back to where it began",
        )


def _settings(root: Path, found: list[Finding]) -> Settings | None:
    try:
        return load_settings(root)
    except (MlopsError, OSError, UnicodeDecodeError) as error:
        advice = "mend it; until then device, tracking and champion are not looked at"
        found.append(Finding("settings", "mend", str(error), advice))
        return None


def _answers(root: Path, found: list[Finding]) -> Answers | None:
    try:
        return read_answers(root)
    except MlopsError as error:
        found.append(
            Finding("answers", "mend", str(error), "mend them; until then no version can be compared")
        )
        return None


def _template(root: Path, answers: Answers | None, *, fence: bool) -> tuple[list[Finding], list[Finding]]:
    """Return dropped edits, and what else only the template at hand can tell.

    Where it cannot be had that is one note, whichever check asked first.
    """
    if answers is None:
        return [], []
    renderings = Renderings(root)
    lost: list[Finding] = []
    try:
        lost += [_lost(drop) for drop in dropped(root, renderings)]
        made = renderings.at(answers)
        changed = [*unanswered(answers, made), *changed_by_hand(root, made, fence=fence)]
    except MissingExtraError:
        said = "copier is not installed: dropped edits and changed files are not looked for"
        return lost, [Finding("template", "note", said, _borrowed(root))]
    except MlopsError as error:
        said = f"{error} Dropped edits and changed files are not looked for."
        return lost, [Finding("template", "note", said)]
    if not lost and not changed:
        changed = [Finding("template's files", "ok", "as the template made them; no update dropped an edit")]
    return lost, changed


def _lost(drop: Dropped) -> Finding:
    old, new = drop.update.old.commit, drop.update.new.commit
    versions = f"{old} → {new}" if old != new else f"that changed answers at {old}"
    name = shlex.quote(drop.path)
    if drop.came_from:
        found = f"the update {versions} renamed {drop.came_from} to this and dropped your edits"
    else:
        found = f"the update {versions} deleted this file and with it your edits"
    conflict = "" if drop.clean else "  # leaves conflict markers for you to resolve"
    return Finding(drop.path, "mend", found, f"{RESTORE} {name}{conflict}")


def _borrowed(root: Path) -> str:
    """The command that looks with copier, for projects whose template did not yet install it."""
    pin = next((pin for pin in _pins(root) if pin.url), None)
    if pin is None:
        return "uv sync"
    address = f"runtime-lib[upgrade] @ {pin.url}{'@' if pin.ref else ''}{pin.ref}"
    return _NEWEST_ALONE.format(requirement=shlex.quote(address))


def _pins(root: Path) -> list[lockstep.Pin]:
    try:
        return lockstep.pins((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return []


def _packages(root: Path) -> Iterator[Finding]:
    wanted = {"dvc": "data", "mlflow": "tracking"}
    if any("serve" in pin.extras for pin in _pins(root)):
        wanted["ray"] = "serve"
    for package, extra in wanted.items():
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            mend = f"add '{extra}' to runtime-lib[…], then uv sync"
            yield Finding(package, "mend", "not installed", mend)


def _device(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.hardware import choose_device

    try:
        device = choose_device(settings.training.framework)
    except MlopsError as error:
        yield Finding("device", "mend", str(error), "uv sync")
    else:
        yield Finding("device", "ok", f"{device.framework} on {device.name}: {device.reason}")


def _tracking(settings: Settings) -> Iterator[Finding]:
    uri = urlsplit(settings.tracking.uri)
    if uri.scheme in ("http", "https") and uri.hostname:
        port = uri.port or {"http": 80, "https": 443}[uri.scheme]
        where = f"{uri.hostname}:{port}"  # never the whole URI: it may carry a password
        try:
            socket.create_connection((uri.hostname, port), _PROBE_SECONDS).close()
        except OSError as error:
            found = f"{where}: {error.strerror or error}"
            yield Finding("tracking", "mend", found, "start the server, or set tracking.uri")
        else:
            yield Finding("tracking", "ok", f"{where} answers")
    else:
        yield Finding("tracking", "ok", f"embedded {uri.scheme}")


def _champion(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.registry.champion import champion

    try:
        held = champion(settings)
    except MlopsError as error:
        yield Finding("champion", "mend", str(error), "see the message")
        return
    if held:
        yield Finding("champion", "ok", f"{held.name} version {held.version}")
    else:
        yield Finding("champion", "mend", "none yet", "uv run mlops run")
