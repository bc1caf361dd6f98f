"""Real outputs, damaged at random: no parser raises, and no core is invented."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from functools import cached_property
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.probe import Replay

RECORDED = Path(__file__).parent / "recorded"
FILES = sorted(path for path in RECORDED.glob("*/*") if path.is_file() and path.stat().st_size < 40_000)
TYPES = {
    "generation": int,
    "cpu_count": int,
    "memory_bytes": int,
    "gpu_cores": int,
    "neural_engine_cores": int,
    "memory_bandwidth_gbs": float,
    "working_set_bytes": int,
    "is_virtual": bool,
    "is_translated": bool,
    "core_levels": tuple,
    "sources": dict,
    "cuda_devices": tuple,
    "memory_limit_bytes": int,
}


class Memory(Replay):
    """A replay without the folder: ten thousand of them would mostly measure the disk."""

    def __init__(self, files: dict[str, str]) -> None:
        self.folder, self._texts = Path(), files

    @cached_property
    def _files(self) -> tuple[Path, ...]:  # type: ignore[override]
        return tuple(Path(name) for name in sorted(self._texts))

    def _read(self, path: Path) -> str | None:
        return self._texts.get(path.name)


ORIGINAL = {path: path.read_text(errors="replace") for path in FILES}


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, str]:
    """One machine's files, one of them damaged in up to three ways."""
    victim = draw(st.sampled_from(FILES))
    files = {path.name: text for path, text in ORIGINAL.items() if path.parent == victim.parent}
    text = files[victim.name]
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(DAMAGES))(draw, text)
    return {**files, victim.name: text}


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


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(damaged())
def test_no_damage_raises_or_invents_a_core(files):
    found = facts(Memory(files))
    check(found)
    cores = sum(level.count for level in found.core_levels or ())
    assert all(cores <= total for total in totals(files)), "no more cores than any total says"


def totals(files: dict[str, str]) -> list[int]:
    """What the files say of all cores: of each key the first, as several machines may share a folder."""
    lines = [line for name in sorted(files) if name.startswith("sysctl") for line in files[name].splitlines()]
    found = []
    for key in ("hw.ncpu", "hw.physicalcpu"):
        said = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]
        found += [int(text) for text in said[:1] if re.fullmatch("[1-9][0-9]{0,2}", text)]
    profiles = [text for name, text in files.items() if name.startswith("system_profiler_SPHardware")]
    found += [int(total) for text in profiles for total in re.findall(r'"proc ([1-9][0-9]{0,2}):', text)]
    return found


def check(found: Facts) -> None:
    for field in fields(Facts):
        value = getattr(found, field.name)
        assert value is None or isinstance(value, TYPES.get(field.name, str)), field.name
    json.dumps(found.to_dict())
    if found.core_levels:
        counts = [level.count for level in found.core_levels]
        assert min(counts) > 0
        assert found.cpu_count is None or sum(counts) <= found.cpu_count
    for size in (found.memory_bytes, found.working_set_bytes):
        assert size is None or 0 < size <= 2**50


FIELDS = (
    "chip",
    "model",
    "core_levels",
    "cpu_count",
    "memory_bytes",
    "is_virtual",
    "gpu_cores",
    "os_version",
)


@pytest.mark.parametrize(
    "name",
    [
        "m4-max/sysctl_a_sequoia.txt",
        "m1-pro/sysctl_a_grep_cpu_10core.txt",
        "m3-max/sysctl_hw.txt",
        "m5/sw_vers.txt",
        "m5-max/system_profiler_SPHardwareDataType.json",
        "m5-max/ioreg_AGXAccelerator.TRUNCATED.txt",
        "vm-m4-max/system_profiler_SPHardwareDataType.json",
        "linux-asahi-m1/proc_cpuinfo.txt",
    ],
)
def test_wherever_a_file_is_cut_it_gives_the_truth_or_nothing(name):
    """Beyond its first line: a single line without its newline may be all that was recorded."""
    path = RECORDED / name
    text = ORIGINAL[path]
    whole = facts(Memory({path.name: text}))
    assert any(getattr(whole, field) for field in FIELDS)
    for end in range(text.index("\n") + 1, len(text)):
        part = facts(Memory({path.name: text[:end]}))
        for field in FIELDS:
            assert _as_far_as_known(getattr(part, field)) in (None, getattr(whole, field)), (end, field)


def _as_far_as_known(value: object) -> object:
    """Levels may lack the names that only the whole file gives; then their counts are the truth."""
    return None if isinstance(value, tuple) and any(level.name is None for level in value) else value
