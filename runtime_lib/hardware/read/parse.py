"""What stands in a command's output. Each function takes text that may be cut, translated or torn.

It returns what it is sure of: a value or `None`, never a default, and never raises. A value whose end is not
seen may be the beginning of a longer one: see `ended`.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

from runtime_lib.hardware.read.chips import Chip

__all__ = [
    "Levels",
    "cluster_levels",
    "ended",
    "generation",
    "integer",
    "ioreg_value",
    "literal",
    "memory",
    "os_version",
    "perflevels",
    "processors",
    "profile",
    "sysctl",
    "table",
]

# (name, count), fastest first; a level without a name has None.
Levels = tuple[tuple[str | None, int], ...]

# More cores, or more bytes, than a machine has: a number that was damaged.
_MOST_CORES, _MOST_BYTES = 4096, 2**50
# The names so far, fastest first; none is the beginning of another.
_NAMES = ("Super", "Performance", "Efficiency", "Standard")
# A part of a name (`_name`), of whole MiB (on_mac.py) or of one digit would be noticed.
_NOTICED = re.compile(
    r"hw\.(perflevel[0-9]\.name|memsize|nperflevels|optional\.arm64)|sysctl\.proc_translated"
    r"|kern\.(hv_vmm_present|memorystatus_vm_pressure_level)"
)


def ended(text: str) -> str:
    """The text of a single line with its newline; longer ones as they are: without it they were cut."""
    return text if "\n" in text else f"{text}\n"


def sysctl(text: str) -> dict[str, str]:
    """Key → value of `sysctl`'s lines; the first that names a key counts."""
    values: dict[str, str] = {}
    for line in ended(text).splitlines(keepends=True):
        found = re.fullmatch(r"\s*([A-Za-z_]\w*(?:\.\w+)+)\s*[:=]\s?(.*)", line.rstrip("\r\n"))
        if found and (line.endswith("\n") or _is_whole(found[1], found[2].strip(), values)):
            values.setdefault(found[1], found[2].strip())
    return values


def _is_whole(key: str, value: str, values: Mapping[str, str]) -> bool:
    """Whether a last line that was not ended holds all of its value, or too little would be noticed."""
    if re.fullmatch(r"hw\.perflevel[0-9]\.physicalcpu", key):
        return "hw.ncpu" in values or "hw.physicalcpu" in values  # the levels have to add up to it
    return bool(_NOTICED.fullmatch(key))


def integer(text: object, *, most: int = _MOST_CORES) -> int | None:
    """A whole number above 0 and up to `most`, from its digits or as it is."""
    if isinstance(text, int) and not isinstance(text, bool):
        number = text
    elif isinstance(text, str) and re.fullmatch(r"[0-9]{1,18}", text.strip()):
        number = int(text)
    else:
        return None
    return number if 0 < number <= most else None


def memory(text: object) -> int | None:
    """Bytes, from `16 GB` or `1 TB` (system_profiler counts in powers of 1024) or a bare number of bytes."""
    if found := re.fullmatch(r"\s*([0-9]{1,6}) (GB|TB)\s*", text if isinstance(text, str) else ""):
        return integer(int(found[1]) * {"GB": 2**30, "TB": 2**40}[found[2]], most=_MOST_BYTES)
    return integer(text, most=_MOST_BYTES)


def generation(name: str | None) -> tuple[int, str] | None:
    """Number and variant (`base`, `Pro`, `Max`, `Ultra`, or a later word) of an Apple M chip."""
    found = re.match(r"Apple M([0-9]{1,3})(?: ([A-Z][A-Za-z]*))?(?: \(.*)?$", name or "")
    return (int(found[1]), found[2] or "base") if found else None


def perflevels(values: Mapping[str, str], known: Chip | None) -> Levels | None:
    """Core levels of `hw.perflevelN`, if complete: as many as there should be, adding up to the total."""
    found = {}
    for key, value in values.items():
        if level := re.fullmatch(r"hw\.perflevel([0-9])\.physicalcpu", key):
            found[int(level[1])] = integer(value)
    wanted = integer(values.get("hw.nperflevels"))
    total = integer(values.get("hw.physicalcpu")) or integer(values.get("hw.ncpu"))
    counts = [count for _, count in sorted(found.items()) if count]
    whole = sorted(found) == list(range(len(found))) and len(counts) == len(found) > 0
    if not whole or (wanted is None and total is None):
        return None
    if (wanted is not None and wanted != len(counts)) or (total is not None and total != sum(counts)):
        return None  # a contradiction
    names = [_name(values.get(f"hw.perflevel{level}.name")) for level in range(len(counts))]
    if any(names) and (not all(names) or len(set(names)) < len(names)):
        return None
    levels = tuple(zip(names, counts, strict=True))
    return _fastest_first(levels) if any(names) else _named(levels, known)


def _fastest_first(levels: Levels) -> Levels:
    """In the order of what the names mean; as they are numbered, if one is new."""
    if any(name not in _NAMES for name, _ in levels):
        return levels
    return tuple(sorted(levels, key=lambda level: _NAMES.index(level[0] or "")))


def _named(levels: Levels, known: Chip | None) -> Levels:
    """Levels with the table's names, where it has the same counts in this order: macOS 12 names none."""
    counts = [count for _, count in levels]
    sold = known.configuration(counts) if known else None
    return sold if sold and [count for _, count in sold] == counts else levels


def _name(text: str | None) -> str | None:
    if not text or not re.fullmatch(r"[A-Z][a-z]+", text):
        return None
    cut = any(name.startswith(text) for name in _NAMES if name != text)
    return None if cut else text


def processors(text: object, known: Chip | None) -> tuple[int | None, Levels | None]:
    """Cores and levels of `number_processors`: `proc 8:4:4`, `proc 18:6:0:12`, or a bare number.

    The fields' order is not the same on all versions of macOS, so they are not read by position: the counts
    must be those of one variant that this chip is sold in, and that gives them their names.
    """
    if (total := integer(text)) is not None:
        return total, None
    found = re.fullmatch(r"proc ([0-9]{1,4})((?::[0-9]{1,4})+)", text if isinstance(text, str) else "")
    if not found:
        return None, None
    counts = [int(count) for count in found[2].split(":")[1:] if int(count)]
    total = integer(found[1])
    if total is None or sum(counts) != total:
        return None, None
    return total, known.configuration(counts) if known else None


def cluster_levels(power: Mapping[str, Any], known: Chip | None) -> Levels | None:
    """Core levels of powermetrics' clusters (E, P0, P1, S …), if the chip is sold in such a variant."""
    counts: dict[str, int] = {}
    clusters = _list(table(power.get("processor")).get("clusters"))
    for cluster in clusters:
        name, cpus = table(cluster).get("name"), _list(table(cluster).get("cpus"))
        letter = re.match(r"([A-Z])[0-9]?-Cluster$", name if isinstance(name, str) else "")
        if not letter or not cpus:
            return None
        counts[letter[1]] = counts.get(letter[1], 0) + len(cpus)
    return known.configuration(counts.values()) if known and counts else None


def ioreg_value(text: str, key: str) -> str | None:
    """The value of exactly this key in `ioreg`'s text: `"key" = 10`, `"key"=10` or `"key" = "text"`."""
    found = re.search(rf'"{re.escape(key)}"\s*=\s*(?:"([^"\n]*)"|([0-9]+)(?=[,}}\s]))', ended(text))
    return (found[1] if found[1] is not None else found[2]) if found else None


def os_version(text: str) -> str | None:
    """The version in what `sw_vers` prints, or `sw_vers -productVersion`."""
    pattern = r"(?:[\s\S]*^ProductVersion:\s*)?([0-9]+(?:\.[0-9]+)+)\n[\s\S]*"
    found = re.fullmatch(pattern, ended(text), re.MULTILINE)
    return found[1] if found else None


def profile(text: str, kind: str) -> list[Mapping[str, Any]]:
    """The entries of `system_profiler KIND -json`; none if the JSON is not whole."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [entry for entry in _list(table(content).get(kind)) if isinstance(entry, dict)]


def literal(text: str) -> Mapping[str, Any]:
    """The dictionary that MLX prints for `device_info()`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged text: there is nobody to correct it
            return table(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return {}


def table(value: object) -> Mapping[str, Any]:
    """What should be a table; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
