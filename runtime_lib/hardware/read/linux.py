"""The facts of a Linux machine, from files alone: no process is started."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.hardware.read import parse
from runtime_lib.hardware.read.chips import Chip, chip
from runtime_lib.hardware.read.probe import Probe

__all__ = ["group_files", "group_parts", "meminfo", "read_facts"]

_CPUINFO, _ONLINE = "/proc/cpuinfo", "/sys/devices/system/cpu/online"
# CPU implementer 0x61 is Apple. Parts: arch/arm64/include/asm/cputype.h of the Linux kernel, 6.12. Two
# dies of a Max make an Ultra: the cores' part is the same, their number decides.
_M1_MAX, _M2_MAX = ("Apple M1 Max", "Apple M1 Ultra"), ("Apple M2 Max", "Apple M2 Ultra")
_APPLE_PARTS: Mapping[int, tuple[tuple[str, ...], str]] = {
    0x022: (("Apple M1",), "Efficiency"),
    0x023: (("Apple M1",), "Performance"),
    0x024: (("Apple M1 Pro",), "Efficiency"),
    0x025: (("Apple M1 Pro",), "Performance"),
    0x028: (_M1_MAX, "Efficiency"),
    0x029: (_M1_MAX, "Performance"),
    0x032: (("Apple M2",), "Efficiency"),
    0x033: (("Apple M2",), "Performance"),
    0x034: (("Apple M2 Pro",), "Efficiency"),
    0x035: (("Apple M2 Pro",), "Performance"),
    0x038: (_M2_MAX, "Efficiency"),
    0x039: (_M2_MAX, "Performance"),
}


def read_facts(of: Probe) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by field of `Facts`, and their sources."""
    system = _system(of)
    cpu = _cpu(parse.ended(of.read(_CPUINFO) or ""), system["cpu_count"][0])
    parts = (system, cpu, _memory(of), _cuda(of))
    known = {name: pair for part in parts for name, pair in part.items() if pair[0] is not None}
    return {name: value for name, (value, _) in known.items()}, {
        name: why for name, (_, why) in known.items()
    }


def _system(of: Probe) -> dict[str, tuple[Any, str]]:
    """What the kernel says of itself in files, so that a recording says it too."""
    machine = re.fullmatch(r"(\w+)\n", of.read("/proc/sys/kernel/arch") or "")  # since Linux 6.1
    return {
        "machine": (machine[1] if machine else None, "/proc/sys/kernel/arch"),
        "cpu_count": (_online(of.read(_ONLINE) or ""), _ONLINE),
    }


def _online(text: str) -> int | None:
    """CPUs in a list such as `0-7,9`; None where its end is not seen."""
    if not re.fullmatch(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*\n", text):
        return None
    ranges = (part.split("-") for part in text.strip().split(","))
    return parse.integer(sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges))


def _cpu(text: str, online: int | None) -> dict[str, tuple[Any, str]]:
    if re.search(r"^CPU implementer\s*:\s*0x61\n", text, re.MULTILINE):
        return _apple_cpu(text, online)
    model = re.search(r"^model name\s*:\s*(.+)\n", text, re.MULTILINE)
    if model and model[1].startswith("VirtualApple"):
        # Rosetta, for a program of another architecture in a virtual machine on a Mac.
        return {"is_translated": (True, _CPUINFO), "is_virtual": (True, _CPUINFO)}
    flags = re.search(r"^flags\s*:(.*)\n", text, re.MULTILINE)
    own = re.search(r"^(model name|CPU implementer)\s*:", text, re.MULTILINE)
    return {
        "chip": (model[1].strip() if model else None, _CPUINFO),
        "is_translated": (False if own else None, f"{_CPUINFO} names no translator"),
        "is_virtual": (" hypervisor" in flags[1] if flags else None, f"{_CPUINFO}, flag hypervisor"),
    }


def _apple_cpu(text: str, online: int | None) -> dict[str, tuple[Any, str]]:
    """Linux on an Apple chip: each processor names its part."""
    parts = [
        _APPLE_PARTS.get(int(part, 16)) for part in re.findall(r"^CPU part\s*:\s*(0x[0-9a-f]+)$", text, re.M)
    ]
    chips = {part[0] if part else () for part in parts}
    names = chips.pop() if len(chips) == 1 else ()
    counts = Counter(part[1] for part in parts if part)
    # A file that was cut lists fewer cores than there are: then their number is unknown, and with it whether
    # a Max is half an Ultra.
    sold = [name for name in names if (row := chip(name)) and _is_sold(row, counts)]
    whole = len(sold) == 1 and _last_is_whole(text) and online in (None, len(parts))
    name = sold[0] if whole else names[0] if len(names) == 1 else None
    known, version = chip(name), parse.generation(name)
    levels = known.configuration(counts.values()) if known and whole else None
    return {
        "chip": (name, f"{_CPUINFO}, CPU part"),
        "generation": (version[0] if version else None, "the chip's name"),
        "variant": (version[1] if version else None, "the chip's name"),
        "machine": ("arm64", f"{_CPUINFO}, CPU implementer"),
        "is_translated": (False, f"{_CPUINFO} names no translator"),
        "core_levels": (levels, f"{_CPUINFO}, CPU part"),
        "cpu_count": (sum(counts.values()) if whole else None, _CPUINFO),
        "neural_engine_cores": (known.neural_engine_cores if known else None, f"the table of chips ({name})"),
    }


def _is_sold(row: Chip, counts: Mapping[str, int]) -> bool:
    return any(counts == {level.name: level.count for level in cores} for cores in row.cores)


def _last_is_whole(text: str) -> bool:
    """Whether the last processor is described by as many lines as the first."""
    blocks = [block.splitlines() for block in re.split(r"\n[ \t]*\n", text.strip())]
    return text.endswith("\n") and len(blocks[-1]) == len(blocks[0])


def _memory(of: Probe) -> dict[str, tuple[Any, str]]:
    total = meminfo(of, "MemTotal")
    limits = [
        parse.integer(of.read(path), most=2**63)
        for path in group_files(of, "memory.max", "memory.limit_in_bytes")
    ]
    limit = min((limit for limit in limits if limit is not None), default=None)
    # Version 1 says "no limit" by a number of about 2 ** 63.
    below = limit if limit is not None and limit < (total or 2**50) else None
    return {"memory_bytes": (total, "/proc/meminfo"), "memory_limit_bytes": (below, "the control group")}


def meminfo(of: Probe, key: str) -> int | None:
    """Bytes of a line of /proc/meminfo."""
    line = re.search(rf"^{key}:\s+([0-9]+) kB$", of.read("/proc/meminfo") or "", re.MULTILINE)
    return parse.memory(str(int(line[1]) * 1024)) if line else None


def group_files(of: Probe, unified: str, memory: str) -> Iterator[str]:
    """Paths of a file of this process's control group and of those above it: any may set the limit.

    Args:
        unified: its name in version 2 of control groups.
        memory: its name in version 1, under the memory controller.
    """
    for line in (of.read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        parts = group_parts(path)
        for depth in range(len(parts), -1, -1):
            folder = "/".join(["", *parts[:depth]])
            if number == "0" and not controllers:
                yield f"/sys/fs/cgroup{folder}/{unified}"
            elif "memory" in controllers.split(","):
                yield f"/sys/fs/cgroup/memory{folder}/{memory}"


def group_parts(path: str) -> list[str]:
    """The control groups that one lies in, from the root, and itself."""
    return [part for part in path.split("/") if part and part != ".."]


def _cuda(of: Probe) -> dict[str, tuple[Any, str]]:
    """Names of the devices that NVIDIA's kernel driver lists, without its library."""
    text = of.read("/proc/driver/nvidia/version")
    if not text:
        return {}
    names = []
    for path in of.files("/proc/driver/nvidia/gpus/*/information"):
        model = re.search(r"^Model:\s*(.+)\n", parse.ended(of.read(path) or ""), re.MULTILINE)
        names += [model[1].strip()] if model else []
    return {"cuda_devices": (tuple(names) or None, "/proc/driver/nvidia")}
