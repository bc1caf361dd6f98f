"""Trackers in small trees: what counts, what is off as the repository comes, what only looks like one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.plugins import load_checks
from runtime_lib.audit.project import assess
from runtime_lib.audit.records import Finding

Tree = Callable[..., Path]

FIT = "from sklearn.svm import SVC\nSVC().fit(x, y)\n"
HF = "from transformers import Trainer, TrainingArguments\n"
TRAINER = "Trainer(model, args).train()\n"
HYDRA_MAIN = {
    "train.py": "import hydra\nfrom sklearn.svm import SVC\n@hydra.main(config_path='configs')\n"
    "def main(cfg):\n"
    "    hydra.utils.instantiate(cfg.logger)\n    SVC().fit(x, y)\nif __name__ == '__main__':\n    main()\n",
    "configs/logger/wandb.yaml": "wandb:\n  _target_: lightning.pytorch.loggers.WandbLogger\n",
    "configs/logger/mlflow.yaml": "mlflow:\n  _target_: lightning.pytorch.loggers.MLFlowLogger\n",
}


def ask(tree: Tree, id: str, files: Mapping[str, str]) -> Finding:
    repo = index(tree(files, commit=any("mlruns" in path for path in files)))
    checks, _ = load_checks()
    found = checks[id].ask(repo, assess(repo))
    assert all(one.line >= 1 for one in found.evidence)
    assert found.evidence or found.verdict in ("fail", "unknown", "n/a")
    return found


def fact(tree: Tree, files: Mapping[str, str]) -> object:
    called, on = ask(tree, "T1", files), ask(tree, "T2", files)
    return called.value if called.verdict == "pass" and on.verdict == "pass" else False


ON = {
    "start_run": {
        "train.py": f"import mlflow\n{FIT}with mlflow.start_run():\n    mlflow.log_metric('a', 1)\n"
    },
    "autolog": {"train.py": f"import mlflow.sklearn\nmlflow.sklearn.autolog()\n{FIT}"},
    "client": {
        "train.py": f"from mlflow.tracking import MlflowClient as C\nc = C()\nc.log_param('r', 'a', 1)\n{FIT}"
    },
    "in another module": {
        "src/track.py": "import mlflow\ndef log(m):\n    mlflow.log_metrics(m)\n",
        "src/train.py": f"from src.track import log\n{FIT}log({{}})\n",
    },
    "by who starts the training": {
        "main.py": "import mlflow\nfrom model import fit\nwith mlflow.start_run():\n    fit()\n",
        "model.py": "from sklearn.svm import SVC\ndef fit():\n    SVC().fit(x, y)\n",
    },
    "a switch that is on": {
        "train.py": "import mlflow\nfrom sklearn.svm import SVC\ndef train(track=True):\n    if track:\n"
        "        mlflow.start_run()\n    SVC().fit(x, y)\ntrain()\n",
    },
    "kedro's plug-in": {
        "requirements.txt": "kedro\nkedro-mlflow\nscikit-learn\n",
        "src/p/nodes.py": "from sklearn.svm import SVC\ndef fit(x, y):\n    return SVC().fit(x, y)\n",
        "src/p/pipeline.py": "from kedro.pipeline import node, pipeline\nfrom .nodes import fit\n"
        "def create_pipeline():\n    return pipeline([node(fit, ['x', 'y'], 'm')])\n",
        "src/p/__init__.py": "",
    },
}
ON_WANDB = {
    "init": {"train.py": f"import wandb\nwandb.init(project='a', config={{}})\n{FIT}"},
    "callback": {
        "train.py": "from tensorflow import keras\nfrom wandb.keras import WandbCallback\n"
        "keras.Sequential([]).fit(x, callbacks=[WandbCallback()])\n"
    },
    "report_to": {"train.py": f"{HF}args = TrainingArguments('out', report_to=['wandb'])\n{TRAINER}"},
    "report_to by default, with the dependency": {
        "requirements.txt": "transformers==4.40.0\nwandb\n",
        "train.py": f"{HF}args = TrainingArguments('out')\n{TRAINER}",
    },
    "an option whose default is on": {
        "train.py": "import argparse, wandb\nfrom sklearn.svm import SVC\np = argparse.ArgumentParser()\n"
        "p.add_argument('--tracker', default='wandb')\nargs = p.parse_args()\n"
        f"if args.tracker == 'wandb':\n    wandb.init()\n{FIT}"
    },
    "off in the code and on in the committed configuration": {
        "train.py": "import yaml, wandb\nfrom sklearn.svm import SVC\ndef main(cfg, use_wandb=False):\n"
        "    if use_wandb:\n        wandb.init()\n    SVC().fit(x, y)\n"
        "main(yaml.safe_load(open('c.yaml')))\n",
        "config/run.yaml": "use_wandb: true\n",
    },
    "off in the code and on in the script that starts it": {
        "train.py": "import argparse, wandb\nfrom sklearn.svm import SVC\np = argparse.ArgumentParser()\n"
        "p.add_argument('--use-wandb', action='store_true')\nargs = p.parse_args()\n"
        f"if args.use_wandb:\n    wandb.init()\n{FIT}",
        "run.sh": "python train.py --use-wandb\n",
    },
    "hydra's choice": HYDRA_MAIN
    | {"configs/train.yaml": "defaults:\n  - _self_\n  - logger: wandb\nseed: 1\n"},
    "hydra's choice by way of another": HYDRA_MAIN
    | {
        "configs/train.yaml": "defaults:\n  - logger: many\n",
        "configs/logger/many.yaml": "defaults:\n  - wandb\n",
    },
    "hydra without groups": {
        "train.py": HYDRA_MAIN["train.py"],
        "conf.yaml": "logger:\n  _target_: pytorch_lightning.loggers.WandbLogger\n",
    },
    "an import that may fail": {
        "train.py": "try:\n    import wandb\nexcept ImportError:\n    wandb = None\n"
        f"if wandb and rank == 0:\n    wandb.init()\n{FIT}"
    },
    "beside tensorboard": {
        "train.py": "import wandb\nfrom torch.utils.tensorboard import SummaryWriter\nw = SummaryWriter()\n"
        f"w.add_scalar('a', 1)\nw.add_scalar('b', 1)\nwandb.init()\n{FIT}"
    },
}
OFF = {
    "a dependency alone": {"requirements.txt": "mlflow\nwandb\n", "train.py": f"import mlflow\n{FIT}"},
    "a comment": {"train.py": f"{FIT}# mlflow.log_metric('a', 1)\n"},
    "report_to none": {"train.py": f"{HF}args = TrainingArguments('out', report_to='none')\n{TRAINER}"},
    "report_to by default of transformers 5": {
        "requirements.txt": "transformers==5.1.0\nwandb\n",
        "train.py": f"{HF}args = TrainingArguments('out')\n{TRAINER}",
    },
    "hydra's null": HYDRA_MAIN | {"configs/train.yaml": "defaults:\n  - logger: null\nseed: 1\n"},
    "a constant": {
        "train.py": f"WANDB = False\n{FIT}if WANDB and master:\n    import wandb\n    wandb.init()\n",
    },
    "a parameter that nobody sets": {
        "train.py": "import wandb\nfrom sklearn.svm import SVC\ndef train(use_wandb=False):\n"
        "    if use_wandb:\n"
        "        wandb.init()\n    SVC().fit(x, y)\ntrain()\n",
    },
    "a parameter by way of another function": {
        "train.py": "import wandb\nfrom sklearn.svm import SVC\ndef log(on):\n    if not on:\n"
        "        return\n"
        "    wandb.init()\ndef train(track=False):\n    log(track)\n    SVC().fit(x, y)\ntrain()\n",
    },
    "a function that is called under a switch": {
        "train.py": "import argparse, mlflow\np = argparse.ArgumentParser()\n"
        "p.add_argument('--track', action='store_true')\nargs = p.parse_args()\ndef start():\n"
        f"    mlflow.start_run()\nif args.track:\n    start()\n{FIT}",
    },
    "one side of an expression": {
        "train.py": "import argparse\nfrom lightning import Trainer\n"
        "from lightning.pytorch.loggers import WandbLogger\n"
        "p = argparse.ArgumentParser()\np.add_argument('--wandb', action='store_true')\n"
        "args = p.parse_args()\n"
        "logger = WandbLogger() if args.wandb else None\nTrainer(logger=logger).fit(model)\n",
    },
    "a field of settings": {
        "settings.py": "from dataclasses import dataclass\n@dataclass\nclass Settings:\n"
        "    use_mlflow: bool = False\n",
        "train.py": "import mlflow\nfrom settings import Settings\nsettings = Settings()\n"
        f"if settings.use_mlflow:\n    mlflow.start_run()\n{FIT}",
    },
    "what is logged to a run that nothing begins": {
        "train.py": "import wandb\nfrom sklearn.svm import SVC\ndef train(project=None):\n    if project:\n"
        "        wandb.init(project=project)\n    SVC().fit(x, y)\n    wandb.log({})\ntrain()\n",
    },
    "a logger that a library offers": {
        "pyproject.toml": "[project]\nname = 'lib'\nversion = '1'\n"
        "classifiers = ['Topic :: Software Development']\n",
        "lib/__init__.py": "from lib.fit import fit\n",
        "lib/loggers.py": "import wandb\nclass OurLogger:\n    def log(self, m):\n        wandb.log(m)\n",
        "lib/fit.py": "from sklearn.svm import SVC\ndef fit(x, y):\n    return SVC().fit(x, y)\n",
        "tests/test_a.py": "from lib import fit\ndef test_a():\n    assert fit(1, 2)\n",
    },
    "mode": {"train.py": f"import wandb\nwandb.init(mode='disabled')\n{FIT}"},
    "mode by an option": {
        "train.py": "import argparse, wandb\np = argparse.ArgumentParser()\n"
        "p.add_argument('--wandb-mode', default='disabled')\nargs = p.parse_args()\n"
        f"wandb.init(mode=args.wandb_mode)\n{FIT}",
    },
    "the environment": {
        "train.py": f"import os\nos.environ['WANDB_DISABLED'] = 'true'\n{HF}"
        f"args = TrainingArguments('out', report_to='wandb')\n{TRAINER}"
    },
    "a model that is loaded": {"app.py": "import mlflow\nm = mlflow.pyfunc.load_model('a')\nm.predict(x)\n"},
    "tests only": {
        "train.py": FIT,
        "tests/test_a.py": "import mlflow\ndef test_a():\n    mlflow.log_metric('a', 1)\n    assert 1\n",
    },
    "an example of a configuration": {
        "train.py": HYDRA_MAIN["train.py"],
        "conf/example.yaml": "logger:\n  _target_: pytorch_lightning.loggers.WandbLogger\n",
    },
}


@pytest.mark.parametrize("files", ON.values(), ids=list(ON))
def test_mlflow_is_on(tree: Tree, files: Mapping[str, str]):
    assert fact(tree, files) == "mlflow"


@pytest.mark.parametrize("files", ON_WANDB.values(), ids=list(ON_WANDB))
def test_wandb_is_on(tree: Tree, files: Mapping[str, str]):
    assert fact(tree, files) == "wandb"


@pytest.mark.parametrize("files", OFF.values(), ids=list(OFF))
def test_no_tracker_is_on(tree: Tree, files: Mapping[str, str]):
    assert fact(tree, files) is False


@pytest.mark.parametrize(
    ("source", "tool"),
    [
        (
            "from torch.utils.tensorboard import SummaryWriter\nSummaryWriter().add_scalar('a', 1)\n",
            "tensorboard",
        ),
        ("import neptune\nrun = neptune.init_run()\n", "neptune"),
        ("from comet_ml import Experiment\nExperiment()\n", "comet"),
        ("from clearml import Task\nTask.init('a', 'b')\n", "clearml"),
        ("from dvclive import Live\nwith Live() as live:\n    live.log_metric('a', 1)\n", "dvclive"),
        ("from aim import Run\nRun().track(1)\n", "aim"),
        ("from azureml.core import Run\nrun = Run.get_context()\nrun.log('a', 1)\n", "azureml"),
    ],
)
def test_trackers_by_name(tree: Tree, source: str, tool: str):
    assert fact(tree, {"train.py": source + FIT}) == tool


def test_what_is_off_says_which_switch(tree: Tree):
    found = ask(tree, "T2", OFF["a parameter that nobody sets"])
    assert (found.verdict, found.evidence[0].line) == ("fail", 5)
    assert "use_wandb" in found.message


def test_code_that_cannot_be_read_is_unknown(tree: Tree):
    files = {
        "train.py": "print 'a'\n",
        "b.py": "print 'b'\n",
        "c.py": "import sklearn.svm\nsklearn.svm.SVC().fit(x)\n",
    }
    assert ask(tree, "T1", files).verdict == "unknown"


def test_nothing_to_track_without_a_model(tree: Tree):
    assert ask(tree, "T1", {"a.py": "print(1)\n"}).verdict == "n/a"


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        ("T3", "mlflow.log_params({})\n", "mlflow.log_metric('a', 1)\n"),
        ("T4", "mlflow.log_metric('a', 1)\n", "mlflow.log_params({})\n"),
        ("T5", "mlflow.sklearn.log_model(m)\n", "mlflow.log_metric('a', 1)\n"),
        (
            "T6",
            "mlflow.set_tracking_uri('https://a.example')\n",
            "mlflow.set_tracking_uri('sqlite:///a.db')\n",
        ),
        ("T7", "mlflow.log_input(d)\n", None),
    ],
)
def test_what_is_recorded_of_a_run(tree: Tree, id: str, good: str, bad: str | None):
    start = f"import mlflow\nmlflow.start_run()\n{FIT}"
    assert ask(tree, id, {"train.py": start + good}).verdict == "pass"
    if bad is not None:
        assert ask(tree, id, {"train.py": start + bad}).verdict == "fail"
    assert ask(tree, id, {"train.py": FIT}).verdict == "fail"


def test_runs_in_git_are_shared_with_nobody(tree: Tree):
    files = {"train.py": f"import wandb\nwandb.init()\n{FIT}", "mlruns/0/meta.yaml": "a: 1\n"}
    assert ask(tree, "T6", files).message == "Runs are stored in git."
