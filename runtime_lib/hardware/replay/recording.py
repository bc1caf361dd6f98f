"""Recording this machine into a folder that can be replayed elsewhere, without saying whose it is.

Of each answer only what is on a list is written (redact.py); this user's and this host's names are masked
in what is left.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.files import scratch_folder
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import Live, Probe, Question
from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay.folder import Replay, recorded_name
from runtime_lib.hardware.replay.redact import COMMANDS, kept_file, masked, numbered_groups

__all__ = ["record"]


def record(folder: Path, probe: Probe | None = None) -> list[Path]:
    """Write a folder that replays to this machine's facts and state.

    Args:
        folder: a new or an empty one; it is written whole or not at all.
        probe: who answers (default: this machine, and MLX where it is installed).

    Returns:
        The files, by name.

    Raises:
        SettingsError: `folder` is not empty, no folder, or cannot be written.
        DataError: the machine answered nothing.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "not empty" if folder.is_dir() else "a file"
        raise SettingsError(f"{folder} exists and is {what}: name a new folder. Nothing was written.")
    texts = _answers(probe or Live())
    if probe is None and (said := _mlx()):
        texts["mlx_device_info.txt"] = masked(said)
    if not texts:
        raise DataError(
            f"Nothing on this machine ({platform.system()}) answered: there is nothing to record."
        )
    try:
        with scratch_folder(folder) as new:
            for name, text in texts.items():
                (new / name).write_text(text, encoding="utf-8")
            _hide_names(new)
            new.rename(folder)  # takes an empty folder's place, and fails where there are files
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror or error}): name another folder."
        ) from error
    return sorted(folder.iterdir())


def _answers(probe: Probe) -> dict[str, str]:
    """File name → what is kept of the answer."""
    texts = _commands(probe) if probe.platform == "darwin" else _files(probe)
    return {name: masked(text) for name, text in texts}


def _commands(probe: Probe) -> Iterator[tuple[str, str]]:
    answers = probe.ask(*(question for question, _ in COMMANDS.values()))
    for (name, (_, keep)), texts in zip(COMMANDS.items(), answers, strict=True):
        for text in texts[:1]:
            if kept := keep(text):
                yield name, kept


def _files(probe: Probe) -> Iterator[tuple[str, str]]:
    reader = _Reader(probe)
    facts(reader)
    state(reader)
    groups = numbered_groups(reader.texts.get("/proc/self/cgroup", ""))
    for path, text in reader.texts.items():
        if kept := kept_file(path, text):
            place, _, name = path.rpartition("/")
            yield recorded_name(f"{groups[place]}/{name}" if place in groups else path), kept


class _Reader:
    """Passes on what facts and state read on Linux, and remembers it."""

    def __init__(self, of: Probe) -> None:
        self._of = of
        self.texts: dict[str, str] = {}

    @property
    def platform(self) -> str | None:
        return self._of.platform

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        return self._of.ask(*questions)

    def read(self, path: str) -> str | None:
        text = self._of.read(path)
        if text is not None:
            self.texts[path] = text
        return text

    def files(self, pattern: str) -> tuple[str, ...]:
        return self._of.files(pattern)


def _mlx() -> str | None:
    if not find_spec("mlx"):
        return None
    try:
        import mlx.core as mx

        return COMMANDS["mlx_device_info.txt"][1](repr(mx.device_info()))
    except Exception:  # whatever it is that does not load here, the rest is worth recording
        return None


def _hide_names(folder: Path) -> None:
    """Mask this user's and this host's names, except one that is also a word of the answers (`Max`)."""
    for name in _names():
        before = {path: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        said = _replayed(folder)
        for path, text in before.items():
            path.write_text(re.sub(rf"\b{re.escape(name)}\b", "user", text), encoding="utf-8")
        if _replayed(folder) != said:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")


def _names() -> set[str]:
    host = platform.node()
    names = {host, host.partition(".")[0], Path.home().name, os.environ.get("SUDO_USER", "")}
    with suppress(OSError, KeyError):  # a user without an entry, as in some containers
        names.add(getpass.getuser())
    return {name for name in names if len(name) >= 3}


def _replayed(folder: Path) -> tuple[Facts, State]:
    probe = Replay(folder)
    machine = facts(probe)
    return machine, state(probe, facts=machine)
