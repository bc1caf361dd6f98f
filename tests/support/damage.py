"""A recording in memory, and what may happen to a command's output on its way."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from hypothesis import strategies as st

from runtime_lib.hardware.replay.folder import Replay

__all__ = ["DAMAGES", "Memory"]


class Memory(Replay):
    """A replay without the folder: thousands of them would mostly measure the disk."""

    def __init__(self, files: dict[str, str]) -> None:
        self.folder, self._texts = Path(), files

    @cached_property
    def _files(self) -> tuple[Path, ...]:  # type: ignore[override]
        return tuple(Path(name) for name in sorted(self._texts))

    def _read(self, path: Path) -> str | None:
        return self._texts.get(path.name)


def cut(draw: st.DrawFn, text: str) -> str:
    return text[: draw(st.integers(0, len(text)))]


def without_a_line(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True)
    where = draw(st.integers(0, max(0, len(lines) - 1)))
    return "".join(lines[:where] + lines[where + 1 :])


def twice(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines + lines[draw(st.integers(0, len(lines))) :])


def shuffled(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True)
    one, other = (draw(st.integers(0, max(0, len(lines) - 1))) for _ in range(2))
    if lines:
        lines[one], lines[other] = lines[other], lines[one]
    return "".join(lines)


def logged(draw: st.DrawFn, text: str) -> str:
    where = draw(st.integers(0, len(text)))
    return f"{text[:where]}2026-04-28 08:52:35.280 sysctl[29046:41] hw.cpufamily: 0x17d5b93a\n{text[where:]}"


def typed(draw: st.DrawFn, text: str) -> str:
    where = draw(st.integers(0, len(text)))
    new = draw(st.sampled_from(["9", "-", ",", ".", '"', "\0", "\udcff", "{", "<", "\n", "٣", "1e999", "é"]))
    return text[:where] + new + text[where + draw(st.integers(0, 2)) :]


def localised(draw: st.DrawFn, text: str) -> str:
    return text.replace(".", ",")


DAMAGES = [cut, without_a_line, twice, shuffled, logged, typed, localised]
