"""A machine replayed from a folder of recorded answers, for one look or for a whole process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase  # Path.match takes five times as long
from functools import cached_property
from pathlib import Path

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.read.probe import QUESTIONS, Live, Probe, Question

__all__ = ["REPLAY", "Replay", "recorded_name", "replayed", "this_machine"]

# The variable that names a recording to read instead of this machine, in a whole process.
REPLAY = "MLOPS_HARDWARE_REPLAY"
# How the names of recorded files begin that were read, not printed by a command.
_LINUX = ("proc_", "sys_")


def this_machine() -> Probe:
    """The machine that this process runs on, or the recording that MLOPS_HARDWARE_REPLAY names instead."""
    folder = replayed()
    return Replay(Path(folder)) if folder else Live()


def replayed() -> str | None:
    """The folder that is read instead of this machine, or None."""
    return os.environ.get(REPLAY) or None


class Replay:
    """Answers from a folder, each question from the files named after its command."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            SettingsError: `folder` is not a folder.
        """
        if not folder.is_dir():
            raise SettingsError(
                f"{folder} is not a folder. Replay one that `mlops hardware --record FOLDER` wrote."
            )
        self.folder = folder

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        return tuple(sorted(path for path in self.folder.iterdir() if path.is_file()))

    @property
    def is_empty(self) -> bool:
        """Whether there is no file at all."""
        return not self._files

    @property
    def recognised(self) -> tuple[Path, ...]:
        """Those that are named after a command that is asked, or a file that is read."""
        known = {path for group in self.groups() for path in group}
        return tuple(path for path in self._files if path in known)

    def groups(self) -> list[list[Path]]:
        """Recognised files that answer one question together; on Linux each answers alone."""
        if read := [[path] for path in self._files if path.name.startswith(_LINUX)]:
            return read
        return [files for question in QUESTIONS if (files := self._matching(question))]

    @property
    def platform(self) -> str | None:
        if any(path.name.startswith(_LINUX) for path in self._files):
            return "linux"
        return "darwin" if any(self._matching(question) for question in QUESTIONS) else None

    def ask(self, *questions: Question) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(self._answers(question)) for question in questions)

    def read(self, path: str) -> str | None:
        return self._read(self.folder / recorded_name(path))

    def files(self, pattern: str) -> tuple[str, ...]:
        # A recording writes the folders' names into the file's; they are found, not spelled back.
        return tuple(path.name for path in self._files if path.match(recorded_name(pattern)))

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):  # a torn path may hold a NUL
            return None

    def _matching(self, question: Question) -> list[Path]:
        names = ((path, pattern) for pattern in question.files for path in self._files)
        return list({path: None for path, pattern in names if fnmatchcase(path.name, pattern)})

    def _answers(self, question: Question) -> Iterator[str]:
        for path in self._matching(question):
            text = self._read(path)
            if text is None:
                continue
            # `sysctl -n KEY` prints the bare value: the key is in the file's name.
            key = re.fullmatch(r"sysctl_n_([\w.]+)\.txt", path.name)
            yield f"{key[1]}: {text}" if key and len(text.splitlines()) == 1 else text


def recorded_name(path: str) -> str:
    """The file of a recording that holds what was in `path`; a name of that form stays as it is."""
    return path if path.endswith(".txt") else f"{path.strip('/').replace('/', '_')}.txt"
