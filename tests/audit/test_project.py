"""What a repository is: its kind, what trains, serves and tests in it, how predictions get out."""

from __future__ import annotations

import json

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.project import assess

TRAIN = """
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    def train(x, y):
        return RandomForestClassifier().fit(x, y)
    """
STARTED = "\n    train([], [])\n"
APP = """
    import joblib
    from fastapi import FastAPI

    app = FastAPI()
    model = joblib.load("model.joblib")

    @app.post("/predict")
    def predict(rows: list):
        return model.predict(rows).tolist()
    """
PACKAGE = """
    [build-system]
    requires = ["hatchling"]
    [project]
    name = "nearest-things"
    version = "1.0"
    """


def book(*cells: str) -> str:
    code = [
        {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}
        for cell in cells
    ]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def project(tree):
    return lambda files: assess(index(tree(files)))


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("project", {"train.py": TRAIN}),
        ("project", {"README.md": "# Nothing\n", "a.py": "x = 1\n"}),
        ("template", {"cookiecutter.json": "{}", "{{cookiecutter.name}}/train.py": TRAIN}),
        ("template", {"copier.yml": "name: str\n", "template/train.py": TRAIN}),
        ("docs", {"README.md": "# Awesome MLOps\n", "papers.md": "* [a](https://a.example)\n"}),
        ("library", {"pyproject.toml": PACKAGE, "nearest/__init__.py": "def fit():\n    return 1\n"}),
        # A package, but one that trains its own model from its own data.
        (
            "project",
            {
                "pyproject.toml": PACKAGE,
                "nearest/__init__.py": "",
                "nearest/model.py": TRAIN,
                "train.py": "from nearest.model import train\ntrain([], [])\n",
            },
        ),
        (
            "course",
            {
                "README.md": "# MLOps course\nLectures and homework.\n",
                **{f"week-{n}/README.md": f"# Week {n}\n" for n in (1, 2, 3)},
                "week-1/a.py": "x = 1\n",
            },
        ),
        # Notebooks of a project are numbered too.
        (
            "project",
            {"README.md": "# Flights\n", **{f"notebooks/0{n}-eda.ipynb": book("x = 1") for n in range(5)}},
        ),
    ],
)
def test_its_kind(project, kind, files):
    assert project(files).kind == kind


def test_a_library_is_known_by_how_it_is_published(project):
    files = {
        "pyproject.toml": PACKAGE,
        "nearest/__init__.py": "",
        "nearest/model.py": TRAIN + '\n    if __name__ == "__main__":\n        train([], [])\n',
        "examples/train.py": "from nearest.model import train\ntrain([], [])\n",
        "README.md": "# Nearest\n\n    pip install nearest-things\n",
        ".github/workflows/release.yml": """
            on: {release: {types: [published]}}
            jobs:
              publish:
                runs-on: x
                steps:
                  - uses: pypa/gh-action-pypi-publish@release/v1
            """,
    }
    found = project(files)
    assert (found.kind, found.targets) == ("library", ("library",))


def test_a_library_may_offer_a_pipeline_tool_to_others(project):
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='many', classifiers=['Topic :: Software'])\n",
        "many/__init__.py": "",
        "many/airflow.py": "from airflow import DAG\nDAG('a')\n",
        **{f"many/part{n}.py": "x = 1\n" for n in range(30)},
    }
    assert project(files).kind == "library"
    few = {path: text for path, text in files.items() if "part" not in path}
    assert project(few).kind == "project"


def test_a_generator_of_projects_is_a_template(project):
    files = {
        "pyproject.toml": PACKAGE,
        "nearest/__init__.py": "",
        **{f"nearest/templates/{name}.py.j2": "x = {{ y }}\n" for name in ("train", "serve", "data")},
    }
    assert project(files).kind == "template"


def test_torch_that_only_converts_is_no_framework(project):
    convert = "import torch\n\ntorch.onnx.export(torch.load('a.pt'), torch.zeros(1), 'a.onnx')\n"
    found = project({"export_onnx.py": convert, "train.py": TRAIN + STARTED})
    assert found.frameworks == ("scikit-learn",)
    assert project({"a.py": "import torch\nx = torch.from_numpy(1)\n"}).frameworks == ()


@pytest.mark.parametrize(
    ("framework", "source"),
    [
        ("pytorch", "import torch\n\nclass Net(torch.nn.Module):\n    pass\n"),
        ("lightning", "import lightning.pytorch as pl\n\nclass Net(pl.LightningModule):\n    pass\n"),
        ("tensorflow", "import tensorflow as tf\nmodel = tf.keras.Sequential([])\n"),
        ("xgboost", "import xgboost as xgb\nxgb.train({}, None)\n"),
        (
            "spark-ml",
            "from pyspark.ml.classification import LogisticRegression\nLogisticRegression().fit(1)\n",
        ),
    ],
)
def test_frameworks_by_what_is_called_and_derived(project, framework, source):
    assert project({"train.py": source}).frameworks == (framework,)
    assert project({"tests/test_a.py": source}).frameworks == ()


def test_frameworks_that_a_configuration_or_the_dependencies_name(project):
    conf = "model:\n  _target_: catboost.CatBoostClassifier\n"
    assert project({"conf/model.yaml": conf, "train.py": "x = 1\n"}).frameworks == ("catboost",)
    assert project({"app.py": APP, "requirements.txt": "scikit-learn\nfastapi\n"}).frameworks == (
        "scikit-learn",
    )


def test_the_share_of_notebooks_is_of_lines_that_are_not_blank(project):
    found = project({"a.ipynb": book("x = 1\n\ny = 2", "z = 3"), "b.py": "x = 1\n\n\n# y\n"})
    assert found.notebook_share == pytest.approx(3 / 5)
    assert project({"b.py": "x = 1\n"}).notebook_share == 0


def test_training_is_what_something_starts(project):
    inside = {"pkg/__init__.py": "", "pkg/model.py": TRAIN}
    test = {"tests/test_model.py": "from pkg.model import train\n\n\ndef test_it():\n    train([], [])\n"}
    assert project({**inside, **test}).training == set()
    script = {"run.py": "from pkg.model import train\n\nif __name__ == '__main__':\n    train([], [])\n"}
    assert project({**inside, **script}).training == {"pkg/model.py"}
    assert project({**inside, "dvc.yaml": "stages:\n  t:\n    cmd: python -m pkg.model\n"}).training
    assert project({**inside, "Makefile": "train:\n\tpython pkg/model.py\n"}).training
    assert project({**inside, "a.ipynb": book("from pkg.model import train\ntrain(1, 2)")}).training


@pytest.mark.parametrize(
    ("trains", "source"),
    [
        (True, "import torch\nloss = torch.nn.functional.mse_loss(1, 2)\nloss.backward()\n"),
        (True, "import lightgbm\nlightgbm.train({}, None)\n"),
        (True, "from transformers import Trainer\ntrainer = Trainer()\ntrainer.train()\n"),
        (True, "from ultralytics import YOLO\nYOLO('a.pt').train(data='x')\n"),
        (False, "import torch\nmodel = torch.load('a')\nmodel.train()\n"),
        (False, "from sklearn.preprocessing import StandardScaler\nStandardScaler().fit([[1]])\n"),
        (False, "from scipy.optimize import minimize\nminimize(f, 1)\n"),
        (False, "import subprocess\nsubprocess.run(['train'])\n"),
    ],
)
def test_what_training_is(project, trains, source):
    assert bool(project({"work.py": source}).training) is trains


def test_a_file_test_py_that_runs_a_model_is_no_test(project):
    files = {
        "test.py": "import joblib\njoblib.load('m').predict([[1]])\n",
        "test_utils.py": "def helper():\n    pass\n",
        "test_real.py": "def test_a():\n    assert 1\n",
        "pkg/tests/conftest.py": "x = 1\n",
        "case_test.py": "import unittest\n\nclass A(unittest.TestCase):\n    pass\n",
    }
    assert project(files).tests == {"test_real.py", "pkg/tests/conftest.py", "case_test.py"}


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("api", {"app.py": APP}),
        (
            "api",
            {"app.py": "import flask\n\nimport model\n", "model.py": "import joblib\nm = joblib.load('a')\n"},
        ),
        ("api", {"k8s/model.yaml": "kind: InferenceService\n", "train.py": TRAIN}),
        ("api", {"Dockerfile": "FROM tensorflow/serving:2\n", "train.py": TRAIN}),
        (
            "managed-endpoint",
            {"deploy.py": "from sagemaker.sklearn import SKLearnModel\nSKLearnModel(1).deploy(1)\n"},
        ),
        (
            "streaming",
            {"a.py": "from kafka import KafkaConsumer\nfor x in KafkaConsumer('t'):\n    m.predict(x)\n"},
        ),
        ("embedded", {"a.py": "import tensorflow as tf\ntf.lite.TFLiteConverter.from_keras_model(1)\n"}),
        ("batch", {"predict.py": "import joblib\njoblib.load('m').predict([[1]])\n"}),
        ("cli", {"predict.py": "import argparse\n\nargparse.ArgumentParser()\nmodel.predict([[1]])\n"}),
        ("none", {"train.py": TRAIN + STARTED}),
        ("none", {"a.ipynb": book("from sklearn.svm import SVC\nSVC().fit(1, 2)")}),
        # A web page without a model, beside one that is trained.
        ("none", {"app.py": "import flask\napp = flask.Flask('a')\n", "train.py": TRAIN + STARTED}),
    ],
)
def test_how_predictions_get_out(project, target, files):
    assert target in project(files).targets
    assert (project(files).targets == ("none",)) is (target == "none")


def test_a_service_is_in_production_once_it_is_packed_and_ci_runs(project):
    ci = "on: [push]\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: pytest\n"
    files = {"app.py": APP, "Dockerfile": "FROM python\n", ".github/workflows/ci.yml": ci}
    assert project(files).stage == "production"
    assert project({"app.py": APP}).stage == "development"
    assert project({"a.ipynb": book("x = 1")}).stage == "exploration"


def test_an_empty_repository_is_described_too(project):
    found = project({})
    assert (found.kind, found.ml, found.targets, found.frameworks) == ("project", False, ("none",), ())


def test_folders_of_weeks_are_a_course_without_a_word_of_it(project):
    weeks = {f"week_{n}_topic/train.py": TRAIN for n in range(4)}
    assert project({"README.md": "# Basics\n", **weeks}).kind == "course"
    parts = {f"part_{n}/train.py": TRAIN for n in range(4)}
    assert project({"README.md": "# Basics\n", **parts}).kind == "project"


def test_a_step_that_has_a_platform_train_is_machine_learning(project):
    source = (
        "from stepfunctions import steps\nfrom stepfunctions.workflow import Workflow\nWorkflow('w', %s)\n"
    )
    assert project({"p.py": source % "steps.Chain([steps.TrainingStep('t')])"}).ml
    assert not project({"p.py": source % "steps.Chain([steps.Pass('t')])"}).ml
