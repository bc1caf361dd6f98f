"""Compare template, pin, lock and environment: a finding for each that differs from the one before.

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
from runtime_lib.upgrade.versions import is_release, release_order

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
    """Compare each with the one before it; the template only if the answers are readable."""
    packaging = root / "pyproject.toml"
    try:
        text = packaging.read_text(encoding="utf-8")
        named, over = lockstep.pins(text), lockstep.override(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [Finding("pyproject.toml", "fix", f"cannot be read: {error}", "fix it, or take it from git")]
    held, from_lock = _lock(root)
    now = lockstep.installed(root)
    from_lock += [] if over else _locked(held, named)
    # The environment is compared only with a correct lock: `uv sync` from a wrong one would do harm.
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
    if answers and not is_release(answers.commit):
        found = f"the project follows {answers.commit}, which is not a release"
        yield Finding("template", "note", found, "uv run mlops upgrade  # once there is a newer release")


def _pins(pins: list[Pin], answers: Answers | None) -> Iterator[Finding]:
    if not pins:
        yield Finding("library's pin", "fix", "pyproject.toml does not name runtime-lib", _PIN_BACK)
    for pin in pins:
        yield from _pin(pin, pins)
    fetched = [pin for pin in pins if pin.url and not pin.local]
    versions = sorted({pin.ref for pin in fetched if pin.ref})
    if len(versions) > 1 or len({pin.local for pin in pins if pin.url}) > 1:
        said = ", ".join(f"{pin.place}: {pin.ref or pin.url}" for pin in pins if pin.url)
        yield Finding("library's pin", "fix", f"the pins disagree with each other ({said})", _PIN_BACK)
    elif answers and versions and not lockstep.same_version(versions[0], answers.commit):
        yield _off(versions[0], answers.commit)
    if answers:
        yield from _checkouts(pins, answers)


def _pin(pin: Pin, pins: list[Pin]) -> Iterator[Finding]:
    what = f"library's pin ({pin.place})"
    if pin in lockstep.unsourced(pins):
        advice = _PIN_BACK if pin.place in PLACES else _written_out(pin, pins)
        yield Finding(what, "fix", "a bare name: an index may serve anybody's package of that name", advice)
    elif pin.url and not pin.local and not pin.ref:
        yield Finding(what, "fix", f"no version: {pin.url} may have other content tomorrow", _PIN_BACK)
    elif pin.url and not pin.fenced and pin.place in PLACES:
        found = "the comment lines around it are missing: every update would conflict there"
        yield Finding(what, "fix", found, f"{RESTORE} pyproject.toml")


def _written_out(pin: Pin, pins: list[Pin]) -> str:
    """Return the line to write into the user's own list, with the address of the other pins."""
    extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
    other = next((p for p in pins if p.url), None)
    address = (
        f"{other.url}{'@' if other.ref else ''}{other.ref}" if other else "the address of the template's pin"
    )
    return f'write "runtime-lib{extras} @ {address}", then: uv lock && uv sync'


def _off(ref: str, commit: str) -> Finding:
    direction = _against(ref, commit)
    if direction.startswith("newer") and is_release(ref):
        # Somebody, or a bot, updated only the library: update the template too.
        # An upgrade needs a clean tree, so the lock is written and committed before it.
        fix = f"{_LOCK_FIRST} && uv run mlops upgrade --to {ref}  # or back: {_PIN_BACK}"
    else:
        fix = _PIN_BACK
    return Finding("library's pin", "fix", f"{ref}, {direction}", fix)


def _checkouts(pins: list[Pin], answers: Answers) -> Iterator[Finding]:
    for url in sorted({pin.url for pin in pins if pin.local}):
        folder = Path(unquote(urlsplit(url).path))
        file = folder / "runtime_lib" / "VERSION"
        if not file.is_file():
            yield Finding(
                "library's pin", "fix", f"names a checkout that does not exist: {folder}", _TO_RELEASES
            )
            continue
        version = file.read_text(encoding="utf-8").strip()
        words = "" if f"v{version}" == answers.commit else f", {_against(version, answers.commit)}"
        found = f"a checkout on this machine: {folder} (version {version}{words})"
        yield Finding("library's pin", "note", found, f"{_TO_RELEASES}  # to follow releases again")


def _override(source: object) -> Iterator[Finding]:
    if source is not None:
        found = (
            f"[tool.uv.sources] names the library too ({source}): uv installs it from there, pip ignores that"
        )
        yield Finding("library's pin", "note", found, "remove it, then: uv lock && uv sync")


def _lock(root: Path) -> tuple[list[Locked], list[Finding]]:
    file = lockstep.lock_file(root)
    if not file.is_file():
        return [], [
            Finding(
                "uv.lock", "fix", "missing: each install may get different versions", "uv lock && uv sync"
            )
        ]
    try:
        held = lockstep.locked(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fix = "git restore --source HEAD --staged --worktree uv.lock && uv lock && uv sync"
        return [], [Finding("uv.lock", "fix", f"cannot be read: {error}", fix)]
    if not held:
        return [], [Finding("uv.lock", "fix", "does not contain runtime-lib", "uv lock && uv sync")]
    return held, []


def _locked(held: list[Locked], pins: list[Pin]) -> Iterator[Finding]:
    wanted = next((pin for pin in pins if pin.url), None)
    for entry in held:
        if entry.kind == "registry":
            found = f"takes runtime-lib from an index ({entry.url}), where it may be anybody's package"
            yield Finding("uv.lock", "fix", found, "uv lock && uv sync")
        elif wanted and (difference := _differs(entry, wanted)):
            yield Finding("uv.lock", "fix", difference, "uv lock && uv sync")
        elif wanted and is_release(wanted.ref) and entry.version not in ("", wanted.ref[1:]):
            found = f"{wanted.ref} contains the library's version {entry.version}: the tag has been moved"
            yield Finding("uv.lock", "fix", found, "uv lock --upgrade-package runtime-lib && uv sync")


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
        yield Finding("environment", "fix", "runtime-lib is not installed", "uv sync")
        return
    if now.kind == "index":
        found = f"runtime-lib {now.version} came from an index, where it may be anybody's package"
        yield Finding("environment", "fix", found, "uv sync --reinstall-package runtime-lib")
    elif held and all(_strays(now, entry) for entry in held):
        yield Finding("environment", "fix", _stray(now, held[0], answers), "uv sync")
    if not now.here and now.version != __version__:
        found = f"this command has version {__version__}, the project's environment has {now.version}"
        yield Finding("environment", "note", found, "uv run mlops doctor")


def _strays(now: Installed, entry: Locked) -> bool:
    if now.kind != entry.kind:
        return True
    other_version = bool(entry.version) and now.version != entry.version
    return other_version or bool(entry.commit and now.commit and entry.commit != now.commit)


def _stray(now: Installed, entry: Locked, answers: Answers | None) -> str:
    words = f"runtime-lib {now.version} from {now.url}"
    if answers and is_release(answers.commit) and f"v{now.version}" != answers.commit:
        words += f", {_against(now.version, answers.commit)}"
    locked_as = " at ".join(part for part in (entry.version or entry.url, entry.commit[:12]) if part)
    return f"{words}; uv.lock says {locked_as}"


def _against(version: str, other: str, name: str = "the template") -> str:
    """Return for instance `older than the template (v0.2.0)`; hashes have no order."""
    ours, theirs = release_order(version), release_order(other)
    if ours is None or theirs is None or ours == theirs:
        return f"different from {name} ({other})"
    return f"{'older' if ours < theirs else 'newer'} than {name} ({other})"
