"""Text and images from a split to answers over HTTP, and what monitoring and MLflow make of them."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runtime_lib.cli.explain import explain
from runtime_lib.data.columns import check_rows
from runtime_lib.data.images import pixels, storable
from runtime_lib.monitoring.explain import explain_file, explain_served
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.registry.champion import champion
from runtime_lib.registry.promote import promote
from runtime_lib.registry.register import register
from runtime_lib.serving.client import predict_file
from runtime_lib.serving.log import read_predictions
from runtime_lib.settings import Settings, load
from runtime_lib.training.evaluate import evaluate
from runtime_lib.training.model import Model, digest
from runtime_lib.training.network import Architecture
from runtime_lib.training.train import train
from tests.support.projects import free_port
from tests.support.served import Served
from tests.support.servers import running

LANGUAGES = ("de", "en", "es", "fr", "id", "it", "pt")
PARAMS = {"batch_size": 64, "learning_rate": 0.005}


def names() -> pd.DataFrame:
    """Names of emojis, and the language that each is in."""
    import emoji

    emoji.config.load_language()
    rows = [
        (about[language].strip(":").replace("_", " "), language)
        for about in emoji.EMOJI_DATA.values()
        for language in LANGUAGES
        if language in about
    ]
    return pd.DataFrame(random.Random(0).sample(rows, 3_000), columns=["name", "label"])


def digits() -> pd.DataFrame:
    """Printed digits of 8 x 8 pixels; a person says which."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    pictures = (found.images[order] / 16).tolist()
    return pd.DataFrame({"picture": pictures, "label": [f"d{digit}" for digit in found.target[order]]})


def make_project(root: Path, table: pd.DataFrame, kind: str, framework: str) -> Settings:
    (root / "mlops.toml").write_text(
        f'[project]\nname = "flights"\npackage = "flights"\n[training]\nframework = "{framework}"\n'
        f'[serving]\nframework = "{framework}"\nengine = "local"\n'
    )
    (root / "params.yaml").write_text(f"task:\n  kind: multiclass\ninputs:\n  {kind}: [{table.columns[0]}]\n")
    table = table.assign(
        id=[f"row-{row}" for row in range(len(table))], time=pd.Timestamp("2026-01-01", tz="UTC")
    )
    if kind == "image":
        table = storable(table, ["picture"], root)  # as make_features writes it
    ends = [0, int(0.6 * len(table)), int(0.8 * len(table)), len(table)]
    (root / "data" / "split").mkdir(parents=True)
    for part, start, end in zip(("train", "validation", "test"), ends, ends[1:], strict=False):
        table[start:end].reset_index(drop=True).to_parquet(root / "data" / "split" / f"{part}.parquet")
    return load(root, environ={})


@dataclass(frozen=True)
class Flow:
    settings: Settings
    kind: str
    name: str
    folder: Path
    evaluation: dict[str, Any]

    @property
    def test(self) -> pd.DataFrame:
        table = pd.read_parquet(self.settings.split / "test.parquet")
        return (
            table.assign(picture=[pixels(cell).tolist() for cell in table["picture"]])
            if self.images
            else table
        )

    @property
    def images(self) -> bool:
        return self.kind == "image"

    def predict(self, framework: str) -> np.ndarray:
        model = Model.load(self.folder, framework=framework)
        return model.predict(check_rows({self.name: self.test[self.name]}, model.columns))


def model(inputs: int, outputs: int, params: Any) -> Architecture:
    if inputs == 1024:
        return Architecture("mlp", {"inputs": inputs, "outputs": outputs, "hidden": [32]})
    return Architecture("cnn", {"inputs": inputs, "outputs": outputs, "image": [8, 8], "channels": [8, 16]})


@pytest.fixture(scope="module", params=["text", "image"])
def flow(request, tmp_path_factory) -> Flow:
    """Trained, judged and promoted; text by torch, images by MLX."""
    table, framework = (names(), "torch") if request.param == "text" else (digits(), "mlx")
    settings = make_project(tmp_path_factory.mktemp("project"), table, request.param, framework)
    train(settings, model, {"epochs": 4 if request.param == "text" else 8, **PARAMS})
    evaluate(settings, {})
    register(settings)
    assert promote(settings).promoted
    found = champion(settings)
    assert found is not None
    evaluation = json.loads(settings.report("evaluation").read_text())
    return Flow(settings, request.param, table.columns[0], found.folder, evaluation)


def test_it_beats_the_same_answer_for_every_row_clearly(flow):
    found = flow.evaluation
    assert found["candidate"]["accuracy"] > (0.75 if flow.kind == "text" else 0.9)
    assert found["naive"]["accuracy"] < 0.2
    assert found["naive"]["column"] == ""
    assert found["logistic"]["accuracy"] > 0.75
    assert [each["column"] for each in found["importance"]] == [flow.name]
    assert found["importance"][0]["loss"] > 1
    assert found["suspects"] == []


def test_the_other_framework_learns_images_as_well(tmp_path):
    settings = make_project(tmp_path, digits(), "image", "torch")
    train(settings, model, {"epochs": 8, **PARAMS})
    evaluate(settings, {"linear": False})
    found = json.loads(settings.report("evaluation").read_text())
    assert found["candidate"]["accuracy"] > 0.9


def test_the_model_says_its_inputs_by_itself(flow):
    (column,) = json.loads((flow.folder / "config.json").read_text())["columns"]
    more = {"shape": [8, 8], "largest": 1} if flow.kind == "image" else {}
    assert column == {"name": flow.name, "kind": flow.kind, "nullable": False, **more}


def test_both_frameworks_answer_alike_and_so_does_another_process(flow, tmp_path):
    ours = flow.predict("torch")
    assert np.abs(ours - flow.predict("mlx")).max() < 1e-5
    code = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from runtime_lib.data.columns import check_rows
from runtime_lib.training.model import Model
model, table = Model.load(Path(sys.argv[1]), framework="torch"), pd.read_parquet(sys.argv[2])
np.save(sys.argv[3], model.predict(check_rows({c.name: table[c.name] for c in model.columns}, model.columns)))
"""
    test, out = flow.settings.split / "test.parquet", tmp_path / "answers.npy"
    subprocess.run([sys.executable, "-c", code, str(flow.folder), str(test), str(out)], check=True)
    assert np.array_equal(np.load(out), ours)


def test_a_server_answers_every_protocol_and_a_file(flow, tmp_path):
    test, port = flow.test.head(40), free_port()
    values = json.loads(test[flow.name].to_json(orient="values"))
    labels = [f"{label}" for label in Model.load(flow.folder).decide(flow.predict("torch"))[:40]]
    images = flow.images
    with running(flow.settings, flow.folder, port) as server:
        for body in (
            {"inputs": {flow.name: values}},
            {"dataframe_records": [{flow.name: value} for value in values]},
            {"instances": [[value] for value in values]},
        ):
            status, answer = server.ask("/invocations", body)
            assert status == 200, answer
            assert [each["label"] for each in answer["predictions"]] == labels
        tensor = {"name": flow.name, "shape": [40, 8, 8] if images else [40], "data": values}
        tensor["datatype"] = "FP32" if images else "BYTES"
        flat = [pixel for value in values for line in value for pixel in line] if images else values
        for each in (tensor, {**tensor, "data": flat}):
            status, answer = server.ask("/v2/models/flights/infer", {"inputs": [each]})
            assert status == 200, answer
            told = {output["name"]: output["data"] for output in answer["outputs"]}
            assert told["label"] == labels
        for wrong in (
            {"shape": [40, 8, 9]},
            {"shape": [20, 2, 8, 8]},
            {"datatype": "BYTES", "shape": [40, 8, 8]},
        ):
            status, answer = server.ask("/v2/models/flights/infer", {"inputs": [tensor | wrong]})
            assert status == 400, answer
            assert f"ensor '{flow.name}': shape" in answer["error"] or "the image is" in answer["error"]
        (described,) = server.ask("/v2/models/flights")[1]["inputs"]
        assert described == {key: tensor[key] for key in ("name", "datatype")} | {
            "shape": [-1, 8, 8] if images else [-1]
        }
        pd.read_parquet(flow.settings.split / "test.parquet").head(40).to_parquet(tmp_path / "rows.parquet")
        predict_file(server.settings, tmp_path / "rows.parquet", out=tmp_path / "out.parquet", url=server.url)
        assert pd.read_parquet(tmp_path / "out.parquet")["label"].tolist() == labels
        wrong = {"inputs": {flow.name: ["/etc/passwd" if images else 7]}}
        status, answer = server.ask("/invocations", wrong)
        assert status == 400
        assert f"Column '{flow.name}', row 0: " in answer["error"]


@pytest.fixture
def served(flow) -> Flow:
    """All test rows have been answered and logged, with their labels."""
    settings, test = flow.settings, flow.test
    shutil.rmtree(settings.predictions, ignore_errors=True)
    service = Served(settings, flow.folder, name="flights", version="1")
    service.predict({flow.name: test[flow.name].tolist()}, test["id"].tolist())
    service.stop()
    test[["id", "label"]].to_csv(settings.root / "labels.csv", index=False)
    add_labels(settings, settings.root / "labels.csv")
    return flow


def test_the_log_keeps_text_and_of_images_what_tells_them_apart(served):
    logged = read_predictions(served.settings.predictions, version="1")[served.name]
    if served.kind == "text":
        assert set(logged) == set(served.test["name"])
    else:
        assert logged.str.fullmatch(r"8x8 0\.\d+ sha256:[0-9a-f]{64}").all()
        assert logged.nunique() == len(served.test)


def test_monitoring_watches_length_and_brightness_and_finds_skew(served):
    settings, test = served.settings, served.test
    settings.features.mkdir(parents=True, exist_ok=True)
    shutil.copy(settings.split / "test.parquet", settings.features / "2026-01.parquet")
    (column,) = (verdict := monitor(settings)).columns
    assert (column.kind, column.rows) == ("number", len(test))
    assert not column.drifted
    assert column.change.startswith("median brightness 0." if served.images else "median length 2")
    assert verdict.skew.rows == len(test)
    assert verdict.skew.columns == ()
    other = test.assign(**{served.name: [*test[served.name][1:], test[served.name][0]]})
    other.to_parquet(settings.features / "2026-01.parquet")
    (found,) = monitor(settings).skew.columns
    assert (found.name, found.id) == (served.name, test["id"][0])


def test_other_lengths_and_darker_images_are_drift(served):
    test = served.test
    changed = [
        value + " and so on" * 3 if served.kind == "text" else [list(np.array(line) / 3) for line in value]
        for value in test[served.name]
    ]
    service = Served(served.settings, served.folder, name="flights", version="1")
    service.predict({served.name: changed * 2}, [f"{half}{id}" for half in "ab" for id in test["id"]])
    service.stop()
    (column,) = monitor(served.settings).columns
    assert column.drifted
    assert "matters from" in column.reasons[0]


def test_each_is_explained_by_the_answer_without_it(served, tmp_path, monkeypatch, capsys):
    served.test.head(2).to_parquet(tmp_path / "rows.parquet")
    found = explain_file(served.settings, tmp_path / "rows.parquet")
    answer = served.predict("torch")[0]
    best = int(answer.argmax())
    (part,) = found.parts(0, found.found.outputs[best])
    assert part.adds > 0.3
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["outputs"]
    monkeypatch.chdir(served.settings.root)
    explain(file=tmp_path / "rows.parquet")
    out = capsys.readouterr().out
    assert re.search(rf"{served.name} +{re.escape(part.value[:10])}", out), out
    if served.kind == "text":
        assert explain_served(served.settings, [served.test["id"][0]]).found.shares.shape[0] == 1
    else:
        with pytest.raises(ValueError, match=r"keeps no pixels of 'picture'.*--file FILE"):
            explain_served(served.settings, [served.test["id"][0]])


def test_mlflow_loads_it_and_checks_what_it_is_given(flow):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    found = mlflow.pyfunc.load_model("models:/flights/1")
    table = flow.test[[flow.name]].head(3)
    answer = found.predict(table)
    probabilities = [name for name in answer.columns if name != "label"]
    assert np.abs(answer[probabilities].to_numpy() - flow.predict("torch")[:3]).max() < 1e-5
    kind = found.metadata.signature.inputs.inputs[0].type
    assert str(kind) == ("Array(Array(double))" if flow.kind == "image" else "DataType.string")
    with pytest.raises(MlflowException):
        found.predict(pd.DataFrame({flow.name: [1.5]}))


def test_the_digest_is_of_what_lies_there(flow):
    assert digest(flow.folder) == flow.evaluation["digest"]
