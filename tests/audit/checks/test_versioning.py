"""V1 to V4: code, data, models and parameters."""

from __future__ import annotations

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.project import assess
from runtime_lib.audit.records import CHECKS

TRAIN = "from sklearn.svm import SVC\nSVC().fit(x, y)\n"
OPTION = """
import argparse
from mlflow.sklearn import log_model
parser = argparse.ArgumentParser()
parser.add_argument("--register", action="store_true")
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"


def test_code_in_git(ask, tree):
    assert ask("V1", {"a.py": ""}).verdict == "pass"
    assert ask("V1", {}).verdict == "fail"
    repo = index(tree({"a.py": ""}, commit=False))
    assert CHECKS["V1"].ask(repo, assess(repo)).verdict == "fail"


@pytest.mark.parametrize(
    ("files", "tool"),
    [
        ({"data/x.csv.dvc": "outs:\n- md5: aa\n  path: x.csv\n"}, "dvc"),
        ({"dvc.lock": "stages:\n  a:\n    outs:\n    - path: x\n      md5: bb\n"}, "dvc"),
        ({"dvc.yaml": "stages:\n  a:\n    cmd: x\n    outs: [data/x]\n", ".dvc/config": "[core]\n"}, "dvc"),
        ({"dvc.yaml": "stages:\n  a:\n    cmd: python train.py\n"}, False),
        ({".dvc/config": "[core]\n    remote = x\n"}, False),
        ({"README.md": "We version data with DVC.\n", "requirements.txt": "dvc\n", "data/x.csv": "1"}, False),
        ({".gitattributes": "*.csv filter=lfs diff=lfs merge=lfs -text\n", "data/x.csv": POINTER}, "git-lfs"),
        ({".gitattributes": "data/** filter=lfs\n", "data/a/x.png": POINTER}, "git-lfs"),
        ({".gitattributes": "*.csv filter=lfs\n"}, False),
        ({".gitattributes": "*.png filter=lfs\n", "docs/x.png": POINTER}, False),
        ({".gitattributes": "# *.csv filter=lfs\n", "data/x.csv": "1"}, False),
        ({"a.py": "spark.read.option('versionAsOf', 3).load('x')\n"}, "delta"),
        ({"a.py": "spark.read.format('delta').load('x')\n"}, False),
        ({"a.py": "import lakefs\nlakefs.repository('x')\n"}, "lakefs"),
        ({"a.py": "import pandas as pd\npd.read_csv('lakefs://repo/main/x.csv')\n"}, "lakefs"),
        ({"a.py": "import wandb\nwandb.Artifact('x', type='dataset')\n"}, "wandb"),
        ({"a.py": "import wandb\nwandb.Artifact('x', type='model')\n"}, False),
        ({"a.py": "from clearml import Dataset\nDataset.get(dataset_name='x')\n"}, "clearml"),
        ({"job.yml": "inputs:\n  data:\n    path: azureml:diabetes:3\n"}, "azureml"),
        ({"tests/test_a.py": "import lakefs\nlakefs.repository('x')\n"}, False),
    ],
)
def test_versions_of_data(ask, files, tool):
    found = ask("V2", {"train.py": TRAIN, **files})
    assert found.value == tool
    assert found.verdict == ("pass" if tool else "fail")


@pytest.mark.parametrize(
    ("source", "tool"),
    [
        ("import mlflow\nmlflow.register_model('runs:/1/model', 'x')", "mlflow"),
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model', registered_model_name='x')", "mlflow"),
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model', registered_model_name=None)", False),
        ("import mlflow\nmlflow.sklearn.log_model(m, 'model')", False),
        ("import mlflow\nif False:\n    mlflow.sklearn.log_model(m, 'm', registered_model_name='x')", False),
        (
            OPTION + "if parser.parse_args().register:\n    log_model(m, 'm', registered_model_name='x')",
            False,
        ),
        (OPTION + "log_model(m, 'm', registered_model_name='x')", "mlflow"),
        ("import mlflow\n# mlflow.register_model('runs:/1/model', 'x')", False),
        ("import mlflow\nif False:\n    mlflow.register_model('runs:/1/model', 'x')", False),
        ("from mlflow import MlflowClient\nMlflowClient().create_model_version('x', 's')", "mlflow"),
        ("MODEL_REGISTRY = 'models'\nopen(MODEL_REGISTRY)", False),
        ("from azureml.core import Model\nModel.register(ws, model_path='x')", "azureml"),
        ("from google.cloud import aiplatform\naiplatform.Model.upload(display_name='x')", "vertex"),
        ("import wandb\nrun = wandb.init()\nrun.link_model('x', 'y')", "wandb"),
        ("import wandb\nwandb.log_artifact('x')", False),
        (
            "from transformers import AutoModel\nAutoModel.from_pretrained('x').push_to_hub('y')",
            "huggingface",
        ),
        (
            "from transformers import TrainingArguments\nTrainingArguments('o', push_to_hub=True)",
            "huggingface",
        ),
        ("from transformers import TrainingArguments\nTrainingArguments('o', push_to_hub=False)", False),
    ],
)
def test_registered_models(ask, source, tool):
    found = ask("V3", {"train.py": TRAIN + source + "\n"})
    assert found.value == tool
    assert ask("V3", {"train.py": TRAIN, "tests/test_a.py": source + "\n"}).value is False


YAML = "import yaml\nparams = yaml.safe_load(open({path!r}))\n" + TRAIN
HYDRA = "import hydra\n@hydra.main(config_path='conf', config_name='c')\ndef main(cfg):\n    pass\n" + TRAIN
ARGUMENT = (
    "import argparse\nimport yaml\nparser = argparse.ArgumentParser()\nparser.add_argument('--config')\n"
    "params = yaml.safe_load(open(parser.parse_args().config))\n" + TRAIN
)


@pytest.mark.parametrize(
    ("files", "yes"),
    [
        ({"train.py": YAML.format(path="params.yaml"), "params.yaml": "lr: 0.1\n"}, True),
        ({"train.py": YAML.format(path="params.yaml")}, False),
        ({"train.py": YAML.format(path="other.yaml"), "params.yaml": "lr: 0.1\n"}, False),
        ({"train.py": TRAIN, "params.yaml": "lr: 0.1\n"}, False),
        ({"train.py": YAML.format(path="users.yaml"), "users.yaml": "anna: x\n"}, False),
        ({"train.py": TRAIN + "LR = 0.1\n"}, False),
        ({"train.py": ARGUMENT, "configs/base.yaml": "epochs: 3\n"}, True),
        ({"train.py": ARGUMENT, "configs/base.yaml": "host: x\n"}, False),
        (
            {"train.py": ARGUMENT, "p.yaml": "epochs: 3\n", "Makefile": "a:\n\tpython train.py -c p.yaml\n"},
            True,
        ),
        ({"train.py": HYDRA, "conf/c.yaml": "model:\n  lr: 1\n"}, True),
        ({"train.py": HYDRA.replace("'conf'", "'pkg://a.conf'"), "a/conf/x/y.yaml": "lr: 1\n"}, True),
        ({"train.py": HYDRA}, False),
        (
            {"train.py": TRAIN + "import json\njson.load(open('c.json'))\n", "c.json": '{"batch_size": 3}'},
            True,
        ),
        (
            {"train.py": TRAIN, "b.py": "import yaml\nyaml.safe_load(open('p.yaml'))\n", "p.yaml": "lr: 1\n"},
            False,
        ),
        (
            {
                "train.py": TRAIN,
                "Makefile": "a:\n\tspacy train c.cfg\n",
                "c.cfg": "[training]\ndropout = 1\n",
            },
            True,
        ),
        ({"train.py": TRAIN, "c.yaml": "lr: 1\n", "Makefile": "a:\n\tpython train.py -c c.yaml\n"}, False),
        ({"train.py": TRAIN, "Makefile": "a:\n\tother c.cfg\n", "c.cfg": "[training]\ndropout = 1\n"}, False),
    ],
)
def test_parameters_in_files(ask, files, yes):
    found = ask("V4", files)
    assert found.verdict == ("pass" if yes else "fail"), found.message
