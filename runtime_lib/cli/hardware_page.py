"""What `mlops hardware` says to people: a page of parts whose columns agree, or a line of readings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.state import State
from runtime_lib.hardware.share.order import Lease

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Part", "Row", "device", "leases", "line", "machine", "page", "state"]

_INDENT, _GAP = 2, 2
_NARROWEST = 16


class Row(NamedTuple):
    """A label, its value in words (None: unknown) and the value's source, if it has one."""

    label: str
    value: str | None
    source: str = ""


class Part(NamedTuple):
    """A title and its rows."""

    title: str
    rows: Sequence[Row]


# Field, its words, and how its value is written for people.
_Field = tuple[str, str, Callable[[Any], str]]


def _gibibytes(value: int) -> str:
    return f"{value / 2**30:,.1f}".removesuffix(".0") + " GiB"


def _truth(value: bool) -> str:
    return "yes" if value else "no"


def _percent(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def _levels(value: Any) -> str:
    return " + ".join(f"{level.count or '?'} {level.name or 'of no name'}" for level in value)


_MACHINE: tuple[_Field, ...] = (
    ("chip", "chip", str),
    ("generation", "generation", str),
    ("variant", "variant", str),
    ("model", "model", str),
    ("cpu_count", "CPUs", str),
    ("core_levels", "cores, fastest first", _levels),
    ("gpu_cores", "GPU cores", str),
    ("neural_engine_cores", "Neural Engine cores", str),
    ("memory_bytes", "memory", _gibibytes),
    ("memory_bandwidth_gbs", "memory bandwidth", lambda value: f"{value:g} GB/s"),
    ("metal", "Metal", str),
    ("os_version", "system version", str),
    ("platform", "platform", str),
    ("machine", "architecture", str),
    ("is_virtual", "virtual", _truth),
    ("is_translated", "translated (Rosetta)", _truth),
)
# Shown only where there is such a thing.
_MACHINE_ALSO: tuple[_Field, ...] = (
    ("memory_limit_bytes", "memory limit", _gibibytes),
    ("working_set_bytes", "GPU's share of memory", _gibibytes),
    ("cuda_devices", "CUDA devices", ", ".join),
)
_STATE: tuple[_Field, ...] = (
    ("thermal", "thermal pressure", str),
    ("memory_pressure", "memory pressure", str),
    ("free_memory_bytes", "free memory", _gibibytes),
    ("power_mode", "power mode", str),
    ("on_battery", "on battery", _truth),
    ("battery", "battery", _percent),
    ("gpu_utilisation", "GPU in use", _percent),
)
# What every machine has; the rest is shown as unknown only on a Mac, where it could be known.
_ANYWHERE = {"chip", "cpu_count", "memory_bytes", "platform", "machine", "is_virtual", "free_memory_bytes"}


def machine(facts: Facts) -> Part:
    also = [field for field in _MACHINE_ALSO if getattr(facts, field[0])]
    return Part("Machine", _rows((*_MACHINE, *also), facts, facts))


def state(found: State, facts: Facts) -> Part:
    return Part("State", _rows(_STATE, found, facts))


def device(chosen: dict[str, Any], *, replayed: bool) -> Part:
    """The device and the reason; a replayed machine is taken to have both frameworks."""
    name = f"{chosen['framework']} on {chosen['name']}" if chosen["name"] else "none"
    title = "Device, with MLX and torch installed" if replayed else "Device"
    return Part(title, [Row(name, chosen["reason"])])


def leases(found: Iterable[Lease]) -> Part:
    """Who holds shares of the machine, and who waits for them."""
    return Part(
        "Shares of this machine", [Row("held" if one.is_held else "waits", str(one)) for one in found]
    )


def line(time: str, found: State, facts: Facts) -> str:
    """All readings of a moment in one line, for a file or a pipe."""
    rows = state(found, facts).rows
    return f"{time}  " + ", ".join(f"{row.label} {_printable(row.value or 'unknown')}" for row in rows)


def _rows(fields: Iterable[_Field], found: Facts | State, facts: Facts) -> list[Row]:
    rows = []
    for name, words, write in fields:
        value = getattr(found, name)
        if value is not None:
            rows.append(Row(words, write(value), found.sources.get(name, "")))
        elif facts.platform != "linux" or name in _ANYWHERE:
            rows.append(Row(words, None))
    return rows


def page(parts: Sequence[Part], *, width: int, only: Sequence[str] | None = None) -> Text:
    """Lay the parts out, with the same columns in all of them.

    Args:
        width: of the terminal, in cells.
        only: titles of the parts to show (default: all); the others still count for the columns.
    """
    from rich.text import Text

    columns = _columns([row for part in parts for row in part.rows], width)
    text = Text(no_wrap=True, overflow="ignore")
    for title, rows in parts:
        if only is None or title in only:
            text.append(f"{title}\n\n", style="bold")
            for row in rows:
                _append(text, row, columns)
            text.append("\n")
    text.rstrip()  # whoever prints it ends the last line
    return text


class _Columns(NamedTuple):
    """Their widths, in cells."""

    label: int
    value: int
    source: int

    def lines(self, row: Row) -> tuple[list[str], list[str]]:
        """The lines of the row's value and of its source; without a source the value has both columns."""
        if row.source:
            return _wrapped(row.value or "", self.value), _wrapped(row.source, self.source)
        return _wrapped(row.value or "unknown", self.value + _GAP + self.source), []


def _columns(rows: Sequence[Row], width: int) -> _Columns:
    """As wide as needed, where there is room; else with few lines, and rather broken sources than values."""
    from rich.cells import cell_len

    label = max(cell_len(row.label) for row in rows)
    room = max(width - _INDENT - label - 2 * _GAP, 2)
    least = min(_NARROWEST, room // 2)
    widest = max((cell_len(row.value or "") for row in rows if row.source), default=0)

    def cost(value: int) -> int:
        lines = [_Columns(label, value, room - value).lines(row) for row in rows]
        return sum(max(len(values), len(sources)) + 2 * len(values) for values, sources in lines)

    value = min(range(least, max(least, min(widest, room - least)) + 1), key=cost)
    return _Columns(label, value, room - value)


def _append(text: Text, row: Row, columns: _Columns) -> None:
    from itertools import zip_longest

    from rich.cells import set_cell_size

    values, sources = columns.lines(row)
    labels = [row.label]
    for label, value, source in zip_longest(labels, values, sources, fillvalue=""):
        text.append(" " * _INDENT + set_cell_size(label, columns.label + _GAP))
        text.append(
            set_cell_size(value, columns.value + _GAP) if source else value, style="" if row.value else "dim"
        )
        text.append(f"{source}\n", style="dim")


def _wrapped(words: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken between words, in a path after `/`, else where they must."""
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for word in map(_printable, words.split()):
        space = " " if lines[-1] else ""
        # A path that fits into a line of its own stays in one piece.
        pieces = re.findall(r"[^/]*/|[^/]+", word) if cell_len(word) > width and word[0] == "/" else [word]
        for piece in pieces:
            if cell_len(lines[-1] + space + piece) <= width:
                lines[-1] += space + piece
            else:
                lines += chop_cells(piece, width)
            space = ""
    return lines if lines[0] else lines[1:] or lines


def _printable(text: str) -> str:
    """Keep what a recording holds from steering the terminal that it is shown on."""
    return "".join(c if c.isprintable() else "?" for c in text)
