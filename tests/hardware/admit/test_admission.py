"""One decision from readings and a policy: strict where it must be, the same for the same machine, calm."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.admit.admission import Admission, Demand, decide
from runtime_lib.hardware.admit.capacity import capacity, has_apple_gpu, has_gpu
from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.read.state import SENSORS, State
from runtime_lib.hardware.replay.folder import Replay
from runtime_lib.settings import Hardware, load
from tests.support.admission import FOLDERS, GB, LEVELS, MAC, PRESSURES, TERABYTE, WELL

policies = st.builds(
    Hardware,
    unknown=st.sampled_from(["run", "wait", "refuse"]),
    max_thermal=st.sampled_from(LEVELS[:3]),
    min_battery=st.floats(0, 1),
)
states = st.builds(
    State,
    thermal=st.sampled_from([None, *LEVELS, "Molten"]),
    memory_pressure=st.sampled_from([None, *PRESSURES, "kritisch"]),
    power_mode=st.sampled_from([None, "auto", "low", "high"]),
    on_battery=st.sampled_from([None, True, False]),
    battery=st.none() | st.floats(0, 1) | st.sampled_from([math.nan, -0.1, 55.0]),
    free_memory_bytes=st.none() | st.integers(0, 128 * GB),
    expected=st.sampled_from([*SENSORS.values(), (), ("thermal", "fan")]),
)
machines = st.none() | st.builds(
    replace,
    st.just(MAC),
    memory_bytes=st.none() | st.integers(GB, 512 * GB),
    memory_limit_bytes=st.none() | st.integers(GB, 512 * GB),
    working_set_bytes=st.none() | st.integers(GB, 512 * GB),
    is_virtual=st.sampled_from([None, True, False]),
    generation=st.sampled_from([None, 4]),
    platform=st.sampled_from([None, "darwin", "linux"]),
)
demands = st.builds(
    lambda pair, gpu: Demand(max(pair), min(pair), gpu),
    st.tuples(st.integers(0, 600 * GB), st.integers(0, 600 * GB)) | st.just((0, 0)),
    st.booleans(),
)
before = st.none() | st.builds(
    lambda names: Admission("wait", 30, waiting_for=tuple(names)),
    st.lists(
        st.sampled_from(["thermal", "memory_pressure", "free_memory_bytes", "power_mode", "battery"]),
        unique=True,
    ),
)


def permission(decision: Admission) -> tuple[int, int]:
    """The higher, the more is allowed; a smaller amount and a longer wait allow less."""
    rank = ("refuse", "wait", "shrink", "run").index(decision.action)
    return rank, (decision.memory_bytes or 0) if decision.action == "shrink" else -decision.seconds


@given(states, policies, demands, machines, before)
@settings(max_examples=600)
def test_there_is_an_answer_to_everything_and_it_is_complete(state, policy, demand, machine, previous):
    decision = decide(state, policy, demand=demand, facts=machine, previous=previous)
    assert (decision.action == "wait") == (decision.seconds > 0)
    assert (decision.action == "shrink") == (decision.memory_bytes is not None)
    if decision.action == "shrink":
        assert demand.least <= decision.memory_bytes <= demand.memory_bytes
    if decision.action != "run":
        assert decision.reasons
    assert decision == decide(state, policy, demand=demand, facts=machine, previous=previous)


@given(states, policies, demands, machines, before)
@settings(max_examples=600)
def test_work_never_runs_with_a_reading_beyond_its_threshold(state, policy, demand, machine, previous):
    decision = decide(state, policy, demand=demand, facts=machine, previous=previous)
    if decision.action not in ("run", "shrink"):
        return
    taken = demand.memory_bytes if decision.action == "run" else decision.memory_bytes
    assert state.thermal not in LEVELS[LEVELS.index(policy.max_thermal) + 1 :]
    assert state.memory_pressure != "critical"
    assert state.memory_pressure != "warning" or (decision.action, taken) == ("shrink", demand.least)
    assert state.free_memory_bytes is None or taken <= state.free_memory_bytes
    known = state.battery is not None and 0 <= state.battery <= 1
    assert not (state.on_battery and known and state.battery < policy.min_battery)
    if policy.unknown != "run":
        assert not (state.on_battery and not known)
        assert not (state.on_battery is None and known and state.battery < policy.min_battery)
    assert state.power_mode != "low" or state.on_battery is False
    assert taken == 0 or taken <= capacity(machine, gpu=demand.gpu)
    assert not demand.gpu or has_gpu(machine)


@given(states, policies, demands, machines, before, st.data())
@settings(max_examples=600)
def test_a_worse_machine_never_allows_more(state, policy, demand, machine, previous, data):
    def allowed(**readings):
        return permission(
            decide(replace(state, **readings), policy, demand=demand, facts=machine, previous=previous)
        )

    for name, scale in (("thermal", LEVELS), ("memory_pressure", PRESSURES)):
        answers = [allowed(**{name: level}) for level in scale]
        assert answers == sorted(answers, reverse=True)
    frees = sorted(data.draw(st.lists(st.integers(0, 128 * GB), min_size=2, max_size=5)))
    answers = [allowed(free_memory_bytes=free) for free in frees]
    assert answers == sorted(answers)
    charges = sorted(data.draw(st.lists(st.floats(0, 1), min_size=2, max_size=5)))
    answers = [allowed(battery=charge) for charge in charges]
    assert answers == sorted(answers)


@given(states, policies, demands, machines, before)
@settings(max_examples=400)
def test_after_a_wait_no_answer_allows_more_than_without(state, policy, demand, machine, previous):
    fresh = decide(state, policy, demand=demand, facts=machine)
    again = decide(state, policy, demand=demand, facts=machine, previous=previous)
    assert permission(again) <= permission(fresh)


@pytest.mark.parametrize("rule", ["run", "wait", "refuse"])
@pytest.mark.parametrize("previous", [None, Admission("wait", 60, waiting_for=("thermal", "battery"))])
def test_with_every_sensor_failing_the_policy_decides(rule, previous):
    decision = decide(State(), Hardware(unknown=rule), previous=previous)
    assert decision.action == rule
    assert "thermal, memory_pressure, power_mode, free_memory_bytes" in decision.reasons[0]
    assert f"hardware.unknown = '{rule}'" in decision.reasons[0]


def test_waiting_is_the_rule_unless_another_is_set():
    assert decide(State(), Hardware()).action == "wait"


def test_a_reading_that_the_platform_does_not_have_holds_nobody_up():
    server = State(free_memory_bytes=8 * GB, expected=SENSORS["linux"])
    assert decide(server, Hardware(unknown="refuse")).action == "run"
    assert decide(replace(server, free_memory_bytes=None), Hardware(unknown="refuse")).action == "refuse"


@pytest.mark.parametrize("rule", ["run", "wait", "refuse"])
@pytest.mark.parametrize(
    ("on_battery", "battery", "missing"),
    [
        (True, None, "battery"),
        (True, math.nan, "battery"),
        (True, 55.0, "battery"),
        (None, 0.19, "on_battery"),
        # A full battery starts work whatever feeds it; without a battery there is nothing to ask.
        (None, 0.2, None),
        (None, None, None),
        (False, None, None),
    ],
)
def test_of_a_battery_what_is_needed_and_missing_is_an_unknown_reading(rule, on_battery, battery, missing):
    for state in (WELL, replace(WELL, expected=SENSORS["linux"])):
        half = replace(state, on_battery=on_battery, battery=battery)
        decision = decide(half, Hardware(unknown=rule))
        assert decision.action == (rule if missing else "run")
        flagged = f"Unknown, and this platform should know: {missing} (hardware.unknown = '{rule}')."
        assert (flagged in decision.reasons) == (missing is not None)


@pytest.mark.parametrize("blind", [{"battery": None}, {"on_battery": None}])
def test_a_wait_for_the_battery_is_remembered_while_half_of_it_is_gone(blind):
    low = replace(WELL, on_battery=True, battery=0.19)
    waiting = decide(low, Hardware())
    gone = decide(replace(low, **blind), Hardware(), previous=waiting)
    assert (gone.action, gone.waiting_for) == ("wait", ("battery",))
    assert decide(replace(low, battery=0.22), Hardware(), previous=gone).action == "wait"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_terabyte_is_refused_on_every_machine(folder):
    machine = facts(Replay(folder))
    for rule in ("run", "wait", "refuse"):
        decision = decide(WELL, Hardware(unknown=rule), demand=TERABYTE, facts=machine)
        assert decision.action == "refuse"
        assert "931.32 GiB" in decision.reasons[0]


def test_memory_that_cannot_be_checked_is_never_promised():
    for machine in (None, replace(MAC, memory_bytes=None)):
        decision = decide(WELL, Hardware(unknown="run"), demand=Demand(1), facts=machine)
        assert (decision.action, "unknown" in decision.reasons[0]) == ("refuse", True)


def test_what_is_free_bounds_what_is_given():
    demand = Demand(memory_bytes=45 * GB, least_memory_bytes=10 * GB)

    def answer(free, demand=demand):
        state = replace(WELL, free_memory_bytes=free)
        decision = decide(state, Hardware(), demand=demand, facts=MAC)
        return decision.action, decision.memory_bytes

    assert answer(50 * GB) == ("run", None)
    assert answer(20 * GB) == ("shrink", 20 * GB)
    assert answer(9 * GB) == ("wait", None)
    assert answer(20 * GB, Demand(45 * GB)) == ("wait", None)
    # More than Metal recommends on this machine, however much is free.
    assert answer(60 * GB, Demand(50 * GB, gpu=True)) == ("refuse", None)
    assert answer(60 * GB, Demand(50 * GB, 10 * GB, gpu=True)) == ("shrink", 48 * GB)


def test_memory_pressure_shrinks_to_the_least_or_waits():
    tight, out = replace(WELL, memory_pressure="warning"), replace(WELL, memory_pressure="critical")
    demand = Demand(8 * GB, 2 * GB)
    decision = decide(tight, Hardware(), demand=demand, facts=MAC)
    assert (decision.action, decision.memory_bytes) == ("shrink", 2 * GB)
    assert decide(tight, Hardware(), demand=Demand(8 * GB), facts=MAC).action == "wait"
    assert decide(out, Hardware(), demand=demand, facts=MAC).action == "wait"


def test_the_hotter_the_longer():
    seconds = [decide(replace(WELL, thermal=level), Hardware()).seconds for level in LEVELS]
    assert seconds == sorted(seconds)
    assert seconds[2] < seconds[3] < seconds[4]
    trapping = decide(replace(WELL, thermal="Trapping"), Hardware(max_thermal="Heavy"))
    assert trapping.reasons == ("Thermal pressure Trapping, allowed up to Heavy.",)


def test_battery_and_power_mode_wait_and_say_what_ends_it():
    low = decide(replace(WELL, on_battery=True, battery=0.1), Hardware())
    assert low.action == "wait"
    assert low.reasons == ("On battery with 10% left, 20% needed: connect the charger.",)
    saving = replace(WELL, power_mode="low", on_battery=True)
    assert "or turn the mode off" in decide(saving, Hardware()).reasons[0]
    assert decide(replace(saving, on_battery=False), Hardware()).action == "run"


def refusal(machine: Facts | None) -> str:
    """Why work that needs a GPU is refused."""
    decision = decide(WELL, Hardware(), demand=Demand(gpu=True), facts=machine)
    assert decision.action == "refuse"
    return decision.reasons[0]


def test_a_gpu_is_refused_where_there_is_none_to_trust():
    gpu = Demand(gpu=True)
    virtual = replace(MAC, is_virtual=True)
    assert decide(WELL, Hardware(), demand=gpu, facts=MAC).action == "run"
    assert refusal(virtual).endswith("its GPU is virtual and may compute wrongly.")
    assert decide(WELL, Hardware(force_gpu=True), demand=gpu, facts=virtual).action == "run"
    unsure = replace(MAC, is_virtual=None)
    assert "whether it is virtual is not known" in refusal(unsure)
    assert decide(WELL, Hardware(force_gpu=True), demand=gpu, facts=unsure).action == "run"
    # What has no GPU for this Python has none, virtual or not.
    linux = Facts("linux", "x86_64", None, 2, 4 * GB, True, False)
    for machine in (None, linux, replace(linux, is_virtual=None), replace(unsure, is_translated=True)):
        assert refusal(machine).endswith("no GPU that this Python can use is known on it.")
    cuda = replace(linux, cuda_devices=("NVIDIA L4",))
    assert decide(WELL, Hardware(), demand=gpu, facts=cuda).action == "run"
    assert not has_apple_gpu(cuda)
    assert not has_gpu(replace(MAC, is_translated=True))


@pytest.mark.parametrize(("memory", "least"), [(-1, 0), (1, 2), (1, -1)])
def test_a_demand_that_makes_no_sense_is_said(memory, least):
    with pytest.raises(SettingsError, match=str(memory)):
        Demand(memory, least)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("unknown = 'foo'", "hardware.unknown = 'foo'"),
        ("max_thermal = 'Trapping'", "hardware.max_thermal = 'Trapping'"),
        ("min_battery = 1.1", "hardware.min_battery = 1.1"),
        ("min_battery = -0.1", "hardware.min_battery = -0.1"),
        ("min_battery = nan", "hardware.min_battery = nan"),
        ("max_wait = -1", "hardware.max_wait = -1"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused_with_its_value(tmp_path, line, said):
    text = f'[project]\nname = "a"\npackage = "a"\n[hardware]\n{line}\n'
    (tmp_path / "mlops.toml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(tmp_path)


def test_the_demand_comes_from_the_settings():
    assert Demand.of(Hardware(memory_gib=1.5, least_memory_gib=1)) == Demand(3 * 2**29, 2**30)
