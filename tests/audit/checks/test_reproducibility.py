"""R1 to R5: seeds, locks, Python, and whether a model can be made again."""

from __future__ import annotations

import pytest

SPLIT = "from sklearn.model_selection import train_test_split\n"
FOREST = "from sklearn.ensemble import RandomForestClassifier\n"
FOREST_1 = "RandomForestClassifier(random_state=1).fit(x, y)\n"
TORCH = """
import torch
from torch import nn

def main({parameters}):
    {seed}
    net = nn.Linear(3, 1)
    best = torch.optim.Adam(net.parameters())
    for x, y in batches:
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        best.step()

{before}
if __name__ == "__main__":
    main({arguments})
"""


def torch_with(seed="pass", *, before="", parameters="", arguments=""):
    return TORCH.format(seed=seed, before=before, parameters=parameters, arguments=arguments)


ARGS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--seed', type=int{default})
args = parser.parse_args()
"""
NUMPY = "import numpy as np\n    np.random.shuffle(batches)"
LIGHTNING = "import pytorch_lightning as pl\n    pl.seed_everything(42)\n    "
NET = "m = keras.Sequential([])\nm.compile()\nm.fit(x, y)"
FIXED = "train_test_split(x, random_state=1)\n"


@pytest.mark.parametrize(
    ("source", "grade"),
    [
        (SPLIT + FOREST + FIXED + "RandomForestClassifier(random_state=2).fit(x, y)", "yes"),
        (SPLIT + FOREST + FIXED + "RandomForestClassifier().fit(x, y)", "partial"),
        (SPLIT + FOREST + "train_test_split(x)\nRandomForestClassifier().fit(x, y)", "no"),
        (SPLIT + FOREST + "train_test_split(x, shuffle=False)\nRandomForestClassifier().fit(x, y)", "no"),
        (SPLIT + FOREST + "train_test_split(x, shuffle=False)\n" + FOREST_1, "yes"),
        (FOREST + "RandomForestClassifier(random_state=None).fit(x, y)", "no"),
        (FOREST + "SEED = 3\nRandomForestClassifier(random_state=SEED).fit(x, y)", "yes"),
        (FOREST + "SEED = None\nRandomForestClassifier(random_state=SEED).fit(x, y)", "no"),
        (FOREST + "import random\nRandomForestClassifier(random_state=random.randint(0, 9)).fit(x, y)", "no"),
        (FOREST + "import time\nRandomForestClassifier(random_state=time.time()).fit(x, y)", "no"),
        (FOREST + "import numpy as np\nnp.random.seed(1)\nRandomForestClassifier().fit(x, y)", "yes"),
        (FOREST + "# np.random.seed(1)\nRandomForestClassifier().fit(x, y)", "no"),
        (FOREST + "PARAMS = {'random_state': 1}\nRandomForestClassifier(**PARAMS).fit(x, y)", "yes"),
        (FOREST + "PARAMS = {'max_depth': 1}\nRandomForestClassifier(**PARAMS).fit(x, y)", "no"),
        (FOREST + "def f():\n    p = {'random_state': 1}\n    RandomForestClassifier(**p).fit(x)", "yes"),
        (FOREST + FOREST_1 + "import numpy as np\nnp.random.rand(3)", "partial"),
        ("from sklearn.linear_model import LinearRegression\nLinearRegression().fit(x, y)", "no"),
        ("from sklearn.svm import SVC\nSVC(probability=True).fit(x, y)", "no"),
        ("import xgboost as xgb\nxgb.XGBClassifier(subsample=0.5).fit(x, y)", "no"),
        ("import xgboost as xgb\nxgb.train({'subsample': 0.5, 'seed': 1}, x)", "yes"),
        ("import lightgbm as lgb\nlgb.train({'bagging_fraction': 0.5}, x)", "no"),
        (SPLIT + FIXED + "import xgboost as xgb\nxgb.XGBClassifier().fit(x, y)", "yes"),
        (torch_with(), "no"),
        (torch_with("torch.manual_seed(0)"), "yes"),
        (torch_with("import random\n    random.seed(0)"), "partial"),
        (torch_with("torch.manual_seed(seed)", parameters="seed=4"), "yes"),
        (torch_with("torch.manual_seed(seed)", parameters="seed=None"), "no"),
        (torch_with("torch.manual_seed(seed)", parameters="seed", arguments="7"), "yes"),
        (torch_with("torch.manual_seed(args.seed)", before=ARGS.format(default=", default=1")), "yes"),
        (torch_with("torch.manual_seed(args.seed)", before=ARGS.format(default="")), "no"),
        (torch_with("if False:\n        torch.manual_seed(0)"), "no"),
        (torch_with(before="def never():\n    torch.manual_seed(0)\n"), "no"),
        (torch_with(before="def fix():\n    torch.manual_seed(0)\n\nfix()\n"), "yes"),
        (torch_with("torch.manual_seed(0)\n    " + NUMPY), "partial"),
        (torch_with(LIGHTNING + NUMPY), "yes"),
        ("import tensorflow as tf\nfrom tensorflow import keras\ntf.random.set_seed(1)\n" + NET, "yes"),
        ("from tensorflow import keras\n" + NET, "no"),
        ("import keras\nkeras.utils.set_random_seed(1)\n" + NET, "yes"),
        ("from transformers import Trainer\nTrainer(model, arguments).train()", "yes"),
        (torch_with("from timm import utils\n    utils.random_seed(3, 0)"), "yes"),
        ("import jax\nkey = jax.random.PRNGKey(0)\njax.grad(f)(key)", "yes"),
    ],
)  # fmt: skip
def test_seeds(ask, source, grade):
    found = ask("R1", {"train.py": source})
    assert found.value == grade, found.message
    if found.verdict != "n/a":
        assert found.verdict == {"yes": "pass", "partial": "partial", "no": "fail"}[grade]


def test_a_seed_may_stand_in_what_starts_the_training(ask):
    model = torch_with().replace('if __name__ == "__main__":\n    main()\n', "")
    start = (
        "from model import main\nfrom utils import fix\n\nif __name__ == '__main__':\n    fix()\n    main()\n"
    )
    utils = "import torch\n\ndef fix(seed=1):\n    torch.manual_seed(seed)\n"
    files = {"model.py": model, "main.py": start, "utils.py": utils}
    assert ask("R1", files).value == "yes"
    assert ask("R1", {**files, "main.py": start.replace("    fix()\n", "")}).value == "no"


def test_a_seed_of_a_configuration_counts_if_it_is_set(ask):
    source = torch_with(
        "torch.manual_seed(config['seed'])", before="import yaml\nconfig = yaml.safe_load(open('c.yaml'))\n"
    )
    assert ask("R1", {"train.py": source, "c.yaml": "seed: 3\n"}).value == "yes"
    assert ask("R1", {"train.py": source, "c.yaml": "seed: null\n"}).value == "no"


def test_scripts_that_differ_are_partial_and_tests_do_not_count(ask):
    good = FOREST + "RandomForestClassifier(random_state=1).fit(x, y)\n"
    bad = FOREST + "RandomForestClassifier().fit(x, y)\n"
    assert ask("R1", {"a.py": good, "b.py": bad}).value == "partial"
    assert ask("R1", {"a.py": good, "tests/test_a.py": bad}).value == "yes"
    assert ask("R1", {"a.py": "x = 1\n"}).verdict == "n/a"


FREEZE = "certifi==2023\nidna==3\nurllib3==2\nrequests==2.31\ncharset-normalizer==3\n"
PINS = "numpy==1.26.0\npandas==2.0.0\n"
UV = '[[package]]\nname = "numpy"\nversion = "1.26.0"\n'
PROJECT = '[project]\nname = "x"\ndependencies = ["numpy{spec}"]\n'


@pytest.mark.parametrize(
    ("files", "grade"),
    [
        ({"a.py": ""}, "none"),
        ({"requirements.txt": "numpy\n"}, "ranges"),
        ({"requirements.txt": PINS}, "pinned"),
        ({"requirements.txt": PINS + "scipy>=1\n"}, "ranges"),
        ({"requirements.txt": PINS, "requirements-dev.txt": "pytest\n"}, "pinned"),
        ({"requirements-dev.txt": "pytest==1\n"}, "none"),
        ({"docs/requirements.txt": "sphinx==1\n"}, "none"),
        ({"setup.py": "setup(install_requires=['numpy'])", "requirements.txt": PINS}, "pinned"),
        ({"pyproject.toml": PROJECT.format(spec=">=1"), "uv.lock": UV}, "lock"),
        ({"pyproject.toml": PROJECT.format(spec="==1.26.0")}, "pinned"),
        ({"pyproject.toml": PROJECT.format(spec=">=1"), "docs/uv.lock": UV}, "ranges"),
        ({"requirements/base.txt": PINS, "requirements/test.txt": "pytest\n"}, "pinned"),
        ({"service/requirements.txt": PINS, "train/requirements.txt": "numpy\n",
          "train/train.py": FOREST + "RandomForestClassifier().fit(x, y)\n"}, "ranges"),
        ({"requirements.txt": "numpy\n", "a/requirements.txt": PINS, "b/requirements.txt": PINS}, "ranges"),
        ({"a/requirements.txt": "numpy\n", "b/requirements.txt": PINS, "c/requirements.txt": PINS}, "pinned"),
        ({"DESCRIPTION": "Package: x\nImports:\n    dplyr\n", "R/a.R": ""}, "ranges"),
        ({"requirements.txt": "numpy\n", "requirements.lock": "# autogenerated by rye\n" + FREEZE}, "lock"),
        ({"pip-freeze.txt": FREEZE, "setup.py": "setup(install_requires=['requests'])"}, "lock"),
        ({"renv.lock": '{"Packages": {"dplyr": {"Version": "1"}}}'}, "lock"),
    ],
)  # fmt: skip
def test_environment(ask, files, grade):
    found = ask("R2", files)
    assert found.value == grade
    assert found.verdict == {"lock": "pass", "pinned": "partial"}.get(grade, "fail")


def test_a_lock_that_lags_behind(ask):
    assert ask("R3", {"pyproject.toml": PROJECT.format(spec=""), "uv.lock": UV}).verdict == "pass"
    assert ask("R3", {"pyproject.toml": PROJECT.format(spec="==2.0"), "uv.lock": UV}).verdict == "fail"
    added = PROJECT.format(spec="").replace('"]', '", "scipy"]')
    found = ask("R3", {"pyproject.toml": added, "uv.lock": UV})
    assert (found.verdict, found.evidence[0].what) == ("fail", "scipy, locked: not")
    assert ask("R3", {"requirements.txt": PINS}).verdict == "n/a"


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({".python-version": "3.11\n"}, "pass"),
        ({"Dockerfile": "FROM python:3.9-slim\n"}, "pass"),
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.11,<3.12"\n'}, "pass"),
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.8"\n'}, "partial"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.11"\n'}, "pass"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, "partial"),
        ({"environment.yml": "dependencies: [python=3.8, numpy]\n"}, "pass"),
        ({"requirements.txt": "numpy\n"}, "fail"),
    ],
)
def test_python(ask, files, verdict):
    assert ask("R4", {"a.py": "x = 1\n", **files}).verdict == verdict


def test_rebuilding_needs_steps_versions_and_data(ask):
    train = {"train.py": FOREST + "RandomForestClassifier(random_state=1).fit(x, y)\n"}
    assert ask("R5", train).value == "no"
    some = {**train, "pyproject.toml": PROJECT.format(spec=""), "uv.lock": UV}
    assert ask("R5", some).value == "partial"
    steps = """
        stages:
          prepare: {cmd: python prepare.py, outs: [data/clean.csv]}
          train: {cmd: python train.py, deps: [data/clean.csv]}
        """
    pointer = "outs:\n- md5: aa\n  path: raw.csv\n"
    whole = {**some, "dvc.yaml": steps, "data/raw.csv.dvc": pointer, "prepare.py": "x = 1\n"}
    assert ask("R5", whole).value == "yes"
    assert ask("R5", {"a.py": "x = 1\n"}).verdict == "n/a"
