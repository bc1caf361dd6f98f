"""Real outputs about the state, damaged or cut: a reading or nothing, never an exception."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay.folder import Replay
from tests.support.damage import DAMAGES, Memory
from tests.support.depth import examples
from tests.support.recorded import RECORDED

READINGS = [field.name for field in fields(State) if field.name not in ("expected", "sources")]
_SAYS = ("notifyutil", "pmset_g", "ioreg", "vm_stat", "sysctl_hw")
FILES = [
    path
    for path in sorted(RECORDED.rglob("*"))
    if path.name.startswith(_SAYS) and path.stat().st_size < 40_000
]
ORIGINAL = {path: path.read_text(errors="replace") for path in FILES}
MACHINE = facts(Replay(RECORDED / "m5"))


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, str]:
    victim = draw(st.sampled_from(FILES))
    text = ORIGINAL[victim]
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(DAMAGES))(draw, text)
    return {victim.name: text}


@settings(
    max_examples=examples(400, 4_000), deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(damaged())
def test_no_damage_raises_or_gives_what_is_no_reading(files):
    found = state(Memory(files), facts=MACHINE)
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.thermal in (None, "Nominal", "Moderate", "Heavy", "Trapping", "Sleeping")
    assert found.power_mode in (None, "auto", "low", "high")
    assert found.on_battery in (None, True, False)
    for share in (found.battery, found.gpu_utilisation):
        assert share is None or 0 <= share <= 1
    assert found.free_memory_bytes is None or found.free_memory_bytes >= 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_file_that_is_cut_anywhere_gives_the_truth_or_nothing(path):
    text = ORIGINAL[path]
    whole = state(Memory({path.name: text}), facts=MACHINE)
    step = max(1, len(text) // examples(100, 1000))
    for end in range(0, len(text), step):
        part = state(Memory({path.name: text[:end]}), facts=MACHINE)
        for name in READINGS:
            assert getattr(part, name) in (None, getattr(whole, name)), (name, end)
