"""What an answer says about the machine's state: a value or `None`, never a default, never an exception.

One function for each kind of output. Numbers count only where their end is seen (a comma, a percent sign,
the end of a line), so that an answer that was cut gives nothing instead of something smaller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from runtime_lib.hardware.read.linux import group_files
from runtime_lib.hardware.read.parse import integer
from runtime_lib.hardware.read.plist import last_plist
from runtime_lib.hardware.read.probe import Probe

__all__ = [
    "PRESSURES",
    "THERMAL",
    "Battery",
    "battery",
    "control_group_room",
    "free_level",
    "gpu_utilisation",
    "has_power_modes",
    "memory_stall",
    "pages_available",
    "power_mode",
    "pressure_level",
    "thermal",
]

# OSThermalNotification.h, macOS branch.
THERMAL = ("Nominal", "Moderate", "Heavy", "Trapping", "Sleeping")
PRESSURES = ("normal", "warning", "critical")
_LEVELS = dict(zip(("1", "2", "4"), PRESSURES, strict=True))
_MODES = {"0": "auto", "1": "low", "2": "high"}
# Percent of the last ten seconds: GLib's memory monitor (gmemorymonitorpsi.c) calls 100 ms in 2 s in which
# some task waits for memory "medium", and as much in which all of them wait "critical".
_STALL_PERCENT = 5.0
# Above this a number was damaged, whatever it measures.
_MOST = 1e12


class Battery(NamedTuple):
    """Charge from 0 to 1, None without a battery; whether it feeds the machine."""

    share: float | None = None
    in_use: bool | None = None


def thermal(text: str) -> str | None:
    """`notifyutil -g`: the key on the same line, then 0 to 4. A failure is printed there in words."""
    found = re.search(r"^com\.apple\.system\.thermalpressurelevel[ \t]+([0-4])\s*$", text, re.MULTILINE)
    return THERMAL[int(found[1])] if found else None


def pressure_level(values: Mapping[str, str]) -> str | None:
    """`kern.memorystatus_vm_pressure_level`: 1, 2 or 4."""
    return _LEVELS.get(values.get("kern.memorystatus_vm_pressure_level", ""))


def power_mode(text: str) -> str | None:
    """`pmset -g`: `powermode`, or where there is none `lowpowermode`; None if two lines disagree."""
    found = re.findall(r"^[ \t]*(low)?powermode[ \t]+([0-9]+)(?=\s)", text, re.MULTILINE)
    modes = {_MODES.get(value) for low, value in found if not low}
    low = {value == "1" for low, value in found if low and value in ("0", "1")}
    if not modes and len(low) == 1:
        return "low" if low.pop() else "auto"
    return modes.pop() if len(modes) == 1 and low <= {"low" in modes} else None


def has_power_modes(text: str) -> bool | None:
    """Whether `pmset -g` lists a power mode among the settings in use; None where it lists no settings."""
    if not re.search(r"^Currently in use:\s*\n(.+\n)*[ \t]*sleep[ \t]+[0-9]", text, re.MULTILINE):
        return None
    return "powermode" in text


def gpu_utilisation(text: str) -> float | None:
    """`ioreg -c IOAccelerator`: the busiest GPU, 0 to 1. Siblings such as `… % (driver)` are others."""
    found = re.findall(r'"Device Utilization %"\s*=\s*([0-9]{1,9})\s*(?:,\s*"|\})', text)
    shares = [int(value) / 100 for value in found if int(value) <= 100]
    return max(shares, default=None)


def battery(text: str) -> Battery:
    """`ioreg -a -c AppleSmartBattery`, a property list."""
    entries = last_plist(text, "BatteryInstalled", "CurrentCapacity", "MaxCapacity", "ExternalConnected")
    if entries == []:  # asked for batteries, and the list has none
        return Battery(in_use=False)
    entry = entries[0] if isinstance(entries, list) else entries
    if not isinstance(entry, dict):
        return Battery()
    if entry.get("BatteryInstalled") is False:
        return Battery(in_use=False)
    # On Apple silicon both are percentages, on Intel both are mAh.
    charge, full = (_number(entry.get(key)) for key in ("CurrentCapacity", "MaxCapacity"))
    outside = entry.get("ExternalConnected")
    return Battery(
        charge / full if charge is not None and full and 0 <= charge <= full else None,
        not outside if isinstance(outside, bool) else None,
    )


def free_level(text: str) -> int | None:
    """`sysctl`'s `kern.memorystatus_level`: the percentage of memory that is available."""
    found = re.search(r"^kern\.memorystatus_level[:=] ?([0-9]{1,3})\n", text, re.MULTILINE)
    return int(found[1]) if found and int(found[1]) <= 100 else None


def pages_available(text: str) -> int | None:
    """`vm_stat`: bytes in free, speculative and inactive pages, which psutil counts as available."""
    size = re.search(r"\(page size of ([0-9]{1,9}) bytes\)", text)
    pages = [
        re.search(rf"^Pages {kind}:\s+([0-9]{{1,15}})\.", text, re.MULTILINE)
        for kind in ("free", "speculative", "inactive")
    ]
    counts = [int(found[1]) for found in pages if found]
    return int(size[1]) * sum(counts) if size and len(counts) == len(pages) else None


def memory_stall(text: str) -> str | None:
    """`/proc/pressure/memory`: how much tasks wait for memory."""
    shares = {
        kind: float(percent)
        for kind, percent in re.findall(
            r"^(some|full) avg10=([0-9]{1,3}\.[0-9]{2}) .*total=", text, re.MULTILINE
        )
    }
    if set(shares) != {"some", "full"} or max(shares.values()) > 100:
        return None
    if shares["full"] >= _STALL_PERCENT:
        return "critical"
    return "warning" if shares["some"] >= _STALL_PERCENT else "normal"


def control_group_room(of: Probe) -> int | None:
    """Bytes that this process's control groups leave it: the least of limit minus use, up to the root.

    File pages that nobody uses count as free, as in `MemAvailable` and in Kubernetes' working set.
    """
    files = (
        group_files(of, "memory.max", "memory.limit_in_bytes"),
        group_files(of, "memory.current", "memory.usage_in_bytes"),
        group_files(of, "memory.stat", "memory.stat"),
    )
    rooms = [_room(*(of.read(path) or "" for path in group)) for group in zip(*files, strict=True)]
    return min((room for room in rooms if room is not None), default=None)


def _room(limit: str, used: str, statistics: str) -> int | None:
    # Without its newline a number was cut; `max` is no limit.
    most, now = (integer(text, most=2**63) if text.endswith("\n") else None for text in (limit, used))
    if most is None or now is None:
        return None
    # Version 1 counts those of the groups below apart; their use is in the group's own.
    idle = re.search(r"^total_inactive_file ([0-9]{1,18})$", statistics, re.MULTILINE) or re.search(
        r"^inactive_file ([0-9]{1,18})$", statistics, re.MULTILINE
    )
    return min(most, max(0, most - now + min(int(idle[1]) if idle else 0, now)))


def _number(value: object) -> float | None:
    """A number as a sensor gives it: not negative, and not absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= _MOST else None
