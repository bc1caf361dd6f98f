"""Reads the output of commands. Each function takes text that may be cut, translated or torn.

It returns what it is sure of: a value or `None`, never a default, and never raises. A value whose end is not
seen may be the beginning of a longer one: see `ended`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any

from runtime_lib.hardware.read.chips import Chip, CoreLevel

__all__ = [
    "agree",
    "ended",
    "generation",
    "integer",
    "ioreg_value",
    "literal",
    "memory",
    "perflevels",
    "sysctl",
]

# More cores, or more bytes, than a machine has: a number that was damaged.
_MOST_CORES, _MOST_BYTES = 4096, 2**50
# The names so far, fastest first; none is the beginning of another.
_NAMES = ("Super", "Performance", "Efficiency", "Standard")
# A part of a name (`_name`), of whole MiB (mac.py) or of one digit would be noticed.
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
    """A number of bytes that a machine may have."""
    return integer(text, most=_MOST_BYTES)


def generation(name: str | None) -> tuple[int, str] | None:
    """Number and variant (`base`, `Pro`, `Max`, `Ultra`, or a later word) of an Apple M chip."""
    found = re.match(r"Apple M([0-9]{1,3})(?: ([A-Z][A-Za-z]*))?(?: \(.*)?$", name or "")
    return (int(found[1]), found[2] or "base") if found else None


def perflevels(values: Mapping[str, str], known: Chip | None) -> tuple[CoreLevel, ...] | None:
    """Core levels of `hw.perflevelN`, fastest first, if none is missing and no total contradicts them.

    Where all of them are named, a count that was not answered is `None`.
    """
    numbers = sorted({int(key[12]) for key in values if re.fullmatch(r"hw\.perflevel[0-9]\.\w+", key)})
    wanted = integer(values.get("hw.nperflevels"))
    if not numbers or numbers != list(range(wanted or len(numbers))):
        return None
    said = [values.get(f"hw.perflevel{number}.physicalcpu") or None for number in numbers]
    counts = [integer(count) for count in said]
    names = [_name(values.get(f"hw.perflevel{number}.name")) for number in numbers]
    if any(names) and (not all(names) or len(set(names)) < len(names)):
        return None
    if any(text and not count for text, count in zip(said, counts, strict=True)):
        return None  # damaged
    # Without the number of levels or a total to add up to, some may have been cut off.
    total = integer(values.get("hw.physicalcpu")) or integer(values.get("hw.ncpu"))
    if wanted is None and (total is None or None in counts):
        return None
    levels = tuple(CoreLevel(name, count) for name, count in zip(names, counts, strict=True))
    if not agree(levels, total):
        return None
    if all(names):
        return _fastest_first(levels)
    return None if None in counts else _named(levels, known)


def agree(levels: tuple[CoreLevel, ...], total: int | None) -> bool:
    """Whether the levels may add up to `total`; each whose count is unknown has a core at least."""
    least = sum(level.count or 1 for level in levels)
    whole = all(level.count for level in levels)
    return total is None or (least == total if whole else least <= total)


def _fastest_first(levels: tuple[CoreLevel, ...]) -> tuple[CoreLevel, ...]:
    """In the order of what the names mean; as they are numbered, if one is new."""
    if any(level.name not in _NAMES for level in levels):
        return levels
    return tuple(sorted(levels, key=lambda level: _NAMES.index(level.name or "")))


def _named(levels: tuple[CoreLevel, ...], known: Chip | None) -> tuple[CoreLevel, ...]:
    """Levels with the table's names, where it has the same counts in this order: macOS 12 names none."""
    counts = [level.count for level in levels]
    sold = known.configuration(count for count in counts if count) if known else None
    return sold if sold and [level.count for level in sold] == counts else levels


def _name(text: str | None) -> str | None:
    if not text or not re.fullmatch(r"[A-Z][a-z]+", text):
        return None
    cut = any(name.startswith(text) for name in _NAMES if name != text)
    return None if cut else text


def ioreg_value(text: str, key: str) -> str | None:
    """The value of exactly this key in `ioreg`'s text: `"key" = 10`, `"key"=10` or `"key" = "text"`."""
    found = re.search(rf'"{re.escape(key)}"\s*=\s*(?:"([^"\n]*)"|([0-9]+)(?=[,}}\s]))', ended(text))
    return (found[1] if found[1] is not None else found[2]) if found else None


def literal(text: str) -> Mapping[str, Any]:
    """The dictionary that MLX prints for `device_info()`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged text: there is nobody to correct it
            found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
