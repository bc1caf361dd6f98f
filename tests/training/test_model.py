"""One model folder, two frameworks: equal answers, and nothing that is damaged or not trusted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.hardware import Device
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.fit import fit_network, network_for
from runtime_lib.training.model import Model, digest, save
from runtime_lib.training.network import Architecture
from runtime_lib.training.trainer import Fit, FitParams
from runtime_lib.training.trainers.network import FittedNetwork

COLUMNS = (Column("x", "number"), Column("y", "number", nullable=True), Column("c", "category"))
RNG = np.random.default_rng(3)
N = 600


@pytest.fixture(scope="module")
def rows():
    return check_rows(
        {
            "x": RNG.normal(size=N),
            "y": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(size=N)),
            "c": RNG.choice(["a", "b", "c"], N),
        },
        COLUMNS,
    )


@pytest.fixture(scope="module", params=["torch", "mlx"])
def trained(request, rows, tmp_path_factory):
    """A model trained in one of the frameworks on a rule that a straight line cannot follow."""
    label = ((rows["x"] * np.nan_to_num(rows["y"])) > 0).astype("float32")
    encoder = Encoder.fit(rows, COLUMNS)
    inputs = encoder.encode(rows)
    architecture = Architecture("mlp", {"inputs": encoder.width, "hidden": [16, 8], "dropout": 0.1})
    seen = []
    params = FitParams(epochs=30, patience=30, batch_size=64, learning_rate=0.01)
    device = Device(request.param, "cpu", "test")
    network = network_for(architecture, task=BINARY, params=params, device=device)
    epoch, epochs, answer = fit_network(
        network,
        (inputs, label),
        (inputs, label),
        task=BINARY,
        params=params,
        on_epoch=lambda epoch, figures: seen.append((epoch, figures)),
    )
    folder = tmp_path_factory.mktemp(request.param) / "model"
    fitted = FittedNetwork(encoder, architecture, network)
    decision = {"threshold": 0.5}
    save(folder, task=BINARY, columns=COLUMNS, fitted=fitted, decision=decision, profile={"format": 1})
    return folder, Fit(fitted, epoch, epochs, answer), seen


def test_training_learns_the_rule_and_tells_each_epoch(trained):
    _, _, seen = trained
    assert [epoch for epoch, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1]["validation_roc_auc"] > 0.9 > seen[0][1]["validation_roc_auc"]
    assert seen[-1][1]["train_loss"] < seen[0][1]["train_loss"]


def test_the_best_epoch_is_kept(trained):
    _, fit, seen = trained
    assert fit.epoch == max(seen, key=lambda item: item[1]["validation_roc_auc"])[0]


def test_both_frameworks_give_the_same_answer(trained, rows):
    folder, fit, _ = trained
    answers = [Model.load(folder, framework=name).predict(rows) for name in ("torch", "mlx")]
    assert np.abs(answers[0] - answers[1]).max() <= 1e-5
    assert np.abs(answers[0] - fit.answer).max() <= 1e-5


def test_a_category_never_seen_is_no_error(trained, rows):
    folder, _, _ = trained
    unseen = {**rows, "c": np.array(["z"] * N, dtype=object)}
    assert np.isfinite(Model.load(folder).predict(unseen)).all()


def test_the_digest_follows_every_file(trained, tmp_path):
    import shutil

    folder, _, _ = trained
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert digest(copy) == digest(folder)
    change(copy, decision={"threshold": 0.1})
    assert digest(copy) != digest(folder)
    for name in ("profile.json", "model.safetensors"):
        (copy / name).write_text("{}")
        with pytest.raises(ModelError, match=f"{name} is damaged"):
            digest(copy)
        shutil.copy(folder / name, copy / name)


@pytest.fixture
def copy(trained, tmp_path):
    import shutil

    return shutil.copytree(trained[0], tmp_path / "copy")


def change(folder, stored=None, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **fields, "stored": {**config["stored"], **(stored or {})}}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stored": {"architecture": "os.path"}}, "'os.path' is not trusted"),
        ({"stored": {"architecture": "runtime_lib.training.networks.rnn"}}, "does not exist"),
        ({"stored": {"options": {"inputs": 5, "hidden": [16, 9]}}}, "shape"),
        ({"stored": {"options": {"depth": 5}}}, "cannot be built"),
        ({"format": 99}, "format 99; this library reads 1 to 2"),
        ({"task": {"kind": "survival"}}, "'survival'; this library knows binary"),
        ({"trainer": "forest"}, "forest"),
        ({"files": {"../model.safetensors": "0"}}, "none of a model's"),
        ({"files": {"config.json": "0"}}, "none of a model's"),
        ({"columns": "all"}, "damaged"),
    ],
)
def test_a_tampered_config_is_refused(copy, fields, named):
    change(copy, **fields)
    with pytest.raises(ModelError, match=named):
        Model.load(copy)


def test_an_architecture_of_the_project_must_be_trusted(copy, tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "net.py").write_text("from runtime_lib.training.networks.mlp import *\n")
    monkeypatch.syspath_prepend(tmp_path)
    change(copy, stored={"architecture": "theirs.net"})
    with pytest.raises(ModelError, match="not trusted"):
        Model.load(copy, framework="torch")
    assert Model.load(copy, framework="torch", trusted=["theirs"]).framework == "torch"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", None])
def test_a_damaged_or_missing_file_is_refused(copy, name, content):
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=name.partition(".")[0]):
        Model.load(copy)


def test_unknown_parameters_are_refused():
    with pytest.raises(SettingsError, match="Did you mean 'epochs'"):
        FitParams.read({"epoch": 3})
    with pytest.raises(SettingsError, match="learning_rate"):
        FitParams.read({"learning_rate": -1})
