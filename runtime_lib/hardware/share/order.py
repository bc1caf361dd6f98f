"""Who may use the machine now, and who waits: a pure decision about a list of leases.

A lease asks for shares of the machine's memory and of its GPU. Those that wait are in order: the
higher priority first, then who came first. The rule:

1. The shares held together never exceed the whole, of memory nor of GPU.
2. A waiting lease starts as soon as its shares are free and no lease before it in the order waits.
3. It may overtake those before it if that cannot delay them: whichever of the leases that hold, or wait
   before the overtaken one, end first or last, there is none of their combinations that leaves room for
   the overtaken one alone, but not next to the overtaker. So each starts no later than in the strict
   order, and small work that keeps coming cannot starve big work of the same priority.
4. Nobody who holds is interrupted; higher priorities that keep coming do starve lower ones.

Shares are counted in thousandths, so that 0.1 + 0.2 + 0.7 is the whole.
"""

from __future__ import annotations

import math
import pwd
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from runtime_lib.errors import SettingsError

__all__ = ["Lease", "Wait", "admitted", "free", "in_order", "in_words", "thousandths"]

_WHOLE = 1000
# Bits of the sums of shares that may be held together.
_SUMS = (1 << (_WHOLE + 1)) - 1


@dataclass(frozen=True)
class Lease:
    """Shares of this machine that somebody holds, or waits for."""

    project: str
    # Of memory and of GPU, in thousandths of the machine's.
    shares: tuple[int, int]
    priority: int = 0
    # Counts up: the smaller came first.
    ticket: int = 0
    name: str = ""
    uid: int = -1
    # 0: unknown.
    process: int = 0
    # Seconds since 1970: when it was asked for, and when it was got (None: it waits).
    asked: float = 0.0
    since: float | None = None

    @property
    def memory(self) -> float:
        """Share of the machine's memory, 0 to 1."""
        return self.shares[0] / _WHOLE

    @property
    def gpu(self) -> float:
        """Share of the machine's GPU, 0 to 1."""
        return self.shares[1] / _WHOLE

    @property
    def is_held(self) -> bool:
        return self.since is not None

    @property
    def user(self) -> str:
        return _user(self.uid)

    def covers(self, shares: Sequence[int]) -> bool:
        """Whether `shares` are part of this lease's."""
        return all(asked <= own for asked, own in zip(shares, self.shares, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Shares from 0 to 1; times in ISO 8601, UTC."""
        return {
            "project": self.project,
            "user": self.user,
            "process": self.process or None,
            "memory": self.memory,
            "gpu": self.gpu,
            "priority": self.priority,
            "held": self.is_held,
            "asked": _iso(self.asked),
            "since": None if self.since is None else _iso(self.since),
        }

    def __str__(self) -> str:
        begin = self.asked if self.since is None else self.since
        return (
            f"'{self.project}' ({self.user}, process {self.process or 'unknown'}) "
            f"{'waits for' if self.since is None else 'holds'} {in_words(self.shares)} "
            f"since {datetime.fromtimestamp(begin):%H:%M:%S} ({_duration(time.time() - begin)})"
        )


@dataclass(frozen=True)
class Wait:
    """Why a lease waits: who holds the machine, and who comes first."""

    asked: Lease
    held: tuple[Lease, ...]
    # Those that wait before it, in order.
    before: tuple[Lease, ...]

    @property
    def position(self) -> int:
        """Place in the queue; 1 is next."""
        return len(self.before) + 1

    def __str__(self) -> str:
        others = "; ".join(str(lease) for lease in (*self.held, *self.before))
        return (
            f"'{self.asked.project}' waits for {in_words(self.asked.shares)} of this machine; "
            f"free: {in_words(free(self.held), zero=True)}; place {self.position} in the queue; "
            f"{others or 'nobody holds it any more'}"
        )


def thousandths(value: object, name: str, *, least: int = 0) -> int:
    """Turn a share from 0 to 1 into thousandths, rounded up.

    Args:
        name: what it is a share of, for the message.
        least: the smallest allowed result, 0 or 1.

    Raises:
        SettingsError: it is no number from 0 (with `least=1`: above 0) to 1.
    """
    try:
        share = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        share = math.nan
    if not (0 < share <= 1 or (share == 0 and least == 0)):
        above = "above 0" if least else "from 0"
        raise SettingsError(
            f"A lease's share of {name} is {value!r}; it is a number {above} to 1, where 1 is all of this "
            f"machine's. Ask for a share, not for an amount: 0.5 is half."
        )
    # What is left of 0.07 * 1000 above 70 is a rounding error, not a demand.
    return math.ceil(share * _WHOLE - 1e-6) if share else 0


def in_order(leases: Iterable[Lease]) -> list[Lease]:
    """Those that wait: the higher priority first, then who came first."""
    return sorted(
        (lease for lease in leases if not lease.is_held),
        key=lambda lease: (-lease.priority, lease.ticket, lease.name),
    )


def free(leases: Iterable[Lease]) -> tuple[int, int]:
    """Thousandths of memory and GPU that nobody holds."""
    held = [lease.shares for lease in leases if lease.is_held]
    return (
        max(0, _WHOLE - sum(memory for memory, _ in held)),
        max(0, _WHOLE - sum(gpu for _, gpu in held)),
    )


def admitted(leases: Sequence[Lease]) -> list[Lease]:
    """Return the waiting leases that may all start now, in order (the rule: see the module).

    Args:
        leases: all that hold or wait, in any order.
    """
    running = [lease.shares for lease in leases if lease.is_held]
    passed: list[tuple[int, int]] = []
    starting: list[Lease] = []
    for lease in in_order(leases):
        if _fits(lease.shares, running) and not _delays(lease.shares, running, passed):
            running.append(lease.shares)
            starting.append(lease)
        else:
            passed.append(lease.shares)
    return starting


def _fits(shares: tuple[int, int], running: Sequence[tuple[int, int]]) -> bool:
    return all(
        not share or sum(other[i] for other in running) + share <= _WHOLE for i, share in enumerate(shares)
    )


def _delays(
    shares: tuple[int, int], running: Sequence[tuple[int, int]], passed: Sequence[tuple[int, int]]
) -> bool:
    """Whether `shares`, once taken, may keep one of `passed` from starting in its turn."""
    for i, share in enumerate(shares):
        if not share:
            continue
        # Bit s is set if some of those that may run at that time hold s thousandths together.
        sums = 1
        for other in running:
            sums |= sums << other[i] & _SUMS
        for waiter in passed:
            room = _WHOLE - waiter[i]
            lowest = max(0, room - share + 1)
            if sums >> lowest & ((1 << (room - lowest + 1)) - 1):
                return True
            sums |= sums << waiter[i] & _SUMS
    return False


def in_words(shares: Sequence[int], *, zero: bool = False) -> str:
    """`(700, 1000)` → "70 % of memory and 100 % of GPU"; nothing of the GPU is left out unless `zero`."""
    memory, gpu = (
        f"{share / 10:g} % of {name}" for share, name in zip(shares, ("memory", "GPU"), strict=True)
    )
    return f"{memory} and {gpu}" if shares[1] or zero else memory


@cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
