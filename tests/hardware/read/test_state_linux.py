"""Memory that is left and pressure on it, from the files of Linux and its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime_lib.hardware.read.state import State, state
from runtime_lib.hardware.replay.folder import Replay

MEMORY_ONLY = ("free_memory_bytes",)


def linux(tmp_path: Path, **files: str) -> State:
    (tmp_path / "proc_meminfo.txt").write_text("MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    for name, text in files.items():
        (tmp_path / f"{name.replace('__', '.')}.txt").write_text(text)
    return state(Replay(tmp_path))


def test_on_linux_free_memory_is_what_the_kernel_says_is_available(tmp_path):
    found = linux(tmp_path)
    assert found.free_memory_bytes == 2048 * 1024
    assert found.expected == MEMORY_ONLY


V2 = {"proc_self_cgroup": "0::/a/b\n"}
V1 = {"proc_self_cgroup": "5:cpu,memory:/a\n4:cpuset:/\n"}


@pytest.mark.parametrize(
    ("files", "room"),
    [
        (
            {**V2, "sys_fs_cgroup_a_b_memory__max": "9000\n", "sys_fs_cgroup_a_b_memory__current": "8000\n"},
            1000,
        ),
        (
            {**V2, "sys_fs_cgroup_a_b_memory__max": "max\n", "sys_fs_cgroup_a_b_memory__current": "8000\n"},
            None,
        ),
        # The group above may be the narrower one.
        ({**V2, "sys_fs_cgroup_a_memory__max": "9000\n", "sys_fs_cgroup_a_memory__current": "8500\n"}, 500),
        # File pages that nobody uses are there for the asking.
        (
            {
                **V2,
                "sys_fs_cgroup_a_memory__max": "9000\n",
                "sys_fs_cgroup_a_memory__current": "8500\n",
                "sys_fs_cgroup_a_memory__stat": "anon 1\ninactive_file 300\n",
            },
            800,
        ),
        # Over its limit, as a group may be for a moment.
        ({**V2, "sys_fs_cgroup_a_memory__max": "9000\n", "sys_fs_cgroup_a_memory__current": "9500\n"}, 0),
        # Cut: 9 may have been 9000.
        ({**V2, "sys_fs_cgroup_a_memory__max": "9", "sys_fs_cgroup_a_memory__current": "8\n"}, None),
        (
            {
                **V1,
                "sys_fs_cgroup_memory_a_memory__limit_in_bytes": "9000\n",
                "sys_fs_cgroup_memory_a_memory__usage_in_bytes": "6000\n",
                "sys_fs_cgroup_memory_a_memory__stat": "inactive_file 1\ntotal_inactive_file 700\n",
            },
            3700,
        ),
        (
            {
                **V1,
                "sys_fs_cgroup_memory_a_memory__limit_in_bytes": "9223372036854771712\n",
                "sys_fs_cgroup_memory_a_memory__usage_in_bytes": "6000\n",
            },
            None,
        ),
    ],
)
def test_on_linux_a_control_group_may_leave_less(tmp_path, files, room):
    found = linux(tmp_path, **files)
    assert found.free_memory_bytes == (2048 * 1024 if room is None else room)
    assert found.sources["free_memory_bytes"] == ("/proc/meminfo" if room is None else "the control group")


@pytest.mark.parametrize(
    ("some", "full", "pressure"),
    [
        ("0.00", "0.00", "normal"),
        ("4.99", "0.00", "normal"),
        ("5.00", "0.00", "warning"),
        ("80.00", "4.99", "warning"),
        ("80.00", "5.00", "critical"),
        ("0,00", "0,00", None),
        ("1000.00", "0.00", None),
    ],
)
def test_on_linux_memory_pressure_is_how_long_tasks_wait_for_memory(tmp_path, some, full, pressure):
    text = "".join(
        f"{kind} avg10={share} avg60=0.00 avg300=0.00 total=0\n"
        for kind, share in [("some", some), ("full", full)]
    )
    assert linux(tmp_path, proc_pressure_memory=text).memory_pressure == pressure
    assert linux(tmp_path, proc_pressure_memory=text.partition("full")[0]).memory_pressure is None
