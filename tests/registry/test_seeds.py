"""Another seed makes no champion, and a gain of the size in the settings does: whole series of decisions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.hardware import Device
from runtime_lib.registry.gate import Other, judge
from runtime_lib.settings import Registry
from runtime_lib.task.binary import Binary
from runtime_lib.task.metric import Gain
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import fit_network, network_for
from runtime_lib.training.network import Architecture, predict
from runtime_lib.training.trainer import FitParams
from tests.support.depth import examples

KINDS = ("binary", "multiclass", "regression", "quantile")
RULES = Registry()
TRAIN, HELD_OUT = 8_000, 40_000
COLUMNS = tuple(Column(f"x{place}", "number") for place in range(6))


def table(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and a number that a straight line cannot follow, with as much noise as signal."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, len(COLUMNS)))
    signal = x[:, 0] + np.abs(x[:, 1]) - x[:, 2] * x[:, 3]
    return x, signal + 2 * random.normal(size=rows)


def labelled(kind: str, number: np.ndarray):
    if kind == "binary":
        return Binary(), (number > 1).astype("float32")
    if kind == "multiclass":
        names = np.select([number < -1, number < 2], ["low", "middle"], "high").astype(object)
        task = Multiclass().learn(names)
        return task, task.read(names)
    return (Regression() if kind == "regression" else Quantile()).learn(number), number


@cache
def data(kind: str):
    (x, number), (x_test, number_test) = table(1, TRAIN + 2_000), table(2, HELD_OUT)
    task, label = labelled(kind, number)
    _, label_test = labelled(kind, number_test)
    rows = {column.name: x[:, place] for place, column in enumerate(COLUMNS)}
    encoder = Encoder.fit(rows, COLUMNS)
    test = {column.name: x_test[:, place] for place, column in enumerate(COLUMNS)}
    return task, encoder.encode(rows), label, encoder.encode(test), label_test


def answered(kind: str, seed: int) -> np.ndarray:
    """The held-out answers of the same model, trained with this seed."""
    task, inputs, label, test, _ = data(kind)
    params = FitParams(seed=seed, epochs=12, patience=2, batch_size=256, learning_rate=0.003)
    architecture = Architecture("mlp", {"inputs": 6, "outputs": task.width, "hidden": [32]})
    network = network_for(architecture, task=task, params=params, device=Device("torch", "cpu", "test"))
    fit_network(
        network,
        (inputs[:TRAIN], label[:TRAIN]),
        (inputs[TRAIN:], label[TRAIN:]),
        task=task,
        params=params,
        on_epoch=lambda epoch, figures: None,
    )
    return predict(network, test)


def passes(task, label, answer, champion) -> bool:
    metric = task.metric
    baseline = Other({metric.name: metric.value(label, champion), "rate": 0.5}, Gain(1.0, 0.0))
    beside = Other(task.figures(label, champion), metric.compare(label, answer, champion))
    rules = Registry(min_gain_over_baseline=0.0)
    return judge(metric, task.figures(label, answer), baseline, beside, rules).promoted


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_only_trained_again_does_not_replace_the_champion(kind):
    task, _, _, _, label = data(kind)
    count = examples(small=6, deep=200)
    champion = answered(kind, 1)
    changed = sum(passes(task, label, answered(kind, seed), champion) for seed in range(2, 2 + count))
    assert changed <= 0.05 * count


def planted(kind: str, seed: int, noise: float) -> tuple[object, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the answers of a model that knows most of what can be known, and of one with more noise."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=HELD_OUT)
    number = signal + random.normal(size=HELD_OUT)
    task, label = labelled(kind, number * 3)
    better = signal + 0.3 * random.normal(size=HELD_OUT)
    return (
        task,
        label,
        _said(kind, task, better),
        _said(kind, task, better + noise * random.normal(size=HELD_OUT)),
    )


def _said(kind: str, task, signal: np.ndarray) -> np.ndarray:
    expected = 3 * signal
    if kind == "binary":
        return 1 / (1 + np.exp(-expected))
    if kind == "multiclass":
        return task.answer(np.column_stack([expected, -expected, np.ones(len(expected))])[:, : task.width])
    if kind == "quantile":
        return expected[:, None] + np.array([-4.0, 0.0, 4.0])
    return expected


def noise_for(kind: str) -> float:
    """How much noise costs exactly the gain in the settings, on rows enough to know it."""
    low, high = 0.0, 2.0
    for _ in range(12):
        middle = (low + high) / 2
        gains = []
        for seed in range(examples(small=8, deep=100)):
            task, label, better, worse = planted(kind, 10_000 + seed, middle)
            metric = task.metric
            gains.append(metric.margin(metric.value(label, better), metric.value(label, worse)))
        low, high = (middle, high) if np.mean(gains) < RULES.min_gain_over_incumbent else (low, middle)
    return high


@pytest.mark.parametrize("kind", KINDS)
def test_a_gain_of_the_size_in_the_settings_is_told(kind):
    count, noise = examples(small=20, deep=200), noise_for(kind)
    passed = sum(passes(*planted(kind, seed, noise)) for seed in range(count))
    assert passed >= 0.9 * count
