"""What was found of a column: its figures, and why it counts as drifted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from runtime_lib.monitoring.drift.compare import Cell, RateChange
from runtime_lib.monitoring.drift.reference import PREDICTION
from runtime_lib.profiles.effects import Name
from runtime_lib.profiles.statistics import jensen_shannon

__all__ = ["ColumnDrift", "Evidence", "WindowDrift"]


@dataclass(frozen=True)
class Evidence:
    """One effect over all windows, and what it was held against.

    Attributes:
        reached: by as many windows as must agree; this is held against what is typical.
        bound: the bins leave the value unknown by at most so much.
        threshold: from where it matters. `typical`: what it is at most while nothing is wrong; 0: unknown.
        windows: how many of the windows show it. `counts`: whether it makes the column count as drifted.
    """

    name: Name
    value: float
    reached: float
    error: float
    bound: float
    threshold: float
    typical: float
    windows: int
    counts: bool


@dataclass(frozen=True)
class WindowDrift:
    """A column in one window: its rows, its PSI, the q-value, and which effects show."""

    rows: int
    effect: float | None
    q: float | None
    shows: tuple[str, ...]


@dataclass(frozen=True)
class ColumnDrift:
    """How one column's live values differ from training, over all windows together.

    `effect` is the PSI, `second` the distance D or Cramér's V as named by `second_name`; they, `p` and `q`
    are None when one side has no values. `reasons` says why the column counts as drifted; empty: it does not.
    """

    name: str
    kind: Literal["number", "category"]
    rows: int
    effect: float | None
    second: float | None
    second_name: Literal["ks", "cramers_v"]
    p: float | None
    q: float | None
    change: str
    nulls: RateChange
    unseen: RateChange | None
    cells: tuple[Cell, ...]
    reasons: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    windows: tuple[WindowDrift, ...] = ()

    @property
    def prediction(self) -> bool:
        """Whether it is one of the model's answers and no input."""
        return self.name.startswith(PREDICTION)

    @property
    def jensen_shannon(self) -> float | None:
        """The Jensen-Shannon distance over `cells`, from 0 to 1, which decides nothing. None as `effect`."""
        if self.effect is None:
            return None
        return jensen_shannon([cell.reference for cell in self.cells], [cell.live for cell in self.cells])

    @property
    def drifted(self) -> bool:
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "jensen_shannon": self.jensen_shannon, "drifted": self.drifted}
