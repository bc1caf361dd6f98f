"""A network of the project's own with a step of its own: our loop, its loss, which no server needs."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from runtime_lib.errors import ModelError
from runtime_lib.settings import load
from runtime_lib.training.model import Model
from runtime_lib.training.network import Architecture
from tests.training.trainers.conftest import INPUTS, fit, make_project, make_table

NETWORKS = """
from runtime_lib.training.networks.mlp import mlx_network, torch_network
"""
SAME = """
def torch_step(network, inputs, target):
    from torch.nn import functional
    return functional.binary_cross_entropy_with_logits(network(inputs), target)

def mlx_step(network, inputs, target):
    import mlx.nn as nn
    return nn.losses.binary_cross_entropy(network(inputs), target, with_logits=True)
"""
# A miss costs five times a false alarm.
WEIGHTED = """
def torch_step(network, inputs, target):
    from torch.nn import functional
    return functional.binary_cross_entropy_with_logits(network(inputs), target, weight=1 + 4 * target)

def mlx_step(network, inputs, target):
    import mlx.nn as nn
    return nn.losses.binary_cross_entropy(
        network(inputs), target, weights=1 + 4 * target, with_logits=True, reduction="mean"
    )
"""
EACH_ROW = """
def torch_step(network, inputs, target):
    return (network(inputs) - target) ** 2

mlx_step = torch_step
"""
NOTHING = """
def torch_step(network, inputs, target):
    pass

mlx_step = torch_step
"""
PARAMS = {"epochs": 3, "batch_size": 128, "learning_rate": 0.01}


@pytest.fixture(params=["torch", "mlx"])
def write(request, tmp_path, monkeypatch):
    """Write the project's module anew; return how to fit it."""
    settings = make_project("binary", tmp_path)
    (tmp_path / "mlops.toml").write_text(
        f'[project]\nname = "demo"\npackage = "own_demo"\n[training]\nframework = "{request.param}"\n'
    )
    settings = load(tmp_path, environ={})
    package = tmp_path / "src" / "own_demo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)

    def write(step):
        for name in ("own_demo", "own_demo.trained"):
            sys.modules.pop(name, None)
        (package / "trained.py").write_text(NETWORKS + step)
        importlib.invalidate_caches()

        def run(**params):
            # Encoded: the distance and its flag, three carriers, the noise.
            made = {"inputs": 6, "hidden": [8], "outputs": 1}
            return fit(settings, Architecture("own_demo.trained", made), **PARAMS, **params)

        return run

    yield write
    for name in ("own_demo", "own_demo.trained"):
        sys.modules.pop(name, None)


def rows(found):
    from runtime_lib.data.columns import check_rows

    table = make_table("binary", 9, 300)[INPUTS]
    return check_rows({name: table[name] for name in INPUTS}, found.prepared.columns)


def test_the_tasks_loss_as_a_step_gives_the_same_network(write):
    plain, own = write("")(), write(SAME)()
    assert own.predict(rows(own)) == pytest.approx(plain.predict(rows(plain)), abs=1e-6)


def test_its_own_loss_is_what_is_learned(write):
    plain, own = write("")(), write(WEIGHTED)()
    assert own.predict(rows(own)).mean() > plain.predict(rows(plain)).mean() + 0.1
    assert own.figures["roc_auc"] > 0.8
    assert own.fit.fitted.importance() is own.fit.fitted.contributions(rows(own)) is None


def test_a_server_needs_the_network_and_not_the_step(write, tmp_path):
    own = write(WEIGHTED)()
    own.save(tmp_path / "model")
    write("")
    model = Model.load(tmp_path / "model", framework=own.fit.fitted.framework, trusted=["own_demo"])
    assert model.predict(rows(own)) == pytest.approx(own.predict(rows(own)), abs=1e-6)
    with pytest.raises(ModelError, match="not trusted"):
        Model.load(tmp_path / "model", framework=own.fit.fitted.framework)


@pytest.mark.parametrize(("step", "found"), [(EACH_ROW, "an array of 2 axes"), (NOTHING, "None")])
def test_a_step_that_gives_no_mean_is_refused(write, step, found):
    with pytest.raises(ModelError, match=f"_step must return the mean loss of the rows, .* returned {found}"):
        write(step)()


def test_batches_in_parts_take_the_same_steps(write, monkeypatch):
    """As long as the step gives a mean."""
    from runtime_lib.training.hold import plan_for
    from runtime_lib.training.trainers import network

    own = write(WEIGHTED)
    whole = own()

    def halved(*given, **how):
        from dataclasses import replace

        return replace(plan_for(*given, **how), micro_batches=2)

    monkeypatch.setattr(network, "plan_for", halved)
    parts = own()
    assert parts.kept.plan.micro_batch == 64
    assert parts.predict(rows(parts)) == pytest.approx(whole.predict(rows(whole)), abs=1e-5)
    assert np.isfinite(parts.figures["log_loss"])
