"""A plan stays within what the machine may give, and a refusal says what is missing, truly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.errors import CapacityError, MlopsError, SettingsError
from runtime_lib.hardware import Device, Facts, device_for
from runtime_lib.hardware.device.compute_plan import Workload, plan
from runtime_lib.hardware.read.chips import CoreLevel, chips
from tests.support.depth import examples

GIB = 2**30
MAC_GB = (8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)


def mac(chip="Apple M4", gb=16, **fields):
    memory = gb and gb * GIB
    fields = {"generation": int(chip.split()[1][1:]), "os_version": "15.1", **fields}
    return Facts("darwin", "arm64", chip, 10, memory, False, False, **fields)


def linux(gb=64, **fields):
    return Facts("linux", "x86_64", "AMD EPYC", 16, gb and gb * GIB, None, False, **fields)


# Each chip of the table with each memory size that it comes with.
MACS = [mac(name, gb) for name, chip in chips().items() for gb in MAC_GB if gb * GIB <= chip.max_memory_bytes]
SMALL = Workload(10_000, 160, 2_000, 1024, rows=100_000)
GPU = device_for(mac())
CPU = device_for(linux())

# Sizes over many orders of magnitude, so that some fit and some do not.
size = st.integers(0, 60).flatmap(lambda bits: st.integers(0, 2**bits))
models = st.builds(
    Workload,
    parameters=size.map(lambda value: value % 10**12),
    sample_bytes=st.integers(0, 10**7),
    activation_bytes=size.map(lambda value: value % 10**11),
    batch_size=st.integers(1, 10**6),
    rows=st.integers(0, 10**7),
    training=st.booleans(),
)
quick = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_the_table_gives_twenty_chips_and_their_memory_sizes():
    assert len({facts.chip for facts in MACS}) == 20
    assert len(MACS) > 80


CHOICES = {
    "installed": [("mlx",), ("torch",)],
    # Of the machine's memory: the working set that Metal recommends, and what settings allow.
    "share": [None, 0.66, 0.75, 0.84],
    "allowed": [None, None, 0.1, 0.5, 0.8, 1.0, 4.0],
    "group": [None, None, 0.3, 2.0],
}


def test_no_plan_takes_more_than_the_working_set_on_any_chip():
    random = Random(5)
    outcomes = Counter()
    for number in range(examples(1_000, 10_000)):
        work = Workload(
            parameters=int(10 ** random.uniform(0, 12)),
            sample_bytes=int(10 ** random.uniform(0, 7)),
            activation_bytes=int(10 ** random.uniform(0, 11)),
            batch_size=int(10 ** random.uniform(0, 6)),
            rows=random.choice([0, int(10 ** random.uniform(0, 7))]),
            training=random.random() < 0.8,
        )
        choices = {name: random.choice(values) for name, values in CHOICES.items()}
        outcomes[judge(MACS[number % len(MACS)], work, **choices)] += 1
    # The numbers drawn reach every kind of outcome, each in earnest.
    assert min(outcomes[kind] for kind in ("whole", "cut", "refused")) > examples(20, 100), outcomes


@settings(quick, max_examples=examples(100, 500))
@given(
    facts=st.sampled_from(MACS),
    work=models,
    choices=st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()}),
)
def test_no_plan_takes_more_than_the_working_set_in_any_corner(facts, work, choices):
    judge(facts, work, **choices)


def judge(facts, work, *, installed, share, allowed, group):
    """Plan, and check the plan or the refusal; returns which it was."""
    memory = facts.memory_bytes
    passed = int(memory * allowed) if allowed else None
    facts = replace(
        facts,
        working_set_bytes=int(memory * share) if share else None,
        memory_limit_bytes=int(memory * group) if group else None,
    )
    machine = min(memory, facts.memory_limit_bytes or memory)
    working_set = min(
        facts.working_set_bytes or int(machine * 0.66), machine, *([passed] if passed is not None else [])
    )
    device = device_for(facts, installed=installed)
    try:
        made = plan(facts, device, work, working_set=passed)
    except CapacityError as error:
        check_refusal(facts, device, work, working_set, error)
        return "refused"
    check_plan(made, work, working_set)
    assert made.memory_limit_bytes == working_set
    return "cut" if made.micro_batches > 1 else "whole"


def check_plan(made, work, working_set):
    amounts = (made.memory_bytes, made.memory_limit_bytes, made.cache_limit_bytes, made.wired_limit_bytes)
    assert all(0 <= amount <= working_set for amount in amounts if amount is not None)
    assert made.memory_bytes + (made.cache_limit_bytes or 0) <= made.memory_limit_bytes
    assert made.batch_size == work.batch_size
    assert made.micro_batches * made.micro_batch >= work.batch_size
    assert made.micro_batches >= 1
    assert made.predict_rows >= 1
    assert made.threads >= 1
    assert made.reasons


def check_refusal(facts, device, work, working_set, error):
    """With the bytes that it names, and not one less, the work fits."""
    assert error.missing_bytes > 0
    assert f"{error.missing_bytes:,} bytes" in str(error)
    enough = replace(facts, memory_bytes=2**70, memory_limit_bytes=None, working_set_bytes=None)
    more = {"working_set": working_set + error.missing_bytes}
    check_plan(plan(enough, device, work, **more), work, more["working_set"])
    with pytest.raises(CapacityError):
        plan(enough, device, work, **{**more, "working_set": more["working_set"] - 1})
    if "on a Mac with" in str(error):
        gb = int(str(error).partition("on a Mac with ")[2].split()[0])
        plan(mac("Apple M3 Ultra", gb), device, work)
        smaller = [size for size in MAC_GB if size < gb]
        if smaller:
            with pytest.raises(CapacityError):
                plan(mac("Apple M3 Ultra", smaller[-1]), device, work)
    if "at most" in str(error) and "parameters" in str(error):
        most = int(str(error).partition("at most ")[2].split()[0].replace(",", ""))
        fewer = {"working_set": working_set}
        plan(enough, device, replace(work, parameters=most), **fewer)
        with pytest.raises(CapacityError):
            plan(enough, device, replace(work, parameters=most + 1), **fewer)


@settings(quick, max_examples=examples(100, 500))
@given(
    work=models,
    gb=st.integers(1, 2048),
    limit=st.none() | st.integers(1, 2048),
    passed=st.none() | st.integers(1, 4096),
)
def test_on_linux_a_quarter_of_memory_or_control_group_stays_free(work, gb, limit, passed):
    facts = linux(gb, memory_limit_bytes=limit and limit * GIB)
    allowed = min(min(gb, limit or gb) * GIB * 3 // 4, (passed or gb) * GIB)
    for framework in ("mlx", "torch"):
        try:
            made = plan(facts, Device(framework, "cpu", "test"), work, working_set=passed and passed * GIB)
        except CapacityError:
            continue
        assert made.memory_bytes + (made.cache_limit_bytes or 0) <= made.memory_limit_bytes <= allowed
        assert made.wired_limit_bytes is None


def test_a_small_model_is_trained_whole():
    made = plan(mac(), GPU, SMALL)
    assert (made.micro_batches, made.batch_size) == (1, 1024)
    assert made.memory_limit_bytes == int(16 * GIB * 0.66)
    assert "66% of 16.0 GiB" in made.reasons[0]


@pytest.mark.parametrize(
    ("facts", "passed", "limit", "why"),
    [
        (linux(64, memory_limit_bytes=32 * GIB), 60, 24, "75% of 32.0 GiB"),
        (linux(64, memory_limit_bytes=32 * GIB), 10, 10, "10.0 GiB, the working set given"),
        (linux(None, memory_limit_bytes=32 * GIB), None, 24, "75% of 32.0 GiB"),
        (mac(gb=64, working_set_bytes=48 * GIB), 64, 48, "48.0 GiB, the working set that Metal"),
        (mac(gb=64, working_set_bytes=48 * GIB), 40, 40, "40.0 GiB, the working set given"),
        (mac(gb=100), 80, 66, "66% of 100.0 GiB"),
        (mac(gb=None), 80, 80, "80.0 GiB, the working set given"),
    ],
)
def test_what_is_passed_can_only_lower_what_the_machine_gives(facts, passed, limit, why):
    device = device_for(facts)
    made = plan(facts, device, SMALL, working_set=passed and passed * GIB)
    assert made.memory_limit_bytes == limit * GIB
    assert why in made.reasons[0]


def test_a_batch_that_does_not_fit_is_cut():
    made = plan(mac(gb=8), GPU, Workload(1_000, 160, 10**6, 50_000))
    assert made.micro_batches > 1
    assert made.batch_size == 50_000
    assert any("micro-batches" in reason for reason in made.reasons)


def test_a_refusal_says_what_would_fit():
    with pytest.raises(CapacityError) as caught:
        plan(mac(gb=8), GPU, Workload(10**9, 160, 2_000, 1024))
    message = str(caught.value)
    assert "bytes are missing" in message
    assert "a smaller batch would not help" in message
    assert "with at most 1" in message
    assert "on a Mac with 48 GB" in message
    assert isinstance(caught.value, MlopsError)


def test_a_refusal_advises_on_the_machine_that_refused_and_the_setting_that_bound():
    work = Workload(10**9, 160, 2_000, 1024)
    with pytest.raises(CapacityError, match=r"on a machine with 40\.\d GiB of memory\.$"):
        plan(linux(8), Device("torch", "cpu", "t"), work)
    bound = {"working_set": 2**30, "allowed_by": "hardware.memory_gib = 1"}
    with pytest.raises(CapacityError) as caught:
        plan(linux(64), Device("torch", "cpu", "t"), work, **bound)
    message = str(caught.value)
    assert "it may take 1.0 GiB, hardware.memory_gib = 1: " in message
    more = float(
        message.partition("with ")[2]
        .rpartition(" GiB or more instead of hardware.memory_gib = 1")[0]
        .split()[-1]
    )
    plan(linux(64), Device("torch", "cpu", "t"), work, working_set=int((more + 0.1) * GIB))
    assert "of memory" not in message.partition("missing.")[2]
    with pytest.raises(CapacityError) as caught:  # taking the setting away would not do
        plan(linux(8), Device("torch", "cpu", "t"), work, **bound)
    assert "instead of" not in str(caught.value)
    assert "on a machine with" in str(caught.value)


def test_what_no_mac_holds_is_refused_without_naming_one():
    with pytest.raises(CapacityError) as caught:
        plan(mac(gb=512, chip="Apple M3 Ultra"), GPU, Workload(10**14, 160, 2_000, 1))
    assert "on a Mac" not in str(caught.value)


def test_unknown_memory_sets_no_limit_and_says_so():
    made = plan(replace(mac(), memory_bytes=None), GPU, SMALL)
    assert (made.memory_limit_bytes, made.cache_limit_bytes, made.wired_limit_bytes) == (None, None, None)
    assert "is not known" in made.reasons[0]
    cuda = plan(linux(), Device("torch", "cuda", "test"), SMALL)
    assert cuda.memory_limit_bytes is None
    assert plan(linux(4), Device("torch", "cuda", "t"), SMALL, working_set=80 * GIB).memory_limit_bytes == (
        80 * GIB
    )


@pytest.mark.parametrize(
    ("os_version", "framework", "wired"),
    [
        ("15.0", "mlx", True),
        ("26.4.1", "mlx", True),
        ("14.7", "mlx", False),
        (None, "mlx", False),
        ("26.4", "torch", False),
    ],
)
def test_memory_is_wired_by_mlx_from_macos_15_on(os_version, framework, wired):
    facts = mac(os_version=os_version)
    made = plan(facts, device_for(facts, framework=framework), SMALL)
    assert (made.wired_limit_bytes is not None) == wired


@pytest.mark.parametrize(
    ("levels", "threads"),
    [
        ((CoreLevel("Performance", 4), CoreLevel("Efficiency", 6)), 4),
        ((CoreLevel("Super", 6), CoreLevel("Performance", 12)), 18),
        ((CoreLevel("Super", 2), CoreLevel("Performance", 4), CoreLevel("Efficiency", 6)), 6),
        ((CoreLevel(None, 4), CoreLevel(None, 4)), 4),
        ((CoreLevel("Standard", 3),), 3),
        ((CoreLevel("Performance", 4), CoreLevel("Efficiency", None)), 4),
        # Without the counts of all fast levels, the CPUs that the process may use.
        ((CoreLevel("Super", 2), CoreLevel("Performance", None), CoreLevel("Efficiency", 6)), 10),
        ((CoreLevel("Super", None), CoreLevel("Efficiency", None)), 10),
        (None, 10),
    ],
)
def test_threads_are_the_fast_cores_of_a_mac(levels, threads):
    assert plan(mac(core_levels=levels), GPU, SMALL).threads == threads


def test_threads_on_linux_are_the_cpus_that_the_process_may_use():
    assert plan(linux(), CPU, SMALL, cpus=3).threads == 3
    assert plan(linux(), CPU, SMALL).threads == 16
    assert plan(replace(linux(), cpu_count=None), CPU, SMALL).threads is None


def test_a_workload_of_negative_size_is_refused():
    with pytest.raises(SettingsError, match="batch_size = 0"):
        Workload(1, 1, 1, 0)
    with pytest.raises(SettingsError, match="rows = -1"):
        Workload(1, 1, 1, 1, rows=-1)
