"""A transformer's embedding from params.yaml to answers over HTTP, and what a changed file comes to."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sklearn.linear_model import LogisticRegression

from runtime_lib.data.columns import check_rows
from runtime_lib.errors import CapacityError, ModelError
from runtime_lib.registry.champion import champion
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.settings import Hardware, Settings, load
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.model import Model, digest
from runtime_lib.training.network import Architecture
from runtime_lib.training.prepare import prepare
from runtime_lib.training.train import train
from runtime_lib.training.trainers.sklearn import Sklearn
from runtime_lib.training.trial import trial
from tests.support.projects import free_port
from tests.support.servers import running
from tests.support.small_bert import write_bert

LANGUAGES = ("de", "en", "es", "pt")
PARAMS = {"batch_size": 64, "learning_rate": 0.01, "epochs": 6}
FILES = ["text.config.json", "text.model.safetensors", "text.tokenizer.json"]


def names() -> pd.DataFrame:
    """Names of emojis, the language that each is in, and how long it is; some names are missing or empty."""
    import emoji

    emoji.config.load_language()
    rows = [
        (about[language].strip(":").replace("_", " "), language)
        for about in emoji.EMOJI_DATA.values()
        for language in LANGUAGES
        if language in about
    ]
    rows = list(dict(random.Random(0).sample(rows, len(rows))).items())[:1_200]  # no name twice
    table = pd.DataFrame(rows, columns=["name", "label"])
    table["length"] = table["name"].str.len().astype(float)
    table.loc[[3, 800, 1_100], "name"] = None
    table.loc[[4, 801, 1_101], "name"] = ""
    return table


def make_project(root: Path, framework: str = "torch", **transformer: Any) -> Settings:
    (root / "mlops.toml").write_text(
        f'[project]\nname = "names"\npackage = "names"\n[training]\nframework = "{framework}"\n'
        f'[serving]\nframework = "{framework}"\nengine = "local"\n'
    )
    table = names()
    write_bert(root / "bert", table["name"].dropna())
    inputs = {"text": ["name"], "transformer": {"folder": "bert", **transformer}}
    (root / "params.yaml").write_text(json.dumps({"task": {"kind": "multiclass"}, "inputs": inputs}))
    table = table.assign(
        id=[f"row-{row}" for row in range(len(table))], time=pd.Timestamp("2026-01-01", tz="UTC")
    )
    (root / "data" / "split").mkdir(parents=True)
    ends = [0, 800, 1_000, 1_200]
    for part, start, end in zip(("train", "validation", "test"), ends, ends[1:], strict=False):
        table[start:end].reset_index(drop=True).to_parquet(root / "data" / "split" / f"{part}.parquet")
    return load(root, environ={})


def model(inputs: int, outputs: int, params: Any) -> Any:
    assert inputs == 64 + 1 + 1  # the embedding, whether it is missing, and the length
    return {
        "network": Architecture("mlp", {"inputs": inputs, "outputs": outputs, "hidden": [32]}),
        "sklearn": Sklearn(LogisticRegression()),
    }


@dataclass(frozen=True)
class Flow:
    settings: Settings
    folder: Path
    evaluation: dict[str, Any]

    @property
    def test(self) -> pd.DataFrame:
        return pd.read_parquet(self.settings.split / "test.parquet")

    def predict(self, framework: str = "torch") -> np.ndarray:
        model = Model.load(self.folder, framework=framework)
        return model.predict(check_rows(self.test[["name", "length"]], model.columns))


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> Flow:
    settings = make_project(tmp_path_factory.mktemp("project"), tokens=24)
    train(settings, model, PARAMS)
    evaluate(settings, {})
    register(settings)
    assert promote(settings).promoted
    found = champion(settings)
    assert found is not None
    # All that a server needs is in the model's folder.
    shutil.rmtree(settings.root / "bert")
    return Flow(settings, found.folder, json.loads(settings.report("evaluation").read_text()))


def test_it_learns_from_the_embedding_and_so_does_the_linear_baseline(flow):
    found = flow.evaluation
    assert found["naive"]["accuracy"] < 0.45
    assert found["candidate"]["accuracy"] > 0.55
    assert found["logistic"]["accuracy"] > 0.55
    assert found["importance"][0]["column"] == "name"


def test_the_model_holds_the_transformer_in_its_list_of_files(flow):
    config = json.loads((flow.folder / "config.json").read_text())
    assert [name for name in config["files"] if name.startswith("text.")] == FILES
    part = next(part for part in config["stored"]["encoder"] if part["name"] == "name")
    assert part == {
        "kind": "embedded",
        "name": "name",
        "flag": True,
        "size": 64,
        "tokens": 24,
        "source": "bert",
    }
    assert digest(flow.folder) == flow.evaluation["digest"]


def test_the_other_framework_answers_alike(flow):
    assert np.abs(flow.predict() - flow.predict("mlx")).max() < 1e-5


def test_mlflow_answers_alike(flow):
    import mlflow.pyfunc

    answer = mlflow.pyfunc.load_model("models:/names/1").predict(flow.test[["name", "length"]])
    probabilities = answer[[name for name in answer.columns if name != "label"]].to_numpy()
    assert np.abs(probabilities - flow.predict()).max() < 1e-6


def test_a_server_answers_alike_without_the_folder_it_was_trained_with(flow):
    """In a process of its own, many rows and one alone."""
    rows = json.loads(flow.test[["name", "length"]].head(20).to_json(orient="records"))
    with running(flow.settings, flow.folder, free_port()) as server:
        answers = [server.ask("/invocations", {"dataframe_records": each}) for each in (rows, rows[3:4])]
    assert [status for status, _ in answers] == [200, 200], answers
    many, one = ([list(each["probability"].values()) for each in a["predictions"]] for _, a in answers)
    assert np.abs(np.array(many) - flow.predict()[:20]).max() < 1e-6
    assert np.abs(np.array(one) - many[3]).max() < 1e-6


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused_before_it_is_read(flow, tmp_path, name, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(flow.folder, folder)
    content = bytearray((folder / name).read_bytes())
    content[-20] ^= 1
    (folder / name).write_bytes(content)
    monkeypatch.setattr("runtime_lib.training.encoder.Encoder.open", None)
    with pytest.raises(ModelError, match=rf"{name} is damaged: its sha256 is"):
        Model.load(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} cannot be read"):
        digest(folder)


@pytest.fixture(scope="module")
def on_mlx(tmp_path_factory) -> Settings:
    return make_project(tmp_path_factory.mktemp("mlx"), "mlx")


def test_a_network_in_mlx_is_trained_on_what_torch_reads(on_mlx, capsys):
    prepared = prepare(on_mlx, model, PARAMS)
    assert prepared.described()["transformer"] == "bert"
    assert prepared.table.transformer.tokens == 48  # all that it takes
    assert prepared.table.transformer.plan.device.framework == "torch"
    assert "more for the transformer bert" in prepared.plans[0].reasons[-1]
    train(on_mlx, lambda *sizes: model(*sizes)["network"], PARAMS)
    assert "Training with mlx" in capsys.readouterr().out
    evaluate(on_mlx, {"linear": False})
    found = json.loads(on_mlx.report("evaluation").read_text())
    assert found["candidate"]["accuracy"] > 0.55


def test_an_estimator_is_stored_with_it_too(on_mlx, tmp_path):
    done = trial(on_mlx, lambda *sizes: model(*sizes)["sklearn"], PARAMS)
    done.save(tmp_path / "model")
    stored, table = Model.load(tmp_path / "model"), pd.read_parquet(on_mlx.split / "test.parquet")
    rows = check_rows(table[["name", "length"]], stored.columns)
    assert np.abs(stored.predict(rows) - done.predict(rows)).max() < 1e-6


def test_what_does_not_fit_beside_the_model_is_refused(on_mlx):
    prepared = prepare(on_mlx, model, PARAMS)
    least = max(plan.memory_bytes for plan in prepared.plans)
    little = replace(on_mlx, hardware=Hardware(memory_gib=(least - 2**20) / 2**30))
    with pytest.raises(
        CapacityError, match=r"more for the transformer bert, and .*hardware\.memory_gib"
    ) as told:
        prepare(little, model, PARAMS)
    assert 0 < told.value.missing_bytes <= 2**20
