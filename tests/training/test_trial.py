"""A training loads its tables only once it holds its share, and a trial of it leaves no trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from runtime_lib.errors import DataError, ModelError, SettingsError
from runtime_lib.hardware.share.lease import holders, lease
from runtime_lib.settings import load
from runtime_lib.tracking.record import record_folder, spool_folder
from runtime_lib.training.build import shapes
from runtime_lib.training.evaluate import evaluate, side_by_side
from runtime_lib.training.model import Model, digest
from runtime_lib.training.network import Architecture
from runtime_lib.training.prepare import prepare
from runtime_lib.training.train import train
from runtime_lib.training.trial import load_split, trial
from tests.registry.conftest import make_table, write_split

PARAMS = {"seed": 1, "epochs": 4, "learning_rate": 0.02, "batch_size": 64, "network": {"hidden": [8]}}
TRAIN = """
from runtime_lib.settings import load
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train

train(load(), lambda width, options: Architecture("mlp", {"inputs": width, "hidden": [8]}), {"epochs": 1})
"""


def model(width, options):
    return Architecture("mlp", {"inputs": width, **options})


@pytest.fixture(params=["torch", "mlx"])
def settings(request, tmp_path):
    (tmp_path / "mlops.toml").write_text(
        f'[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "{request.param}"\n'
    )
    write_split(tmp_path)
    return load(tmp_path, environ={})


def split_file(settings, part):
    return settings.root / "data" / "split" / f"{part}.parquet"


def change(settings, part, **columns):
    path = split_file(settings, part)
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_the_best_epoch_is_kept_not_the_last(settings):
    """A learning rate this high makes the network worse again."""
    seen = []
    wild = {**PARAMS, "epochs": 12, "patience": 12, "learning_rate": 2.0}
    found = trial(settings, model, wild, on_epoch=lambda _, figures: seen.append(figures))
    scores = [figures["validation_roc_auc"] for figures in seen]
    assert scores[-1] < max(scores) - 0.01
    assert found.figures["roc_auc"] == pytest.approx(max(scores))


def test_trials_differ_by_their_parameters_and_leave_no_trace(settings):
    train(settings, model, PARAMS)
    before = digest(settings.candidate), record_folder(settings).stat().st_mtime_ns
    spooled = sorted(spool_folder(settings).iterdir())
    seen = []
    weak = trial(settings, model, {**PARAMS, "epochs": 1, "learning_rate": 1e-5})
    good = trial(settings, model, PARAMS, on_epoch=lambda epoch, figures: seen.append(epoch))
    assert good.figures["roc_auc"] > weak.figures["roc_auc"] + 0.05
    assert seen == [1, 2, 3, 4]
    assert (digest(settings.candidate), record_folder(settings).stat().st_mtime_ns) == before
    assert sorted(spool_folder(settings).iterdir()) == spooled
    assert not (settings.root / "mlruns").exists()


def test_the_model_of_a_trial_is_the_one_that_train_saves(settings, tmp_path):
    train(settings, model, PARAMS)
    done = trial(settings, model, PARAMS)
    done.save(tmp_path / "mine")
    assert digest(tmp_path / "mine") == digest(settings.candidate)
    rows = load_split(settings, done.prepared).validation
    loaded = Model.load(tmp_path / "mine", framework=settings.training.framework)
    assert done.predict(rows) == pytest.approx(loaded.predict(rows))


def test_a_trial_refuses_what_train_refuses(settings):
    with pytest.raises(SettingsError, match="epoch"):
        trial(settings, model, {**PARAMS, "epoch": 3})


def test_what_is_planned_is_what_is_trained(settings):
    change(settings, "train", kind=pd.Categorical(["a", "b", None, "c"] * 150), flag=np.arange(600) % 2 == 0)
    change(settings, "validation", flag=True, n=[np.nan, *range(599)])
    prepared = prepare(settings, model, PARAMS)
    assert {c.name for c in prepared.columns if c.nullable} == {"x", "kind", "n"}
    done = trial(settings, model, PARAMS)
    assert done.prepared == prepared
    assert done.fit.fitted.encoder.width == prepared.table.width == 2 + 2 + 3 + 1
    [candidate] = prepared.candidates
    planned = shapes(candidate.trainer.architecture, framework=settings.training.framework)
    assert planned == done.fit.fitted.network.shapes()
    assert len(load_split(settings, prepared).train_label) == prepared.table.rows


def test_a_table_that_changed_while_the_training_waited_is_refused(settings):
    prepared = prepare(settings, model, PARAMS)
    make_table(500, 0).to_parquet(split_file(settings, "train"))
    with pytest.raises(DataError, match=r"500 rows, 600 were planned for.*Run again"):
        load_split(settings, prepared)


def test_training_does_not_look_at_the_test_months(settings):
    split_file(settings, "test").unlink()
    train(settings, model, PARAMS)
    assert settings.candidate.is_dir()


def test_a_value_missing_only_in_the_test_months_is_judged_and_reported(settings, capsys):
    change(settings, "test", n=[np.nan] * 7 + [1] * 593, kind=[None, None, *["a"] * 598])
    train(settings, model, PARAMS)
    columns = {column.name: column for column in Model.load(settings.candidate).columns}
    assert (columns["x"].nullable, columns["n"].nullable, columns["kind"].nullable) == (True, False, False)
    evaluate(settings, {})
    said = capsys.readouterr().out
    assert "'n' is missing in 7 of 600 rows of the test months and in none of the months before" in said
    assert "'kind' is missing in 2 of 600 rows" in said
    assert "'x' is missing" not in said
    assert (settings.reports / "evaluation.json").is_file()
    line = side_by_side(settings)
    assert re.fullmatch(
        r"Held-out roc_auc: model 0\.\d{4}, logistic regression 0\.\d{4}, best column 0\.\d{4} \(\w+\)\.",
        line,
    ), line


@pytest.mark.parametrize(
    ("made", "named"), [(None, "nothing"), ({"trees": 5}, "a int under 'trees'"), ([], "a list")]
)
def test_a_model_that_is_no_network_is_told_what_it_must_be(settings, made, named):
    with pytest.raises(ModelError, match=rf"model\(\) returned {named}; it must return an Architecture"):
        train(settings, lambda width, options: made, PARAMS)
    assert not settings.candidate.exists()


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_LEASES", str(tmp_path / "leases"))


def test_a_training_that_waits_for_the_machine_has_loaded_no_table(leases, tmp_path):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    write_split(tmp_path)
    # Not a part of the lease held here.
    environ = {key: value for key, value in os.environ.items() if key != "MLOPS_LEASES_HELD"}
    with lease(memory=1.0, gpu=1.0, project="other"):
        waiting = subprocess.Popen(
            [sys.executable, "-c", TRAIN], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while len(holders()) < 2:
            assert waiting.poll() is None, waiting.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for part in ("train", "validation"):
            (tmp_path / "data" / "split" / f"{part}.parquet").unlink()
    _, said = waiting.communicate(timeout=60)
    assert "There is no file" in said, said
    assert waiting.returncode == 1
    assert not (tmp_path / "var" / "spool").exists(), "a run began before there was data for it"


# Prints by how much the process grows: to prepare a training, and then to load its tables; in bytes.
GROWTH = """
import sys
from pathlib import Path
from runtime_lib.settings import load
from runtime_lib.training.network import Architecture
from runtime_lib.training.prepare import prepare
from runtime_lib.training.trial import load_split

def memory(name):
    [line] = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) * 1024

def model(width, options):
    return Architecture("mlp", {"inputs": width, "hidden": [4000, 4000]})

small, large = (load(Path(folder), environ={}) for folder in sys.argv[1:])
load_split(small, prepare(small, model, {}))
before = memory("VmRSS")
prepared = prepare(large, model, {})
print(memory("VmHWM") - before)
load_split(large, prepared)
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("framework", ["torch", "mlx"])
def test_preparing_takes_a_fraction_of_what_is_then_loaded(tmp_path, framework):
    rows = 300_000
    random = np.random.default_rng(0)
    for name, repeat in (("small", 100), ("large", rows)):
        folder = tmp_path / name
        (folder / "data" / "split").mkdir(parents=True)
        (folder / "mlops.toml").write_text(
            f'[project]\nname = "demo"\npackage = "demo"\n[training]\nframework = "{framework}"\n'
        )
        table = pd.DataFrame({f"x{place}": random.normal(size=repeat) for place in range(12)})
        table = table.assign(kind=random.choice(["a", "b"], repeat), label=0, id="", time=0)
        for part in ("train", "validation"):
            table.to_parquet(folder / "data" / "split" / f"{part}.parquet")
    command = [sys.executable, "-c", GROWTH, tmp_path / "small", tmp_path / "large"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    prepared, loaded = map(int, done.stdout.split())
    # The network's weights alone would be 61 MiB.
    assert prepared < 40 * 2**20, prepared
    assert loaded > 5 * prepared, (prepared, loaded)
