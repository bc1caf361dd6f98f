"""How much, and how sure: a label is a number, an answer the quantiles that it may lie at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import SettingsError
from runtime_lib.task.metric import Metric
from runtime_lib.task.scaled import Scaled, group_quantiles, line

__all__ = ["Quantile", "pinball_rows"]


@dataclass(frozen=True)
class Quantile(Scaled):
    """`levels`: between 0 and 1, ascending; 0.1 is the number that one row in ten stays below."""

    levels: tuple[float, ...] = (0.1, 0.5, 0.9)

    kind: ClassVar[str] = "quantile"
    flat: ClassVar[bool] = False
    loss: ClassVar[str] = "pinball"

    def __post_init__(self) -> None:
        levels = tuple(float(level) for level in self.levels)
        if not levels or not all(0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
            raise SettingsError(
                f"params.yaml, task.levels: {list(self.levels)} are no quantiles. Give numbers between 0 and "
                f"1, ascending, for instance [0.1, 0.5, 0.9]."
            )
        object.__setattr__(self, "levels", levels)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"p{round(100 * level, 6):g}" for level in self.levels)

    @property
    def loss_options(self) -> Mapping[str, Any]:
        return {"levels": self.levels}

    def answer(self, raw: Array) -> Array:
        """From scaled quantiles, in any order: crossed ones change places."""
        answer: Array = np.sort(np.asarray(raw, dtype=np.float64), axis=1) * self.scale + self.center
        return answer

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return {"pinball": Metric("pinball", "pinball loss", 0, partial(pinball_rows, levels=self.levels))}

    def described(self, label: Array, answer: Array) -> dict[str, float]:
        """`coverage`: share of the rows from the lowest to the highest; of each `below.…` and `pinball.…`."""
        inside = (answer[:, 0] <= label) & (label <= answer[:, -1])
        below = (label[:, None] <= answer).mean(axis=0)
        shares = {f"below.{name}": float(share) for name, share in zip(self.outputs, below, strict=True)}
        each = zip(self.outputs, self.levels, answer.T, strict=True)
        losses = {
            f"pinball.{name}": float(pinball_rows(label, quantile[:, None], [level]).mean())
            for name, level, quantile in each
        }
        return {"coverage": float(inside.mean()), **shares, **losses}

    def curves(self, label: Array, answer: Array) -> dict[str, list[list[float]]]:
        """`coverage`: each level, and the share of the rows below its quantile."""
        below = (label[:, None] <= answer).mean(axis=0)
        pairs = zip(self.levels, below, strict=True)
        return {"coverage": [[level, round(float(share), 5)] for level, share in pairs]}

    def group_answers(self, group: Array, label: Array, groups: int) -> Array:
        return group_quantiles(group, label, groups, np.asarray(self.levels))

    def linear(self, inputs: Array, label: Array, *, unseen: Array) -> Array:
        """A line through the middle, and the quantiles of the training rows around it."""
        fitted = line(inputs, scaled := (label - self.center) / self.scale)
        around = np.quantile(scaled - fitted.predict(inputs), self.levels)
        return self.answer(fitted.predict(unseen)[:, None] + around)


def pinball_rows(label: Array, answer: Array, levels: Sequence[float]) -> Array:
    """The pinball loss of each row, the mean over the levels (Koenker & Bassett 1978, Econometrica 46:33-50).

    Args:
        label: `(n,)`. answer: quantiles, `(n, k)`. levels: `k` of them.
    """
    share, over = np.asarray(levels), label[:, None] - answer
    rows: Array = np.maximum(share * over, (share - 1) * over).mean(axis=1)
    return rows
