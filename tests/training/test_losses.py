"""Each task's loss is the same in both frameworks: the same steps give the same loss and answers."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_lib.errors import ModelError
from runtime_lib.hardware import Device
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from runtime_lib.training.fit import fit_network, network_for
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainer import FitParams

RNG = np.random.default_rng(12)
ROWS = 500
INPUTS = RNG.normal(size=(ROWS, 6)).astype("float32")
SIGNAL = INPUTS[:, 0] * INPUTS[:, 1] + 0.3 * RNG.normal(size=ROWS)
BATCHES = [np.arange(start, min(start + 64, ROWS)) for start in range(0, ROWS, 64)]
NUMBER = 100 + 10 * SIGNAL
TASKS = {
    "binary": (BINARY, (SIGNAL > 0).astype("float32")),
    "multiclass": (Multiclass(("early", "late", "on time")), np.digitize(SIGNAL, [-0.5, 0.5])),
    "regression": (Regression().learn(NUMBER), NUMBER),
    "quantile": (Quantile(levels=(0.1, 0.5, 0.9)).learn(NUMBER), NUMBER),
}
KINDS = pytest.mark.parametrize("kind", TASKS)


def network(framework, task, *, outputs=None, learning_rate=0.01):
    options = {"inputs": 6, "outputs": outputs or task.width, "hidden": [16], "dropout": 0.0}
    params, device = FitParams(learning_rate=learning_rate), Device(framework, "cpu", "test")
    return network_for(Architecture("mlp", options), task=task, params=params, device=device)


@KINDS
def test_the_same_steps_give_the_same_loss_and_answers(kind):
    task, label = TASKS[kind]
    torch, mlx = (network(framework, task, learning_rate=1e-3) for framework in ("torch", "mlx"))
    mlx.load(torch.weights())
    for _ in range(3):
        losses = [net.train_epoch(INPUTS, label, batches=BATCHES) for net in (torch, mlx)]
        assert abs(losses[0] - losses[1]) <= 1e-5, losses
    scale = getattr(task, "scale", 1.0)  # answers of numbers are in their own unit
    assert np.abs(torch.predict(INPUTS) - mlx.predict(INPUTS)).max() <= 1e-5 * scale


@KINDS
@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_pieces_of_a_batch_take_the_step_of_the_whole_batch(framework, kind):
    task, label = TASKS[kind]
    whole, cut = network(framework, task), network(framework, task)
    cut.load(whole.weights())
    losses = [
        net.train_epoch(INPUTS, label, batches=BATCHES, at_once=rows)
        for net, rows in ((whole, None), (cut, 13))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in whole.weights().items():
        assert np.abs(value - cut.weights()[name]).max() < 1e-5, name


@KINDS
@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_the_loss_is_what_the_task_says(framework, kind):
    """One batch without a step that counts: the loss of the answers that the network has."""
    task, label = TASKS[kind]
    net = network(framework, task, learning_rate=1e-12)
    answer = net.predict(INPUTS)
    loss = net.train_epoch(INPUTS, label, batches=[np.arange(ROWS)])
    if kind == "regression":
        off = np.abs(label - answer) / task.scale
        wanted = np.where(off < 1, off**2 / 2, off - 0.5).mean()
    elif kind == "quantile":
        raw = task.figures(label, answer)["pinball"] / task.scale
        assert loss >= raw - 1e-5, "the loss is taken before crossed quantiles change places"
        wanted = loss if loss < raw * 1.2 else raw
    else:
        wanted = task.figures(label, answer)["log_loss"]
    assert loss == pytest.approx(wanted, rel=1e-4)


@KINDS
@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_what_is_learned_is_better_than_the_same_for_every_row(framework, kind):
    task, label = TASKS[kind]
    net, seen = network(framework, task, learning_rate=0.02), []
    fit_network(
        net,
        (INPUTS, label),
        (INPUTS, label),
        task=task,
        params=FitParams(epochs=25, patience=25, batch_size=64, learning_rate=0.02),
        on_epoch=lambda epoch, figures: seen.append(figures),
    )
    whole = task.group_answers(np.zeros(ROWS, dtype=int), label, 1)
    gain = task.metric.compare(label, net.predict(INPUTS), np.repeat(whole, ROWS, axis=0))
    assert gain.lower > 0.2
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]


@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_before_the_classes_are_known_there_may_be_any_number(framework):
    """As in a project's own test of its network, which sees no labels."""
    answers = network(framework, Multiclass(), outputs=5).predict(INPUTS)
    assert answers.shape == (ROWS, 5)
    assert answers.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(("kind", "outputs"), [("multiclass", 1), ("quantile", 1), ("binary", 2)])
@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_a_network_of_other_outputs_is_refused_before_it_is_trained(framework, kind, outputs):
    task, label = TASKS[kind]
    net = network(framework, task, outputs=outputs)
    before, seen = net.weights(), []
    with pytest.raises(ModelError, match=rf"outputs of shape \[{outputs}\].*{kind} task needs {task.width}"):
        fit_network(
            net,
            (INPUTS, label),
            (INPUTS, label),
            task=task,
            params=FitParams(),
            on_epoch=lambda *told: seen.append(told),
        )
    assert seen == []
    assert all((value == before[name]).all() for name, value in net.weights().items())
