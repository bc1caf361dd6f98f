"""Projects of images and of text, from the copy to training again: digits, and the names of emojis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.test_run import environment, mlops, reports
from tests.support.depth import DEEP
from tests.support.months import replay, serve, train_again, watch

# Six epochs on two months and a small forest: the same path in less time.
SMALL = [
    *("data.last=2024-04", "train.epochs=6", "train.forest.n_estimators=20"),
    "evaluate.linear=false",
]
LAST, LATER = ("2024-05", "2024-06") if DEEP else ("2024-04", "2024-05")


@pytest.fixture(params=["torch", "mlx"] if DEEP else ["torch"])
def framework(request, monkeypatch) -> str:
    for table in ("TRAINING", "SERVING"):
        monkeypatch.setenv(f"MLOPS_{table}__FRAMEWORK", request.param)
    return str(request.param)


@pytest.mark.slow
def test_a_project_of_images_goes_from_the_copy_to_training_again(render, framework):
    project = render(example="images", project_name="digits")
    said = mlops(project, "run", *([] if DEEP else [f"--set={each}" for each in SMALL]))
    assert "Gate: champion" in said
    assert "the same answer for every row 2.30" in said
    report = reports(project)["evaluation"]
    assert report["classes"] == [*"0123456789"]
    assert report["candidate"]["accuracy"] > (0.9 if DEEP else 0.7)
    assert report["suspects"] == []
    page = (project / "reports" / "evaluation.html").read_text()
    assert "· cnn 16-32-64" in page
    assert ">-0." not in page, "no axis of a loss goes below 0"

    requests, labels = replay(project, LATER)
    answers = serve(project, requests, tolerance=1e-6 if framework == "mlx" else 0)
    truth = pd.read_parquet(labels).set_index("id")["label"]
    assert (answers["label"] == truth).mean() > (0.85 if DEEP else 0.6)
    found = watch(project, labels)
    assert found["performance"]["metric"] == "log_loss"
    assert found["performance"]["labelled"] == len(truth) == (297 if DEEP else 300)
    assert found["performance"]["lower"] < found["performance"]["live"] < found["performance"]["upper"]
    [column] = found["columns"]
    assert column["name"] == "picture"
    assert column["change"].startswith("median brightness 0.3")
    if DEEP:
        train_again(project, LATER)


@pytest.mark.slow
def test_a_project_of_images_passes_its_own_tests(render):
    project = render(example="images", project_name="digits", with_orchestration=False)
    which = ["tests"] if DEEP else [f"tests/test_{name}.py" for name in ("unit", "data")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *which]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


# ---------------------------------------------------------------- text

_DATA = '''"""Data: names of emojis in seven languages; the months are made up."""

import random

import pandas as pd

LANGUAGES = ["de", "en", "es", "fr", "id", "it", "pt"]


def load(month):
    import emoji

    emoji.config.load_language()
    rows = [
        (about[language].strip(":").replace("_", " "), language)
        for about in emoji.EMOJI_DATA.values()
        for language in LANGUAGES
        if language in about
    ]
    table = pd.DataFrame(random.Random(0).sample(rows, 6_000), columns=["name", "language"])
    table = table.assign(number=range(len(table)))[(int(month[5:]) - 1) * 1_000 :].head(1_000)
    return table.assign(time=pd.Timestamp(month, tz="UTC") + pd.to_timedelta(table["number"] % 600, unit="h"))


def schema():
    import pandera.pandas as pa

    known = pa.Column(str, pa.Check.isin(LANGUAGES), nullable=True)
    return pa.DataFrameSchema({"name": pa.Column(str), "number": pa.Column(int), "language": known})
'''
_FEATURES = '''"""Features: the name as it is."""


def features(raw):
    return raw[["time", "name"]].assign(id=raw["number"].astype(str))


def label(raw):
    return raw["language"]
'''
_MODEL = '''"""Model: a network, and a linear model."""

from runtime_lib.training.network import Architecture
from runtime_lib.training.trainers.sklearn import Sklearn
from sklearn.linear_model import LogisticRegression


def model(inputs, outputs, params):
    return {
        "network": Architecture("mlp", {"inputs": inputs, "outputs": outputs, **params["network"]}),
        "linear": Sklearn(LogisticRegression(max_iter=300)),
    }
'''
_PARAMS = [
    *("text: []", "text: [name]"),
    *("first: 2000-01", "first: 2024-01"),
    *("last: 2000-01", "last: 2024-05"),
    *("batch_size: 1024", "batch_size: 64"),
    *("learning_rate: 0.0003", "learning_rate: 0.003"),
]


@pytest.fixture
def emojis(render) -> Path:
    """A blank project whose functions somebody has written."""
    project = render(start="blank", task_kind="multiclass", project_name="emojis")
    for name, text in {"data": _DATA, "features": _FEATURES, "model": _MODEL}.items():
        (project / "src" / "emojis" / f"{name}.py").write_text(text)
    params = project / "params.yaml"
    for old, new in zip(_PARAMS[::2], _PARAMS[1::2], strict=True):
        assert params.read_text().count(old) == 1, old
        params.write_text(params.read_text().replace(old, new))
    return project


@pytest.mark.slow
@pytest.mark.skipif(not DEEP, reason="deep: the parts of it are those of images and of tests/training")
def test_a_project_of_text_goes_from_the_copy_to_training_again(emojis, monkeypatch):
    monkeypatch.setenv("MLOPS_TRAINING__FRAMEWORK", "torch")
    monkeypatch.setenv("MLOPS_SERVING__FRAMEWORK", "torch")
    said = mlops(emojis, "run")
    assert "Gate: champion" in said
    report = reports(emojis)["evaluation"]
    assert report["candidate"]["accuracy"] > 0.75
    assert report["naive"]["accuracy"] < 0.2

    requests, labels = emojis / "requests.parquet", emojis / "labels.csv"
    raw = month_of(emojis, "2024-06")
    raw[["time", "name"]].assign(id=raw["number"].astype(str)).to_parquet(requests)
    raw.assign(id=raw["number"], label=raw["language"])[["id", "label"]].to_csv(labels, index=False)
    answers = serve(emojis, requests)
    truth = raw.set_index(raw["number"].astype(str))["language"]
    assert (answers["label"] == truth).mean() > 0.75
    found = watch(emojis, labels)
    assert found["performance"]["labelled"] == 1_000
    assert found["performance"]["held_out"] == report["candidate"]["log_loss"]
    assert not found["performance"]["retrain"]
    assert [column["name"] for column in found["columns"]] == ["name"]
    train_again(emojis, "2024-06")


def month_of(project: Path, month: str) -> pd.DataFrame:
    names: dict = {}
    exec(compile((project / "src" / "emojis" / "data.py").read_text(), "data.py", "exec"), names)
    return names["load"](month)
