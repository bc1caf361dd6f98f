"""numpy answers as torch does, to the last digit, and is taken where nothing larger is needed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import ModelError
from runtime_lib.hardware import facts
from runtime_lib.hardware.device import choice
from runtime_lib.hardware.device.choice import choose_to_answer
from runtime_lib.settings import load
from runtime_lib.task.kinds import BINARY
from runtime_lib.task.multiclass import Multiclass
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression
from runtime_lib.training import network as of_network
from runtime_lib.training.build import build, build_numpy, shapes
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.judge import open_model
from runtime_lib.training.model import Model, save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers import network as of_trainer
from runtime_lib.training.trainers.network import FittedNetwork

TASKS = (BINARY, Multiclass(("a", "b", "c")), Regression(3.0, 20.0), Quantile(3.0, 20.0))
COLUMNS = tuple(Column(f"x{place}", "number") for place in range(32))
RNG = np.random.default_rng(8)


def pair(task=BINARY, **options):
    """A network in torch and in numpy, as a server opens them."""
    architecture = Architecture(
        "mlp", {"inputs": 32, "hidden": [64, 32], "outputs": task.width, "dropout": 0.1, **options}
    )
    torch = build(architecture, framework="torch", device="cpu", seed=4, task=task)
    numpy = build_numpy(architecture, task=task)
    numpy.load(torch.weights())
    for each in (torch, numpy):
        each.exact()
    return torch, numpy


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_ten_thousand_rows_have_the_digits_of_torch_alone_and_among_others(task):
    torch, numpy = pair(task)
    inputs = RNG.normal(size=(10_000, 32)).astype(np.float32)
    answers = numpy.predict(inputs)
    assert answers.dtype == np.float64
    assert np.array_equal(answers, torch.predict(inputs))
    for at_once in (1, 16, 333):
        in_pieces = of_network.predict(numpy, inputs[:2_000], at_once=at_once)
        assert np.array_equal(in_pieces, answers[:2_000])


def test_a_network_without_a_hidden_layer_is_one_product():
    torch, numpy = pair(hidden=[])
    inputs = RNG.normal(size=(100, 32)).astype(np.float32)
    assert np.array_equal(numpy.predict(inputs), torch.predict(inputs))


def test_above_a_million_parameters_it_is_single_precision_as_in_torch():
    torch, numpy = pair(hidden=[1_000, 1_000])
    inputs = RNG.normal(size=(50, 32)).astype(np.float32)
    assert np.abs(numpy.predict(inputs) - torch.predict(inputs)).max() < 1e-6
    assert numpy.weights()["layers.1.weight"].nbytes == 4_000_000


def test_names_shapes_and_weights_are_those_of_the_other_twins():
    torch, numpy = pair()
    assert numpy.shapes() == torch.shapes()
    architecture = Architecture("mlp", {"inputs": 32, "hidden": [64, 32]})
    assert numpy.shapes() == shapes(architecture, framework="mlx")
    ours, theirs = numpy.weights(), torch.weights()
    assert all(np.array_equal(ours[name], theirs[name].astype(np.float32)) for name in theirs)
    with pytest.raises(ModelError, match=r"'layers\.0\.bias' is missing"):
        numpy.load({name: value for name, value in ours.items() if name != "layers.0.bias"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project with a small network in it that was trained in torch."""
    root = tmp_path_factory.mktemp("numpy")
    (root / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    rows = check_rows({column.name: RNG.normal(size=500) for column in COLUMNS}, COLUMNS)
    architecture = Architecture("mlp", {"inputs": 32, "hidden": [8]})
    network = build(architecture, framework="torch", device="cpu")
    fitted = FittedNetwork(Encoder.fit(rows, COLUMNS), architecture, network)
    decision, profile = {"threshold": 0.5}, {"format": 1}
    save(root / "model", task=BINARY, columns=COLUMNS, fitted=fitted, decision=decision, profile=profile)
    return root / "model"


@pytest.fixture
def settings(folder):
    return load(folder.parent, environ={})


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine with both frameworks and without a GPU."""
    machine = replace(facts(), platform="linux", machine="x86_64", chip="any", cuda_devices=())
    monkeypatch.setattr(choice, "facts", lambda: machine)
    monkeypatch.setattr(choice, "find_spec", lambda name: True)


@pytest.mark.usefixtures("no_gpu")
def test_a_server_takes_it_for_a_small_network_on_a_cpu_and_a_judge_does_not(settings, folder):
    served = open_model(settings, folder, framework="auto", most_rows=10_000)
    assert (served.framework, served.device) == ("numpy", "cpu")
    assert served.predict_rows == 10_000
    assert open_model(settings, folder, framework="torch").framework == "torch"
    assert (open_model(settings, folder).framework, Model.load(folder).framework) == ("torch", "torch")


@pytest.mark.usefixtures("no_gpu")
def test_a_large_network_stays_with_its_framework_unless_numpy_is_asked_for(settings, folder, monkeypatch):
    monkeypatch.setattr(of_trainer, "MOST_EXACT", 272)  # one less than it has
    assert open_model(settings, folder, framework="auto").framework == "torch"
    assert open_model(settings, folder, framework="numpy").framework == "numpy"


@pytest.mark.usefixtures("no_gpu")
def test_a_network_without_that_twin_stays_with_its_framework(settings, folder, monkeypatch):
    from runtime_lib.training.networks import mlp

    monkeypatch.delattr(mlp, "numpy_network")
    assert open_model(settings, folder, framework="auto").framework == "torch"
    with pytest.raises(ModelError, match=r"'mlp' has no numpy_network\. Write serving.framework"):
        open_model(settings, folder, framework="numpy")


@pytest.mark.usefixtures("no_gpu")
def test_text_that_torch_reads_leaves_the_network_in_torch(settings, folder, monkeypatch):
    def opened(parts, files, *, force_gpu):
        return replace(Encoder.from_dict(parts), transformer=SimpleNamespace())

    monkeypatch.setattr(Encoder, "open", opened)
    assert open_model(settings, folder, framework="auto").framework == "torch"


def test_a_gpu_to_trust_comes_before_it(monkeypatch):
    mac = replace(facts(), platform="darwin", machine="arm64", chip="Apple M4", is_virtual=False)
    monkeypatch.setattr(choice, "facts", lambda: replace(mac, is_translated=False))
    monkeypatch.setattr(choice, "find_spec", lambda name: True)
    for unfit, framework in ((None, "mlx"), ("it computes wrongly", "numpy")):
        choice.choose_device.cache_clear()
        monkeypatch.setattr(choice, "_unfit", lambda device, why=unfit: device.name != "cpu" and why)
        assert choose_to_answer("auto").framework == framework
    choice.choose_device.cache_clear()


def test_it_needs_no_framework_to_be_installed(settings, folder, monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert open_model(settings, folder, framework="auto").framework == "numpy"
