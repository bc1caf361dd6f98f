"""Check what is installed, reachable, out of date or unfinished: a finding each, with its fix.

The most urgent comes first. Nothing is changed. No check depends on another one's success: a project whose
files contain conflict markers needs the doctor most.
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from runtime_lib import __version__
from runtime_lib.doctor.addresses import addresses
from runtime_lib.doctor.conflicts import conflicts
from runtime_lib.doctor.dropped import Dropped, dropped
from runtime_lib.doctor.finding import Finding, Level
from runtime_lib.doctor.owned import changed_by_hand, unanswered
from runtime_lib.doctor.skew import RESTORE, drift
from runtime_lib.errors import MissingExtraError, MlopsError
from runtime_lib.secrets import without_secrets
from runtime_lib.settings import Settings
from runtime_lib.settings import load as load_settings
from runtime_lib.upgrade import git as history
from runtime_lib.upgrade import lockstep
from runtime_lib.upgrade.answers import Answers, parse_answers, read_answers
from runtime_lib.upgrade.rendering import Renderings
from runtime_lib.upgrade.versions import is_release, version_of

__all__ = ["Finding", "Level", "examine"]

_FIRST_WITH_RESTORE = (0, 3, 0)
_NEWEST_ALONE = "uvx --from {requirement} mlops doctor"


def examine(root: Path) -> list[Finding]:
    """Check the project at `root` and this machine; a check that cannot run is a finding too."""
    root = root.resolve()
    found = [*_waiting(root), *conflicts(root)]
    settings = _settings(root, found)
    answers = _answers(root, found)
    off = drift(root, answers)
    if any(
        finding.what == "uv.lock" for finding in found
    ):  # the finding about its conflict already says what to do
        off = [finding for finding in off if finding.what != "uv.lock" or finding.ok]
    lost, changed = _template(root, answers, fence=all(finding.ok for finding in off))
    found += [*lost, *off, *changed, *_packages(root)]
    if settings:
        found += _here(root, "device", _device, settings)
        found += (asked := [*addresses(settings)])
        if all(finding.ok for finding in asked if finding.what in ("tracking", "artifacts")):
            found += _here(root, "champion", _champion, settings)
        else:
            found.append(Finding("champion", "note", "not checked: the registry does not answer"))
    return [
        replace(f, found=without_secrets(f.found), fix=without_secrets(_typed(root, answers, f.fix)))
        for f in found
    ]


def _here(
    root: Path, what: str, check: Callable[[Settings], Iterator[Finding]], settings: Settings
) -> list[Finding]:
    """Run a check that needs the project's packages; a borrowed command has none of them."""
    try:
        return [*check(settings)]
    except ImportError as error:
        if isinstance(error, MissingExtraError) and not _borrows(root):
            return [Finding(what, "fix", str(error), "uv sync")]
        missing = (
            str(error).partition("' is not")[0].strip("'") if isinstance(error, MlopsError) else error.name
        )
        found = f"not checked: {missing} is not installed here" if missing else f"not checked: {error}"
        return [Finding(what, "note", found, ".venv/bin/mlops doctor  # after uv sync")]


def _borrows(root: Path) -> bool:
    """Whether this runs outside the project's environment, for instance with `uvx`."""
    if sorted((root / ".venv").glob("lib/python*/site-packages")):
        return Path(sys.prefix).resolve() != (root / ".venv").resolve()
    return find_spec("numpy") is None or find_spec("dvc") is None


def _typed(root: Path, answers: Answers | None, fix: str) -> str:
    """Rewrite a command so that it works in the project's present state."""
    if not _uv_runs(root):
        return fix.replace("uv run mlops", ".venv/bin/mlops")
    return fix.replace(RESTORE, f"{_restorer(root, answers)} doctor --restore")


def _restorer(root: Path, answers: Answers | None) -> str:
    """`uv run` would first install the pinned version, which may not have `--restore`."""
    pins = [pin for pin in _pins(root) if is_release(pin.ref)]
    if all(pin.ref == f"v{__version__}" for pin in pins):
        return "uv run mlops"
    template = answers.commit if answers and is_release(answers.commit) else ""
    able = (version_of(template) or ()) >= _FIRST_WITH_RESTORE
    wanted = f"runtime-lib[upgrade] @ {pins[0].url}@{template if able else f'v{__version__}'}"
    return f"uvx --from {shlex.quote(wanted)} mlops"


def _uv_runs(root: Path) -> bool:
    """Whether `uv run` is safe to advise: it reads these files first, and locks what they name."""
    try:
        for file in (root / "pyproject.toml", lockstep.lock_file(root)):
            tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:  # uv creates a missing lock
        pass
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    return not lockstep.unsourced(_pins(root))  # for a bare name it would fetch and run anybody's package


def _waiting(root: Path) -> Iterator[Finding]:
    from runtime_lib.upgrade.apply import journal

    try:
        waiting = journal(root)
    except MlopsError:  # no git: no upgrade has begun
        return
    except ValueError as error:
        found = f"its journal is damaged ({error})"
        yield Finding("upgrade", "fix", found, "uv run mlops upgrade --abort")
        return
    if waiting:
        yield Finding(
            "upgrade",
            "fix",
            "waiting for its conflicts to be resolved",
            "uv run mlops upgrade --finish  # or --abort, to go back to the state before it",
        )


def _settings(root: Path, found: list[Finding]) -> Settings | None:
    try:
        return load_settings(root)
    except (MlopsError, OSError, UnicodeDecodeError) as error:
        advice = "fix it; until then device, tracking and champion are not checked"
        found.append(Finding("settings", "fix", str(error), advice))
        return None


def _answers(root: Path, found: list[Finding]) -> Answers | None:
    try:
        return read_answers(root)
    except MlopsError as error:
        fix = "until this is fixed no version can be compared"
        if command := _last_readable(root):
            fix = f"{command}  # {fix}"
        found.append(Finding("answers", "fix", str(error), fix))
        return None


def _last_readable(root: Path) -> str:
    """Return the command that restores the last readable answers from git."""
    file = next((path.name for path in sorted(root.glob(".copier-answers*.yml"))), ".copier-answers.yml")
    log = history.git(root, "log", "-20", "--format=%h", "--", file) or b""
    for commit in log.decode().split():
        try:
            text = history.file_at(root, commit, file)
            parse_answers((text or b"").decode("utf-8", errors="replace"), file)
        except MlopsError:
            continue
        return f"git restore --source={commit} --staged --worktree {shlex.quote(file)}"
    return ""


def _template(root: Path, answers: Answers | None, *, fence: bool) -> tuple[list[Finding], list[Finding]]:
    """Return dropped edits, and the other findings that need the rendered template.

    If the template cannot be rendered, that is a single note.
    """
    if answers is None:
        return [], []
    renderings = Renderings()
    lost: list[Finding] = []
    try:
        lost += [_lost(drop) for drop in dropped(root, renderings)]
        made = renderings.at(answers)
        changed = [*unanswered(answers, made), *changed_by_hand(root, made, fence=fence)]
    except MissingExtraError:
        said = "copier is not installed: dropped edits and changed files are not checked"
        return lost, [Finding("template", "note", said, _borrowed(root))]
    except MlopsError as error:
        said = f"{error} Dropped edits and changed files are not checked."
        return lost, [Finding("template", "note", said)]
    if not lost and not changed:
        changed = [Finding("template's files", "ok", "as the template made them; no update dropped an edit")]
    if out := renderings.newest(answers):
        changed.append(Finding("template", "note", f"{out} is out", "uv run mlops upgrade --plan"))
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
    return Finding(drop.path, "fix", found, f"{RESTORE} {name}{conflict}")


def _borrowed(root: Path) -> str:
    """Return the command that runs the doctor with copier, for projects that do not have it installed."""
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
            if _borrows(root):
                found = "not checked: this command runs outside the project's environment"
                yield Finding(package, "note", found, ".venv/bin/mlops doctor  # after uv sync")
                continue
            fix = f'write "runtime-lib[{extra}]" into the dependencies in pyproject.toml, then uv sync'
            yield Finding(package, "fix", "not installed", fix)


def _device(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.hardware import choose_device

    try:
        device = choose_device(settings.training.framework, force_gpu=settings.hardware.force_gpu)
    except MissingExtraError:
        raise
    except MlopsError as error:
        yield Finding("device", "fix", str(error), "uv sync")
    else:
        yield Finding("device", "ok", f"{device.framework} on {device.name}: {device.reason}")


def _champion(settings: Settings) -> Iterator[Finding]:
    from runtime_lib.registry.champion import champion, no_champion
    from runtime_lib.registry.show import rows
    from runtime_lib.tracking.store import tracking_uri

    try:
        store = tracking_uri(settings)
        # Without a store there is no champion. MLflow takes seconds to load, and would create a store.
        fresh = store.startswith("sqlite:///") and not Path(store.removeprefix("sqlite:///")).exists()
        held = None if fresh else champion(settings)
        empty = fresh or not (held or rows(settings))
    except MissingExtraError:
        raise
    except MlopsError as error:
        yield Finding("champion", "fix", str(error), "see the message")
        return
    if held:
        yield Finding("champion", "ok", f"{held.name} version {held.version}")
    elif empty:
        yield Finding("champion", "note", "none yet", "uv run mlops run")
    else:
        yield Finding("champion", "note", no_champion(settings), "uv run mlops champion list")
