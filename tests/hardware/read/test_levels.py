"""Core levels and the number of CPUs: what is whole, what is known in part, and what is contradicted."""

from __future__ import annotations

import pytest

from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.replay.folder import Replay
from tests.support.facts import as_row, levels, replay

GB = 2**30


def test_three_levels_of_an_m6(tmp_path):
    three = levels(("Super", 2), ("Performance", 4), ("Efficiency", 6), total=12, announced=3)
    found = replay(tmp_path, sysctl_txt=f"machdep.cpu.brand_string: Apple M6\n{three}")
    assert as_row(found)["core_levels"] == "2 Super + 4 Performance + 6 Efficiency"


@pytest.mark.parametrize(
    "text",
    [
        levels(("Performance", 8), total=10),  # the second level was cut off
        levels(("Performance", 8), announced=2),
        levels(("Performance", 8), ("Efficiency", 2)),  # nothing to check it against
        levels(("Performance", 8), ("Efficiency", 2), total=9),
        levels(("Performance", 8), ("Efficiency", 99999), total=100007),
        "hw.ncpu: 10\nhw.perflevel1.physicalcpu: 10\n",
    ],
)
def test_levels_that_are_not_whole_are_unknown(tmp_path, text):
    assert replay(tmp_path, sysctl_txt=text).core_levels is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Names in another order than that of speed, on a later system.
        (levels(("Efficiency", 4), ("Super", 6), total=10), "6 Super + 4 Efficiency"),
        (levels(("Performance", 4), ("Performance", 6), total=10), None),
        (levels(("Performance", 4), ("Effi", 6), total=10), None),
        (levels(("Performance", 8), ("Efficiency", 2), total=1) + "\nhw.physicalcpu: 1", None),
        # Without names the table's count only in the table's order: 2 + 8 is not how this chip is sold.
        (
            "machdep.cpu.brand_string: Apple M1 Pro\n" + levels((None, 2), (None, 8), total=10),
            "2 None + 8 None",
        ),
        (
            "machdep.cpu.brand_string: Apple M1 Pro\n" + levels((None, 8), (None, 2), total=10),
            "8 Performance + 2 Efficiency",
        ),
    ],
)
def test_levels_are_named_and_ordered_by_what_is_known(tmp_path, text, expected):
    assert as_row(replay(tmp_path, sysctl_txt=text)).get("core_levels") == expected


NAMES = "hw.perflevel0.name: Super\nhw.perflevel1.name: Efficiency\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"hw.nperflevels: 2\n{NAMES}", [("Super", None), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\n{NAMES}hw.perflevel0.physicalcpu: 4\n", [("Super", 4), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\nhw.ncpu: 10\n{NAMES}", [("Super", None), ("Efficiency", None)]),
        (f"hw.nperflevels: 2\nhw.ncpu: 1\n{NAMES}", None),  # two levels have two cores at least
        (f"hw.nperflevels: 2\nhw.ncpu: 4\n{NAMES}hw.perflevel0.physicalcpu: 4\n", None),
        (f"hw.nperflevels: 2\n{NAMES}hw.perflevel0.physicalcpu: 4,0\n", None),  # damaged
        (f"hw.nperflevels: 3\n{NAMES}", None),  # one was cut off
        (f"hw.ncpu: 10\n{NAMES}", None),  # one may have been
        ("hw.nperflevels: 2\nhw.perflevel0.name: Super\n", None),
    ],
)
def test_levels_that_are_named_are_kept_without_their_counts(tmp_path, text, expected):
    """`count: null` in JSON."""
    found = replay(tmp_path, sysctl_txt=f"hw.optional.arm64: 1\n{text}")
    assert [(level.name, level.count) for level in found.core_levels or ()] == (expected or [])
    assert found.cpu_count in (1, 4, 10, None), "never the sum of some levels"
    assert ("hw.ncpu" in text) == (found.cpu_count is not None)


def test_a_whole_answer_counts_before_one_without_counts(tmp_path):
    (tmp_path / "sysctl_a.txt").write_text(f"hw.nperflevels: 2\n{NAMES}")
    (tmp_path / "sysctl_b.txt").write_text(levels(("Super", 4), ("Efficiency", 6), total=10) + "\n")
    assert as_row(facts(Replay(tmp_path)))["core_levels"] == "4 Super + 6 Efficiency"


@pytest.mark.parametrize(
    ("text", "count", "source"),
    [
        ("hw.ncpu: 16\nhw.logicalcpu: 12\nhw.physicalcpu: 8\n", 16, "sysctl hw.ncpu"),
        ("hw.logicalcpu: 12\nhw.physicalcpu: 8\n", 12, "sysctl hw.logicalcpu"),
        ("hw.physicalcpu: 8\n", 8, "sysctl hw.physicalcpu"),
        ("hw.physicalcpu: 8\nmachdep.cpu.brand_string: Intel(R) Core(TM) i9\n", None, None),  # or 16
        ("hw.logicalcpu: 0\n", None, None),
        ("hw.memsize: 1\nhw.logicalcpu: 1", None, None),  # cut: of 16?
    ],
)
def test_the_cpus_are_counted_by_the_key_that_there_is(tmp_path, text, count, source):
    found = replay(tmp_path, sysctl_txt=text)
    assert (found.cpu_count, found.sources.get("cpu_count")) == (count, source)


def test_more_cores_in_the_levels_than_cpus_is_a_contradiction(tmp_path):
    text = levels(("Super", 4), ("Efficiency", 6), announced=2)
    assert replay(tmp_path, sysctl_txt=f"hw.logicalcpu: 9\n{text}\n").core_levels is None


def test_levels_of_two_machines_are_not_mixed(tmp_path):
    one = levels(("Performance", 8), total=10)  # cut
    other = "hw.perflevel1.physicalcpu: 2\nhw.perflevel1.name: Efficiency\nhw.nperflevels: 2\n"
    assert replay(tmp_path, sysctl_a_txt=one, sysctl_b_txt=other).core_levels is None
