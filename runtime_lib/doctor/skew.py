"""Where template, pin, lock and environment part ways: a finding for each that does not follow the last.

template (`_commit` in the answers) → pins in pyproject.toml → entry in uv.lock → what is installed
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runtime_lib import __version__
from runtime_lib.doctor.finding import Finding
from runtime_lib.upgrade import lockstep
from runtime_lib.upgrade.answers import Answers
from runtime_lib.upgrade.lockstep import Installed, Locked, Pin

__all__ = ["PLACES", "RESTORE", "drift"]

# The lists of pyproject.toml into which the template writes the library.
PLACES = ("project.dependencies", "dependency-groups.airflow", "dependency-groups.dev")

RESTORE = "uv run mlops doctor --restore"
_PIN_BACK = f"{RESTORE} pyproject.toml && uv lock && uv sync"
_LOCK_FIRST = (
    "uv lock && git add pyproject.toml uv.lock && "
    '(git diff --cached --quiet -- pyproject.toml uv.lock || git commit -m "Lock" -- pyproject.toml uv.lock)'
)
_TO_RELEASES = "uv run mlops upgrade --data library_source="


def drift(root: Path, answers: Answers | None) -> list[Finding]:
    """Compare each with the one before it; without readable answers the template is left out."""
    packaging = root / "pyproject.toml"
    try:
        text = packaging.read_text(encoding="utf-8")
        named, over = lockstep.pins(text), lockstep.override(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [Finding("pyproject.toml", "mend", f"cannot be read: {error}", "mend it, or take it from git")]
    held, from_lock = _lock(root)
    now = lockstep.installed(root)
    from_lock += [] if over else _locked(held, named)
    # An environment is only compared with a lock that is right: `uv sync` from another one would do harm.
    right = all(finding.ok for finding in from_lock)
    found = [
        *_pins(named, answers),
        *_override(over),
        *from_lock,
        *_installed(now, held if right else [], answers),
        *_template(answers),
    ]
    if all(finding.ok for finding in found):
        template = answers.commit if answers else "unknown"
        version = now.version if now else __version__
        found.insert(0, Finding("library and template", "ok", f"runtime-lib {version}, template {template}"))
    return found


def _template(answers: Answers | None) -> Iterator[Finding]:
    if answers and not lockstep.is_release(answers.commit):
        found = f"the project follows {answers.commit}, which is no release"
        yield Finding("template", "note", found, "uv run mlops upgrade  # once there is a newer release")


def _pins(pins: list[Pin], answers: Answers | None) -> Iterator[Finding]:
    if not pins:
        yield Finding("library's pin", "mend", "pyproject.toml does not name runtime-lib", _PIN_BACK)
    for pin in pins:
        yield from _pin(pin, pins)
    fetched = [pin for pin in pins if pin.url and not pin.local]
    versions = sorted({pin.ref for pin in fetched if pin.ref})
    if len(versions) > 1 or len({pin.local for pin in pins if pin.url}) > 1:
        said = ", ".join(f"{pin.place}: {pin.ref or pin.url}" for pin in pins if pin.url)
        yield Finding("library's pin", "mend", f"the pins disagree with each other ({said})", _PIN_BACK)
    elif answers and versions and not lockstep.same_version(versions[0], answers.commit):
        yield _off(versions[0], answers.commit)
    if answers:
        yield from _checkouts(pins, answers)


def _pin(pin: Pin, pins: list[Pin]) -> Iterator[Finding]:
    what = f"library's pin ({pin.place})"
    if not pin.url:
        advice = _PIN_BACK if pin.place in PLACES else _written_out(pin, pins)
        yield Finding(
            what, "mend", "a bare name: an index may answer it with anybody's package of that name", advice
        )
    elif not pin.local and not pin.ref:
        yield Finding(what, "mend", f"no version: {pin.url} may hold anything tomorrow", _PIN_BACK)
    elif not pin.fenced and pin.place in PLACES:
        found = "the comment lines around it are gone: every update would conflict there"
        yield Finding(what, "mend", found, f"{RESTORE} pyproject.toml")


def _written_out(pin: Pin, pins: list[Pin]) -> str:
    """The line to write in a list that is not the template's; the address is that of the other pins."""
    extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
    other = next((p for p in pins if p.url), None)
    address = (
        f"{other.url}{'@' if other.ref else ''}{other.ref}" if other else "the address of the template's pin"
    )
    return f'write "runtime-lib{extras} @ {address}", then: uv lock && uv sync'


def _off(ref: str, commit: str) -> Finding:
    direction = _against(ref, commit)
    if direction.startswith("newer") and lockstep.is_release(ref):
        # Somebody, or a bot, moved the library alone: bring the template along.
        # An upgrade wants a clean tree, and `uv run` would only then write the lock that follows the pin.
        mend = f"{_LOCK_FIRST} && uv run mlops upgrade --to {ref}  # or back: {_PIN_BACK}"
    else:
        mend = _PIN_BACK
    return Finding("library's pin", "mend", f"{ref}, {direction}", mend)


def _checkouts(pins: list[Pin], answers: Answers) -> Iterator[Finding]:
    for url in sorted({pin.url for pin in pins if pin.local}):
        folder = Path(unquote(urlsplit(url).path))
        file = folder / "runtime_lib" / "VERSION"
        if not file.is_file():
            yield Finding(
                "library's pin", "mend", f"names a checkout that is not there: {folder}", _TO_RELEASES
            )
            continue
        version = file.read_text(encoding="utf-8").strip()
        words = "" if f"v{version}" == answers.commit else f", {_against(version, answers.commit)}"
        found = f"a checkout on this machine: {folder} (version {version}{words})"
        yield Finding("library's pin", "note", found, f"{_TO_RELEASES}  # follows releases again")


def _override(source: object) -> Iterator[Finding]:
    if source is not None:
        found = (
            f"[tool.uv.sources] names the library too ({source}): uv takes it from there, pip does not see it"
        )
        yield Finding("library's pin", "note", found, "remove it, then: uv lock && uv sync")


def _lock(root: Path) -> tuple[list[Locked], list[Finding]]:
    file = lockstep.lock_file(root)
    if not file.is_file():
        return [], [
            Finding("uv.lock", "mend", "missing: each install may get other versions", "uv lock && uv sync")
        ]
    try:
        held = lockstep.locked(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mend = "git restore --source HEAD --staged --worktree uv.lock && uv lock && uv sync"
        return [], [Finding("uv.lock", "mend", f"cannot be read: {error}", mend)]
    if not held:
        return [], [Finding("uv.lock", "mend", "does not know runtime-lib", "uv lock && uv sync")]
    return held, []


def _locked(held: list[Locked], pins: list[Pin]) -> Iterator[Finding]:
    wanted = next((pin for pin in pins if pin.url), None)
    for entry in held:
        if entry.kind == "registry":
            found = f"takes runtime-lib from an index ({entry.url}): that is anybody's package of that name"
            yield Finding("uv.lock", "mend", found, "uv lock && uv sync")
        elif wanted and (difference := _differs(entry, wanted)):
            yield Finding("uv.lock", "mend", difference, "uv lock && uv sync")
        elif wanted and lockstep.is_release(wanted.ref) and entry.version not in ("", wanted.ref[1:]):
            found = f"{wanted.ref} holds the library's version {entry.version}: the tag has been moved since"
            yield Finding("uv.lock", "mend", found, "uv lock --upgrade-package runtime-lib && uv sync")


def _differs(entry: Locked, pin: Pin) -> str:
    if (entry.kind == "local") != pin.local:
        return f"has the library from {entry.url}, the pin says {pin.url}"
    if pin.local:
        return ""
    if entry.ref != pin.ref:
        return f"still at {entry.ref or entry.version}, {_against(entry.ref, pin.ref, 'the pin')}"
    if not lockstep.same_place(entry.url, pin.url):
        return f"has the library from {entry.url}, the pin says {pin.url}"
    return ""


def _installed(now: Installed | None, held: list[Locked], answers: Answers | None) -> Iterator[Finding]:
    if now is None:
        yield Finding("environment", "mend", "runtime-lib is not installed", "uv sync")
        return
    if now.kind == "index":
        found = f"runtime-lib {now.version} came from an index: that may be anybody's package of that name"
        yield Finding("environment", "mend", found, "uv sync --reinstall-package runtime-lib")
    elif held and all(_strays(now, entry) for entry in held):
        yield Finding("environment", "mend", _stray(now, held[0], answers), "uv sync")
    if not now.here and now.version != __version__:
        found = f"this command is of version {__version__}, the project's environment holds {now.version}"
        yield Finding("environment", "note", found, "uv run mlops doctor")


def _strays(now: Installed, entry: Locked) -> bool:
    if now.kind != entry.kind:
        return True
    other_version = bool(entry.version) and now.version != entry.version
    return other_version or bool(entry.commit and now.commit and entry.commit != now.commit)


def _stray(now: Installed, entry: Locked, answers: Answers | None) -> str:
    words = f"runtime-lib {now.version} from {now.url}"
    if answers and lockstep.is_release(answers.commit) and f"v{now.version}" != answers.commit:
        words += f", {_against(now.version, answers.commit)}"
    locked_as = " at ".join(part for part in (entry.version or entry.url, entry.commit[:12]) if part)
    return f"{words}; uv.lock says {locked_as}"


def _against(version: str, other: str, name: str = "the template") -> str:
    """`older than the template (v0.2.0)`; hashes have no order."""
    ours, theirs = lockstep.release_order(version), lockstep.release_order(other)
    if ours is None or theirs is None or ours == theirs:
        return f"other than {name} ({other})"
    return f"{'older' if ours < theirs else 'newer'} than {name} ({other})"
