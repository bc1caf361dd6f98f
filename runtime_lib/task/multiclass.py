"""One of several classes: a label is a class's name, an answer the probability of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import DataError
from runtime_lib.task.binary import log_loss_rows
from runtime_lib.task.curves import reliability
from runtime_lib.task.metric import Metric
from runtime_lib.task.task import Task, Watched

__all__ = ["Multiclass"]

_ASKED = 10  # classes that are looked at one by one for leaks
_MOST = 1000  # classes; more of them are ids or free text


@dataclass(frozen=True)
class Multiclass(Task):
    """`classes`: those of the training rows, sorted. In arrays a label is a class's place among them."""

    classes: tuple[str, ...] = ()

    kind: ClassVar[str] = "multiclass"
    labels: ClassVar[str] = (
        "the name of a class, as text (numbers have an order: for those, task.kind is regression)"
    )
    flat: ClassVar[bool] = False
    loss: ClassVar[str] = "cross_entropy"
    linear_name: ClassVar[str] = "logistic"
    stored: ClassVar[str] = "str"

    def wrong_labels(self, values: Any) -> Array:
        return np.array([not (isinstance(value, str) and value) for value in values], dtype=bool)

    def learn(self, values: Any) -> Multiclass:
        classes = tuple(sorted({str(value) for value in values}))
        if len(classes) < 2:
            raise DataError(
                f"All training rows have the class {', '.join(classes) or '(none)'}: nothing can be learned."
            )
        if len(classes) > _MOST:
            raise DataError(
                f"The training rows have {len(classes):,} classes, for instance {classes[0]!r}; at most "
                f"{_MOST:,} are taken. Is the label an id?"
            )
        return Multiclass(classes)

    def read(self, values: Any) -> Array:
        place = {name: number for number, name in enumerate(self.classes)}
        found = np.array([place.get(value, -1) for value in values], dtype=np.int64)
        if (unknown := np.flatnonzero(found < 0)).size:
            value = list(values)[int(unknown[0])]
            raise DataError(
                f"The label in row {unknown[0]} is {value!r}, a class that the training months do not have "
                f"({', '.join(self.classes[:8])}{', …' if len(self.classes) > 8 else ''}). Train on months "
                f"that have it, or let label() name it otherwise."
            )
        return found

    def known(self, values: Any) -> Array:
        return np.isin(np.asarray(values, dtype=object), self.classes)

    def target(self, label: Array) -> Array:
        return np.asarray(label, dtype=np.int64)

    def questions(self, label: Array) -> dict[str, Array]:
        """Each of the commonest classes against the rest."""
        common = np.argsort(-np.bincount(label, minlength=len(self.classes)), kind="stable")[:_ASKED]
        return {f"the class {self.classes[c]}": (label == c).astype(np.int64) for c in common}

    def constant(self, label: Array) -> float:
        """The share of the commonest class."""
        return float(np.bincount(label, minlength=len(self.classes)).max() / len(label))

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"probability.{name}" for name in self.classes)

    def answer(self, raw: Array) -> Array:
        """From logits to probabilities."""
        shifted = np.asarray(raw, dtype=np.float64) - raw.max(axis=1, keepdims=True)
        powers = np.exp(shifted)
        answer: Array = powers / powers.sum(axis=1, keepdims=True)
        return answer

    def watched(self, answer: Array) -> Watched:
        """The class of each row: a number of columns that does not grow with the classes."""
        return {"label": ("category", self.decide(answer, {}))}

    def decide(self, answer: Array, decision: Mapping[str, float]) -> Array:
        """The name of the likeliest class."""
        names: Array = np.array(self.classes, dtype=object)[answer.argmax(axis=1)]
        return names

    def records(self, answer: Array, label: Array | None) -> list[Any]:
        """`{"label": the likeliest class, "probability": {class: number}}`."""
        names = self.decide(answer, {}) if label is None else label
        return [
            {"label": name, "probability": dict(zip(self.classes, row, strict=True))}
            for name, row in zip(names, answer.tolist(), strict=True)
        ]

    def told(self, answer: Array) -> list[str]:
        """That of the likeliest class."""
        return [self.outputs[place] for place in answer.argmax(axis=1)]

    def in_its_unit(self, shares: Array, base: Array) -> tuple[Array, Array, str]:
        """Scores above their mean: what all classes gain alike changes no probability.

        They add up to the centred log-ratio, log p less the mean of all classes' log p (Aitchison 1982, JRSS
        B 44:139-177).
        """
        unit = "the log of the class's probability, above the mean of all classes' logs"
        return (
            shares - shares.mean(axis=1, keepdims=True),
            base - base.mean(axis=1, keepdims=True),
            unit,
        )

    def translate(self, answer: Array, other: Task) -> Array:
        """Of the same classes only: a model is certain, and wrong, about a class that it does not know."""
        if other.outputs != self.outputs:
            theirs, ours = (", ".join(each.class_names) for each in (other, self))
            raise DataError(f"its classes are {theirs}, this model's {ours}.")
        return answer

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return _METRICS

    def described(self, label: Array, answer: Array) -> dict[str, float]:
        """The share of each class's rows that were found."""
        right = answer.argmax(axis=1) == label
        here = np.bincount(label, minlength=len(self.classes))
        found = np.bincount(label, weights=right, minlength=len(self.classes))
        return {
            f"recall.{name}": float(found[place] / here[place])
            for place, name in enumerate(self.classes)
            if here[place]
        }

    def curves(self, label: Array, answer: Array) -> dict[str, list[list[float]]]:
        """`calibration`: probability of the likeliest class, and how often it was that one."""
        return {
            "calibration": reliability(answer.max(axis=1), (answer.argmax(axis=1) == label).astype(float))
        }

    def confusion(self, label: Array, answer: Array, decision: Mapping[str, float]) -> list[list[int]]:
        size = len(self.classes)
        cells = np.bincount(label * size + answer.argmax(axis=1), minlength=size**2)
        return [[int(count) for count in line] for line in cells.reshape(size, size)]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    def group_answers(self, group: Array, label: Array, groups: int) -> Array:
        """Shares of the classes; a pseudo-row at the overall shares keeps a tiny group from 0 or 1."""
        size = len(self.classes)
        counts = np.bincount(group * size + label, minlength=groups * size).reshape(groups, size)
        whole = np.bincount(label, minlength=size) / len(label)
        shares: Array = (counts + whole) / (counts.sum(axis=1, keepdims=True) + 1)
        return shares

    def linear(self, inputs: Array, label: Array, *, unseen: Array) -> Array:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(max_iter=300).fit(inputs, label)
        answers = np.zeros((len(unseen), len(self.classes)))
        answers[:, fitted.classes_] = fitted.predict_proba(unseen)
        return answers


def _right_rows(label: Array, answer: Array) -> Array:
    rows: Array = (answer.argmax(axis=1) == label).astype(np.float64)
    return rows


def _balanced(label: Array, answer: Array) -> float:
    return float(_recalls(label, answer)[1].mean())


def _balanced_rows(label: Array, answer: Array) -> Array:
    """Each row's share of the mean recall of the classes that occur."""
    here, recalls = _recalls(label, answer)
    place = np.searchsorted(here, label)
    count = np.bincount(place)
    weight = len(label) / (len(here) * count[place])
    rows: Array = recalls.mean() + weight * (_right_rows(label, answer) - recalls[place])
    return rows


def _recalls(label: Array, answer: Array) -> tuple[Array, Array]:
    here, place, count = np.unique(label, return_inverse=True, return_counts=True)
    return here, np.bincount(place, weights=_right_rows(label, answer)) / count


_METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("log_loss", "log loss", 0, log_loss_rows),
        Metric("accuracy", "accuracy", 1, _right_rows),
        Metric("balanced_accuracy", "balanced accuracy", 1, _balanced_rows, _balanced),
    )
}
