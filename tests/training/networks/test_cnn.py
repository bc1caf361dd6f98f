"""The convolutional network: equal in both frameworks, and able to see where something is."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_lib.errors import ModelError
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.training.build import build, shapes
from runtime_lib.training.network import Architecture, Optimizer

TASK = Multiclass(("left", "middle", "right"))


def architecture(**options) -> Architecture:
    given = {"inputs": 3 + 7 * 8 * 2, "outputs": 3, "image": [7, 8, 2], "channels": [4, 6], "hidden": [5]}
    return Architecture("cnn", given | options)


def twins(of: Architecture):
    optimizer = Optimizer(1e-2, 1e-4)
    return [
        build(of, framework=name, device="cpu", seed=seed, optimizer=optimizer, task=TASK)
        for seed, name in enumerate(("torch", "mlx"))
    ]


@pytest.fixture
def rows():
    random = np.random.default_rng(5)
    inputs = random.random((90, 3 + 7 * 8 * 2), dtype=np.float32)
    # Large areas of one value: there, every position of a pooling window is as large as the others.
    inputs[:, 3:][inputs[:, 3:] < 0.7] = 0
    return inputs, random.integers(0, 3, 90)


def test_parameters_have_the_same_names_shapes_and_order_of_axes():
    expected = {
        "convolutions.0.weight": (4, 3, 3, 2),
        "convolutions.0.bias": (4,),
        "convolutions.1.weight": (6, 3, 3, 4),
        "convolutions.1.bias": (6,),
        "layers.0.weight": (5, 3 + 1 * 2 * 6),
        "layers.0.bias": (5,),
        "layers.1.weight": (3, 5),
        "layers.1.bias": (3,),
    }
    for network, framework in zip(twins(architecture()), ("torch", "mlx"), strict=True):
        assert network.shapes() == expected == shapes(architecture(), framework=framework)


def test_twins_answer_alike_before_and_after_the_same_steps(rows):
    inputs, label = rows
    torch, mlx = twins(architecture())
    torch.load(mlx.weights())
    assert np.abs(torch.predict(inputs) - mlx.predict(inputs)).max() < 1e-6
    batches = [np.arange(start, 90, 3) for start in range(3)]
    losses = [each.train_epoch(inputs, label, batches=batches) for each in (torch, mlx) for _ in range(4)]
    assert losses[:4] == pytest.approx(losses[4:], abs=1e-5)
    assert losses[3] < losses[0]
    assert np.abs(torch.predict(inputs) - mlx.predict(inputs)).max() < 1e-5


@pytest.mark.parametrize("place", [0, 1])
def test_it_sees_the_other_columns_and_the_image(rows, place):
    inputs, _ = rows
    changed = inputs.copy()
    changed[:, [1, 60][place]] += 3
    for network in twins(architecture()):
        assert np.abs(network.predict(changed) - network.predict(inputs)).max() > 1e-3


def test_an_image_alone_of_one_channel_without_a_third_axis():
    one = architecture(inputs=56, image=[7, 8])
    for network in twins(one):
        assert network.predict(np.zeros((2, 56), dtype=np.float32)).shape == (2, 3)


@pytest.mark.parametrize("framework", ["torch", "mlx"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": [7, 8, 3]}, "7 x 8 x 3 is 168 columns, and the encoded inputs are 115"),
        ({"image": [7]}, r"image = \[7\]; it is \[height, width\]"),
        ({"channels": [4, 4, 4]}, "3 convolutions halve an image of 7 x 8 to nothing"),
    ],
)
def test_what_cannot_be_built_is_refused(framework, options, message):
    with pytest.raises(ModelError, match=message):
        shapes(architecture(**options), framework=framework)


def test_a_plan_counts_every_position_of_a_convolution():
    of = architecture()
    first, second, linear = 7 * 8 * 4, 3 * 4 * 6, 5 + 3
    assert of.units(()) == first + second + linear
    assert Architecture("mlp", {"inputs": 3, "hidden": [4]}).units(()) is None
