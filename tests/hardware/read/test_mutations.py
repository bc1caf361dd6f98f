"""Real outputs, damaged at random: no parser raises, and no core is invented."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.hardware.read.facts import Facts, facts
from tests.support.damage import DAMAGES, Memory
from tests.support.depth import examples
from tests.support.recorded import RECORDED

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


@settings(
    max_examples=examples(500, 10_000),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(damaged())
def test_no_damage_raises_or_invents_a_core(files):
    found = facts(Memory(files))
    check(found)
    cores = sum(level.count or 1 for level in found.core_levels or ())
    # Several machines may share a folder: the levels are those of one of them.
    answers = [text for name, text in files.items() if name.startswith("sysctl") and "perflevel" in text]
    allowed = [all(cores <= total for total in totals(text)) for text in answers]
    assert any(allowed) or not allowed, "no more cores than any total says"


def totals(text: str) -> list[int]:
    """What one answer of sysctl says of all cores, by key the first; a line without its end may be cut."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    found = []
    for key in ("hw.ncpu", "hw.logicalcpu", "hw.physicalcpu"):
        said = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]
        found += [int(count) for count in said[:1] if re.fullmatch("[1-9][0-9]{0,2}", count)]
    return found


def check(found: Facts) -> None:
    for field in fields(Facts):
        value = getattr(found, field.name)
        assert value is None or isinstance(value, TYPES.get(field.name, str)), field.name
    json.dumps(found.to_dict())
    if found.core_levels:
        counts = [level.count or 1 for level in found.core_levels]
        assert min(counts) > 0
        assert all(level.name or level.count for level in found.core_levels)
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
        "m5-max/sysctl_hw_perflevel.txt",
        "m5-max/ioreg_AGXAccelerator.TRUNCATED.txt",
        "vm-intel-github-macos15/sysctl_selected.txt",
        "linux-asahi-m1/proc_cpuinfo.txt",
    ],
)
def test_wherever_a_file_is_cut_it_gives_the_truth_or_nothing(name):
    """Beyond its first line: a single line without its newline may be all that was recorded."""
    path = RECORDED / name
    text = ORIGINAL[path]
    whole = facts(Memory({path.name: text}))
    assert any(getattr(whole, field) for field in FIELDS)
    step = examples(max(1, len(text) // 400), 1)
    for end in range(text.index("\n") + 1, len(text), step):
        part = facts(Memory({path.name: text[:end]}))
        for field in FIELDS:
            assert _as_far_as_known(getattr(part, field)) in (None, getattr(whole, field)), (end, field)


def _as_far_as_known(value: object) -> object:
    """Levels may lack the names, or the counts, that only the whole file gives; what they have is true."""
    whole = not isinstance(value, tuple) or all(level.name and level.count for level in value)
    return value if whole else None
