"""Opening a recording for `mlops hardware`: what cannot be one is refused, what gives nothing is named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay.folder import Replay

__all__ = ["checked"]

_NAMED = "`sysctl*.txt`, `ioreg*`, `pmset_g*.txt`, `proc_cpuinfo.txt`, …"
# A control group without a limit adds nothing to what is known, and is in order.
_QUIET = ("proc_self_cgroup", "sys_fs_cgroup")


def checked(replay: Replay) -> list[str]:
    """Return the warnings about a recording.

    Raises:
        SettingsError: there is no file in the folder.
    """
    if replay.is_empty:
        raise SettingsError(
            f"{replay.folder} holds no recording: it has no file, and one named after each command that was "
            f"recorded is needed ({_NAMED}). `mlops hardware --record FOLDER` writes them."
        )
    if not replay.recognised:
        return [
            f"{replay.folder} holds no recording, so all is unknown: none of its files is named after a "
            f"command that is asked, or a file that is read ({_NAMED})."
        ]
    if idle := _idle(replay):
        return [f"In {replay.folder} nothing can be read from {', '.join(path.name for path in idle)}."]
    return []


def _idle(replay: Replay) -> list[Path]:
    """Recognised files that are blank, or from which nothing is known with all others of their command."""
    nothing = _said(replay, ())
    everything = _said(replay, replay.recognised)
    useful: set[Path] = set()
    for group in replay.groups():
        rest = [path for path in replay.recognised if path not in group]
        if _said(replay, group) != nothing or _said(replay, rest) != everything:
            useful.update(group)
    return [
        path
        for path in replay.recognised
        if _is_blank(path) or not (path in useful or path.name.startswith(_QUIET))
    ]


def _is_blank(path: Path) -> bool:
    try:
        return not path.read_bytes().strip()
    except OSError:
        return True


def _said(replay: Replay, paths: Iterable[Path]) -> tuple[Facts, State]:
    part = _Part(replay, paths)
    machine = facts(part)
    return machine, state(part, facts=machine)


class _Part(Replay):
    """Some files of a recording, on the platform of all of them."""

    def __init__(self, whole: Replay, paths: Iterable[Path]) -> None:
        super().__init__(whole.folder)
        self._files = tuple(paths)
        self._platform = whole.platform

    @property
    def platform(self) -> str | None:
        return self._platform

    def _read(self, path: Path) -> str | None:
        return super()._read(path) if path in self._files else None
