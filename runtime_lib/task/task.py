"""What is predicted: labels, answers, how an answer is judged, and what it must beat.

The one place where the rest of the library learns it. Another kind of task is another file with a `Task` of
its own, and a line in `kinds.py`.

Of `n` rows, labels are `(n,)`: `read` makes them from a table's column. A network gives `raw`, `(n, width)`.
An answer is `(n,)` where the task has one output, else `(n, k)` with a column for each of `outputs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError
from runtime_lib.task.metric import Metric

__all__ = ["Kind", "Task", "Watched"]

Kind = Literal["number", "category"]
# A name → of what kind its values are, and the values `(n,)`.
Watched = Mapping[str, tuple[Kind, Array]]


@dataclass(frozen=True)
class Task(ABC):
    """One kind of prediction, with what training has learned of its labels (see `learn`).

    Attributes:
        kind: its name in params.yaml.
        labels: what a label is, for messages: "0 or 1".
        loss: the name of the loss that a network is trained with.
        linear_name: what the linear baseline is called.
        stored: the type of a label in a file: int8, float64 or str.
        flat: whether an answer is one number, `(n,)`.
    """

    kind: ClassVar[str]
    labels: ClassVar[str]
    loss: ClassVar[str]
    linear_name: ClassVar[str] = "linear"
    stored: ClassVar[str] = "float64"
    flat: ClassVar[bool] = True

    # ---------------------------------------------------------------- labels

    @abstractmethod
    def wrong_labels(self, values: Any) -> Array:
        """Where `values` `(n,)` of a column are no labels, as booleans; a missing value is none either."""

    def learn(self, values: Any) -> Task:
        """Return the task with what only the training rows' labels say: classes, a scale.

        Raises:
            DataError: nothing can be learned from these labels.
        """
        return self

    def read(self, values: Any) -> Array:
        """Turn a table's column of labels into what the rest of the task takes, `(n,)`.

        Raises:
            DataError: a label is one that training never saw.
        """
        return np.asarray(values, dtype=np.float64)

    def known(self, values: Any) -> Array:
        """Which labels `read` takes, as booleans `(n,)`."""
        return ~self.wrong_labels(values)

    @abstractmethod
    def target(self, label: Array) -> Array:
        """Labels as the loss takes them: `float32` `(n, 1)`, or class numbers `int64` `(n,)`."""

    def support(self, label: Array) -> int:
        """How many rows a figure on these labels rests on; at 0 nothing can be judged."""
        return len(label)

    def questions(self, label: Array) -> dict[str, Array]:
        """The task as questions of yes and no, for what looks for leaks: what is asked → 0 or 1, `(n,)`."""
        middle = float(np.median(label))
        return {f"a label above {middle:g}": (label > middle).astype(np.int64)}

    def constant(self, label: Array) -> float:
        """A number that stands for these labels: the profile keeps it."""
        return float(np.mean(label))

    # ---------------------------------------------------------------- answers

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Names of the answer's columns, in the log, the profile and the protocols."""

    @property
    def width(self) -> int:
        """Numbers that a network gives for a row."""
        return len(self.outputs)

    @property
    def loss_options(self) -> Mapping[str, Any]:
        """What the loss takes beside outputs and targets."""
        return {}

    @abstractmethod
    def answer(self, raw: Array) -> Array:
        """From a network's outputs `(n, width)` to answers, `float64`."""

    def columns(self, answer: Array) -> dict[str, Array]:
        """The answer by output, each `(n,)`."""
        return dict(zip(self.outputs, answer.reshape(len(answer), -1).T, strict=True))

    def from_columns(self, columns: Mapping[str, Array]) -> Array:
        """The answer from its outputs."""
        found = [np.asarray(columns[name], dtype=np.float64) for name in self.outputs]
        return found[0] if self.flat else np.column_stack(found)

    def watched(self, answer: Array) -> Watched:
        """What monitoring watches of the answers for drift."""
        return {name: ("number", values) for name, values in self.columns(answer).items()}

    def decision(self, label: Array, answer: Array) -> dict[str, float]:
        """What turns an answer into a label, learned on validation rows; empty: nothing needs to be."""
        return {}

    def decide(self, answer: Array, decision: Mapping[str, float]) -> Array | None:
        """The predicted labels, `(n,)`; None where the answer is the label."""
        return None

    def records(self, answer: Array, label: Array | None) -> list[Any]:
        """The answer of each row as JSON: a number, or an object of output → number.

        Args:
            label: of `decide`.
        """
        if self.flat:
            return answer.tolist()  # type: ignore[no-any-return]
        outputs = self.outputs
        return [dict(zip(outputs, row, strict=True)) for row in answer.tolist()]

    def in_its_unit(self, shares: Array, base: Array) -> tuple[Array, Array, str]:
        """What columns add to a raw answer, and what is there without them, in a unit with a name.

        Args:
            shares: `(n, width, columns)`. base: `(n, width)`.
        """
        return shares, base, "log-odds"

    def told(self, answer: Array) -> list[str]:
        """The output that the answer to each row is about, if one is asked for: the middle one."""
        return [self.outputs[len(self.outputs) // 2]] * len(answer)

    def translate(self, answer: Array, other: Task) -> Array:
        """Answers of `other`, a task of this kind with what another training learned, as answers of this one.

        Raises:
            DataError: they cannot be told in this one's outputs.
        """
        if other.outputs != self.outputs:
            raise DataError(f"it answers {', '.join(other.outputs)}, this model {', '.join(self.outputs)}.")
        return answer

    # ---------------------------------------------------------------- how answers are judged

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """By name; the first is for early stopping, and the gate's default."""

    @property
    def metric(self) -> Metric:
        """For early stopping, the naive baseline, importance; the gate's and monitoring's default."""
        return next(iter(self.metrics.values()))

    @property
    def error(self) -> Metric:
        """The metric that is the mean of the rows' own errors, without another row having a part in them."""
        return next(metric for metric in self.metrics.values() if not (metric.best or metric.score))

    def figures(self, label: Array, answer: Array) -> dict[str, float]:
        """Compare answers with what happened.

        Returns:
            Every metric by name, more that only describes, and `rows`.

        Raises:
            DataError: these rows cannot be judged.
        """
        if not len(label):
            raise DataError("There are no rows: nothing can be judged.")
        found = {name: metric.value(label, answer) for name, metric in self.metrics.items()}
        return {**found, **self.described(label, answer), "rows": float(len(label))}

    def described(self, label: Array, answer: Array) -> dict[str, float]:
        """Figures that no decision rests on."""
        return {}

    def curves(self, label: Array, answer: Array) -> dict[str, list[list[float]]]:
        """What is drawn of an answer: a name → a few dozen points from left to right."""
        return {}

    def confusion(self, label: Array, answer: Array, decision: Mapping[str, float]) -> list[list[int]] | None:
        """Rows by what happened and within it by what was decided; None without classes."""
        return None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the rows and columns of `confusion`; empty without classes."""
        return ()

    # ---------------------------------------------------------------- what must be beaten

    @abstractmethod
    def group_answers(self, group: Array, label: Array, groups: int) -> Array:
        """One answer for each of `groups` groups of rows, `(groups,)` or `(groups, k)`.

        A group of a few rows keeps close to the answer for all of them. Args: group: of each row, from 0.
        """

    @abstractmethod
    def linear(self, inputs: Array, label: Array, *, unseen: Array) -> Array:
        """Fit a linear model on encoded rows `(n, width)`; answer for `unseen` `(m, width)`."""

    # ---------------------------------------------------------------- stored

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the kind, and what was written in params.yaml or learned."""
        return {"kind": self.kind, **asdict(self)}
