"""Tests, gates and checks of data in small trees: what counts, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.plugins import load_checks
from runtime_lib.audit.project import assess
from runtime_lib.audit.records import Finding

Tree = Callable[..., Path]

OWN = {
    "src/shop/__init__.py": "",
    "src/shop/features.py": "def ratio(a, b):\n    return a / b\nclass Scaler:\n"
    "    def scale(self, x):\n        return x\n",
    "src/shop/train.py": "from sklearn.svm import SVC\nfrom shop.features import ratio\n"
    "def main():\n    SVC().fit(ratio(1, 2), y)\nif __name__ == '__main__':\n    main()\n",
    "src/shop/app.py": "import joblib\nfrom fastapi import FastAPI\napp = FastAPI()\n"
    "model = joblib.load('m')\n"
    "@app.post('/predict')\ndef predict(x: int):\n    return model.predict([[x]])\n",
    "src/shop/cli.py": "import typer\napp = typer.Typer()\n@app.command()\ndef fit_model(config):\n"
    "    pass\n",
    "src/shop/data.py": "import pandas as pd\ndef load_data():\n    return pd.read_csv('data.csv')\n",
    "src/shop/model.py": "import joblib\ndef load_model():\n    return joblib.load('m')\n",
}
TEST = "tests/test_a.py"


def ask(tree: Tree, id: str, files: Mapping[str, str]) -> Finding:
    repo = index(tree(files, commit=False))
    checks, _ = load_checks()
    found = checks[id].ask(repo, assess(repo))
    assert all(one.path in repo.files and one.line >= 1 for one in found.evidence)
    assert found.evidence or found.verdict in ("fail", "unknown", "n/a")
    return found


def verdict(tree: Tree, id: str, source: str, **more: str) -> str:
    files = {path.replace("__", "/") + ".py": text for path, text in more.items()}
    return ask(tree, id, {**OWN, TEST: source, **files}).verdict


@pytest.mark.parametrize(
    "source",
    [
        "from shop.features import ratio\ndef test_it():\n    assert ratio(1, 2) == 0.5\n",
        "import shop.features as f\nclass TestIt:\n    def test_it(self):\n        assert f.ratio(1, 2)\n",
        "import unittest\nfrom shop.features import ratio\nclass A(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        self.assertEqual(ratio(1, 2), 0.5)\n",
        "import unittest\nfrom shop.features import Scaler\nclass A(unittest.TestCase):\n"
        "    def setUp(self):\n"
        "        self.s = Scaler()\n    def test_it(self):\n        self.assertEqual(self.s.scale(1), 1)\n",
        "import pytest\nfrom shop.features import ratio\ndef test_it():\n"
        "    with pytest.raises(ZeroDivisionError):\n"
        "        ratio(1, 0)\n",
        "import pytest\nfrom shop.features import Scaler\n@pytest.fixture\ndef scaler():\n"
        "    return Scaler()\n"
        "def test_it(scaler):\n    assert scaler.scale(1) == 1\n",
        "from shop.features import ratio\ndef check(a):\n    assert ratio(a, 1) == a\n"
        "def test_it():\n    check(1)\n",
        "def test_it():\n    from shop.features import ratio\n    assert ratio(1, 2)\n",
        "import pytest\nfrom shop.features import Scaler\n@pytest.mark.parametrize('c', [Scaler])\n"
        "def test_it(c):\n"
        "    assert c().scale(1) == 1\n",
        "from features import ratio\ndef test_it():\n    assert ratio(1, 2)\n",
        "from src.shop.features import ratio\ndef test_it():\n    assert ratio(1, 2)\n",
        "import pandas as pd\nfrom shop.features import ratio\ndef test_it():\n"
        "    assert pd.Series([1]).apply(ratio).sum() == 1\n",
    ],
)
def test_a_unit_test_runs_own_code_and_asserts(tree: Tree, source: str):
    assert verdict(tree, "Q1", source) == "pass"


@pytest.mark.parametrize(
    "source",
    [
        "def test_it():\n    assert 1 + 1 == 2\n",
        "import shop\ndef test_it():\n    assert shop\n",
        "from shop.features import ratio\ndef test_it():\n    ratio(1, 2)\n",
        "from shop.features import ratio\ndef helper():\n    assert ratio(1, 2)\n",
        "import pandas as pd\ndef test_it():\n    assert pd.DataFrame().empty\n",
        "import pytest\nfrom shop.features import ratio\n@pytest.mark.skip\ndef test_it():\n"
        "    assert ratio(1, 2)\n",
        "# from shop.features import ratio\ndef test_it():\n    pass  # assert ratio(1, 2)\n",
    ],
)
def test_what_is_no_unit_test(tree: Tree, source: str):
    assert verdict(tree, "Q1", source) == "fail"


def test_a_script_that_predicts_is_no_test(tree: Tree):
    script = "from shop.features import ratio\ndef test(model, loader):\n    assert ratio(1, 2)\ntest(1, 2)\n"
    assert ask(tree, "Q1", {**OWN, "test.py": script}).verdict == "fail"
    called = script.replace("def test(", "def test_model(").replace("\ntest(", "\ntest_model(")
    assert ask(tree, "Q1", {**OWN, "test_model.py": called}).verdict == "fail"


def test_fixtures_of_folders_above_are_followed(tree: Tree):
    fixture = "@pytest.fixture()\ndef scaler():\n    return Scaler()\n"
    conftest = f"import pytest\nfrom shop.features import Scaler\n{fixture}"
    source = "def test_it(scaler):\n    assert scaler.scale(1) == 1\n"
    files = {**OWN, "tests/conftest.py": conftest, "tests/unit/test_a.py": source}
    assert ask(tree, "Q1", files).verdict == "pass"


def test_tests_of_a_template_run_the_code_under_its_braces(tree: Tree):
    package = "{{ cookiecutter.repo }}/src/{{ cookiecutter.package }}"
    files = {
        "cookiecutter.json": "{}",
        f"{package}/__init__.py": "",
        f"{package}/features.py": "def ratio(a, b):\n    return a / b\n",
        "{{ cookiecutter.repo }}/tests/test_a.py": "from {{ cookiecutter.package }}.features import ratio\n"
        "def test_it():\n    assert ratio(1, 2)\n",
    }
    assert ask(tree, "Q1", files).verdict == "pass"


def test_tests_that_cannot_be_read_are_unknown(tree: Tree):
    assert verdict(tree, "Q1", "print 'a'\ndef test_it(): pass\n") == "unknown"


def test_testthat_counts(tree: Tree):
    files = {
        "R/a.R": "f <- function(x) x\n",
        "tests/testthat/test-a.R": "test_that('a', { expect_equal(f(1), 1) })\n",
    }
    assert ask(tree, "Q1", files).verdict == "pass"


@pytest.mark.parametrize(
    "source",
    [
        "from fastapi.testclient import TestClient\nfrom shop.app import app\nclient = TestClient(app)\n"
        "def test_it():\n    assert client.post('/predict').status_code == 200\n",
        "import pytest\nfrom shop.app import app\n@pytest.fixture\ndef client():\n"
        "    return app.test_client()\n"
        "def test_it(client):\n    assert client.get('/').status_code == 200\n",
        "from click.testing import CliRunner\nfrom shop.train import main\ndef test_it():\n"
        "    assert CliRunner().invoke(main, []).exit_code == 0\n",
        "import subprocess, sys\ndef test_it():\n"
        "    subprocess.run([sys.executable, 'src/shop/train.py'], check=True)\n",
        "import subprocess\ndef test_it():\n"
        "    subprocess.run('python -m shop.train', shell=True, check=True)\n",
        "import os\nfrom shop.train import main\ndef test_it(tmp_path):\n    main()\n"
        "    assert os.path.exists('m')\n",
        "import requests\ndef test_it():\n    assert requests.get('http://localhost:8000/health').ok\n",
        "import pytest\nfrom shop.features import ratio\n@pytest.mark.integration\ndef test_it():\n"
        "    assert ratio(1, 2)\n",
        "from shop import data, features, model\ndef test_it():\n    d = data.load_data()\n"
        "    f = features.ratio(d, 1)\n"
        "    assert model.load_model().predict(f) is not None\n",
        "from shop.cli import fit_model\ndef test_it():\n    assert fit_model(config={}).metrics\n",
        "import requests\nurl = 'http://localhost:80'\nanswer = requests.post(url, json={})\n"
        "assert answer.ok\n",
        "from shop.features import Scaler\ndef test_it():\n    t = Scaler()\n    t.train()\n"
        "    assert t.evaluate()['a']\n",
        "import papermill as pm\ndef test_it():\n    pm.execute_notebook('a.ipynb', 'b.ipynb')\n",
    ],
)
def test_an_integration_test_runs_parts_together(tree: Tree, source: str):
    assert verdict(tree, "Q2", source) == "pass"


@pytest.mark.parametrize(
    "source",
    [
        "from shop.features import ratio\ndef test_it():\n    assert ratio(1, 2)\n",
        "import subprocess\ndef test_it():\n    subprocess.run(['ls'], check=True)\n",
        "import requests\ndef test_it():\n    assert requests.get('https://example.com').ok\n",
        "from shop.app import app\ndef test_it():\n    assert app.title\n",
    ],
)
def test_what_runs_one_part_is_no_integration_test(tree: Tree, source: str):
    assert verdict(tree, "Q2", source) == "fail"


def test_a_service_that_ci_starts_and_asks_is_integration(tree: Tree):
    steps = "docker run -d -p 80:80 x\n          curl --fail http://localhost:80/health"
    job = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          {steps}\n"
    assert ask(tree, "Q2", {**OWN, ".github/workflows/a.yml": job}).verdict == "pass"


QUALITY = [
    "from shop.model import load_model\ndef test_it():\n    assert load_model().score(x, y) > 0.8\n",
    "import joblib, unittest\nclass A(unittest.TestCase):\n    def test_it(self):\n"
    "        m = joblib.load('m')\n"
    "        self.assertGreaterEqual(m.score(x, y), 0.8)\n",
    "import pandas as pd\nfrom shop.model import load_model\nMIN_F1 = 0.7\ndef test_it():\n"
    "    d = pd.read_csv('a')\n"
    "    f1 = f1_score(d.y, load_model().predict(d))\n    assert f1 >= MIN_F1\n",
    "from shop.model import load_model\ndef test_behaviour_invariance():\n"
    "    assert load_model().predict('a') == 1\n",
    "import joblib\ndef test_it():\n    pred = joblib.load('m').predict(['so good'])\n"
    "    assert pred == 'positive'\n",
]
GATES = [
    "def check(accuracy):\n    if accuracy < 0.8:\n        raise ValueError('bad')\n",
    "import sys\nMIN_AUC = 0.7\ndef gate(auc):\n    if auc < MIN_AUC:\n        sys.exit(1)\n",
    "def trigger(accuracy, min_accuracy):\n    return accuracy > min_accuracy\n",
    "import mlflow\ndef register(rmse, threshold=10):\n    if rmse < threshold:\n"
    "        mlflow.register_model('a', 'b')\n",
    "from sagemaker.workflow.conditions import ConditionGreaterThanOrEqualTo as C\nC(left=1, right=0.8)\n",
    "import mlflow\nmlflow.validate_evaluation_results(a, b)\n",
    "accuracy = 1\nassert accuracy > 0.9\n",
    "def check(f1):\n    if f1 > 0.8:\n        print('good')\n    else:\n        raise ValueError\n",
    "def check(f1, bound_f1):\n    accepted = f1 > bound_f1\n    if not accepted:\n        return\n"
    "    push()\n",
]
NO_GATES = [
    "def check(accuracy):\n    print(accuracy)\n",
    "def check(accuracy):\n    if accuracy < 0.8:\n        print('bad')\n",
    "def check(accuracy, fail=False):\n    if fail:\n        if accuracy < 0.8:\n"
    "            raise ValueError\n",
    "def check(accuracy, fail=False):\n    if accuracy < 0.8 and fail:\n        raise ValueError\n",
    "def check(accuracy, min_accuracy=0.0):\n    if accuracy < min_accuracy:\n        raise ValueError\n",
    "def fit(loss, best_loss):\n    if loss < best_loss:\n        save()\n",
    "def check(score_threshold):\n    if score_threshold < 0.5:\n        raise ValueError\n",
    "def check(test_size):\n    if test_size > 0.5:\n        raise ValueError\n",
    "def check(loss):\n    assert loss > 0\n",
    "def near(f1, threshold, text):\n    if f1 > threshold:\n        text = text.replace('a', 'b').copy()\n",
    "def risk(score):\n    if score > 0.7:\n        return 'high'\n    return 'low'\n",
    "def check(f1, bound_f1):\n    accepted = f1 > bound_f1\n    print(accepted)\n",
]


@pytest.mark.parametrize("source", QUALITY)
def test_a_model_test_fails_on_a_bad_model(tree: Tree, source: str):
    assert verdict(tree, "Q3", source) == "pass"


@pytest.mark.parametrize(
    "source",
    [
        "from shop.model import load_model\ndef test_it():\n    print(load_model().score(x, y) > 0.8)\n",
        "from shop.model import load_model\ndef test_it():\n    assert 0 <= load_model().score(x, y) <= 1\n",
        "from shop.model import load_model\ndef test_it():\n"
        "    assert load_model().predict(x).shape == (1, 2)\n",
        "from shop.model import load_model\ndef test_it():\n    assert len(load_model().predict(x)) > 3\n",
        "from sklearn.metrics import f1_score\ndef test_it():\n    assert f1_score([1], [1]) == 1\n",
        "import pandas as pd\nfrom shop.train import fit\ndef test_it():\n"
        "    m, r2 = fit(pd.DataFrame({'x': [1]}))\n"
        "    assert r2 > 0.9\n",
    ],
)
def test_what_any_model_passes_is_no_model_test(tree: Tree, source: str):
    assert verdict(tree, "Q3", source) == "fail"


@pytest.mark.parametrize("source", GATES)
def test_a_gate_stops_a_bad_model(tree: Tree, source: str):
    assert verdict(tree, "Q3", "", src__shop__gate=source) == "pass"


def test_a_recipe_has_its_bounds_in_a_file(tree: Tree):
    recipe = "steps:\n  evaluate:\n    validation_criteria:\n      - metric: rmse\n        threshold: 10\n"
    assert ask(tree, "Q3", {**OWN, "recipe.yaml": recipe}).verdict == "pass"


def test_a_validation_that_runs_dry_stops_nothing(tree: Tree):
    gate = "import mlflow\nif mode == 'dry_run':\n    print(1)\nmlflow.evaluate(validation_thresholds={})\n"
    files = {**OWN, "gate.py": gate, "jobs.yml": "run_mode: dry_run\n"}
    assert ask(tree, "Q3", files).verdict == "fail"
    assert ask(tree, "Q3", {**files, "jobs.yml": "run_mode: enabled\n"}).verdict == "pass"


@pytest.mark.parametrize("source", NO_GATES)
def test_what_stops_nothing_is_no_gate(tree: Tree, source: str):
    assert verdict(tree, "Q3", "", src__shop__gate=source) == "fail"


@pytest.mark.parametrize(
    "source",
    [
        "def promote(new_auc, champion_auc):\n    if new_auc <= champion_auc:\n        raise ValueError\n",
        "import mlflow\ndef f(candidate, production):\n    if candidate > production:\n"
        "        mlflow.register_model(1)\n",
        "def f(new_mse, current_mse):\n    return Result(is_accepted=new_mse < current_mse)\n"
        "def g(r):\n    if not r.is_accepted:\n        raise ValueError\n",
        "ok = promote_new = False\nif new_mse < production_mse:\n    promote_new = True\n"
        "if promote_new:\n    save()\n",
        "if new_mse < production_mse:\n    print('good')\nelse:\n    run.parent.cancel()\n",
        "import joblib\ndef f(a, b):\n    new, old = a.score(x, y), b.score(x, y)\n"
        "    if new < old:\n        return\n"
        "    joblib.dump(a, 'a')\n",
        "def compare(metrics, current):\n    return metrics['r2'] > current\n",
        "accept = new_auc > (prod_auc + margin)\nif accept:\n    save()\n",
        "def should_deploy(new_model_f1, best_model_f1):\n    return new_model_f1 > best_model_f1\n",
        "from mlflow.models import MetricThreshold\nMetricThreshold(min_relative_change=0.1)\n",
        "def compare_models(low):\n    chall_wins = (m_chall < m_champ) if low else (m_chall > m_champ)\n"
        "    return chall_wins\n",
        "def promotion_policy(candidate_metrics, champion_metrics, smallest):\n"
        "    gain = 1 - candidate_metrics['rmse'] / champion_metrics['rmse']\n    if gain < smallest:\n"
        "        return ['too little']\n    return []\nif promotion_policy(a, b, 0.1):\n    exit()\n",
        "import tensorflow_model_analysis as tfma\ntfma.GenericChangeThreshold(absolute={'value': 1})\n",
    ],
)
def test_a_worse_model_is_stopped(tree: Tree, source: str):
    assert verdict(tree, "Q4", "", src__shop__gate=source) == "pass"
    assert verdict(tree, "Q3", "", src__shop__gate=source) == "pass"


def test_new_answers_near_the_earlier_ones(tree: Tree):
    source = (
        "import math\nfrom shop.model import load_answers, make_prediction\n\n\ndef test_it():\n"
        "    previous, rows = load_answers('old.csv'), load_answers('test.csv')\n"
        "    for previous_value, current_value in zip(previous, make_prediction(rows)):\n"
        "        assert math.isclose(previous_value, current_value, rel_tol=0.05)\n"
    )
    own = "def load_answers(path):\n    return open(path)\n\n\ndef make_prediction(rows):\n    return rows\n"
    assert verdict(tree, "Q4", source, src__shop__model=own) == "pass"
    other = source.replace("previous_value, current_value, rel", "expected_value, current_value, rel")
    assert verdict(tree, "Q4", other, src__shop__model=own) == "fail"


def test_a_choice_of_step_functions_is_a_gate(tree: Tree):
    source = (
        "from stepfunctions import steps\nsteps.TrainingStep('t')\n"
        "rule = steps.choice_rule.ChoiceRule.NumericLessThan(variable='rmse', value=10)\n"
    )
    assert verdict(tree, "Q3", "", src__shop__gate=source) == "pass"


@pytest.mark.parametrize(
    "source",
    [
        "def fit(val_loss, best_loss):\n    if val_loss < best_loss:\n        save_model()\n",
        "def f(new, old):\n    if new > old:\n        raise ValueError\n",
        "def f(score, best_score):\n    if score > best_score:\n        best_score = score\n",
        "def plot_policy(candidate_metrics, champion_metrics):\n    if candidate_metrics > 3:\n"
        "        show()\nplot_policy(1, 2)\n",
        "def f(new_auc, champion_auc):\n    if new_auc < champion_auc:\n        print('worse')\n",
        "def f(new_mse, current_mse):\n    return Result(is_accepted=new_mse < current_mse)\n",
        "def f(new_version, current_version):\n    if new_version < current_version:\n"
        "        raise ValueError\n",
        "def f(new_auc, old_auc, strict=False):\n    if strict and new_auc < old_auc:\n"
        "        raise ValueError\n",
    ],
)
def test_an_epoch_is_no_earlier_model(tree: Tree, source: str):
    assert verdict(tree, "Q4", "", src__shop__gate=source) == "fail"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src__shop__check", "import pandera as pa\nschema = pa.DataFrameSchema({})\n"),
        ("src__shop__check", "import pandera.pandas as pa\nclass Rows(pa.DataFrameModel):\n    a: int\n"),
        (
            "src__shop__check",
            "def f(d):\n    if not d.a.between(0, 1).all():\n        raise ValueError\nf(d)\n",
        ),
        ("src__shop__check", "import great_expectations as gx\ngx.get_context()\n"),
        (
            "src__shop__check",
            "def validate_columns(df):\n    if df.a.isna().sum() > 3:\n        raise ValueError\n"
            "validate_columns(d)\n",
        ),
        (
            "src__shop__check",
            "from pydantic import BaseModel\nclass Row(BaseModel):\n    a: int\nfor row in rows:\n"
            "    Row(**row)\n",
        ),
        (
            "tests__test_a",
            "from shop.data import load_data\ndef test_it():\n    assert load_data().a.notna().all()\n",
        ),
        (
            "tests__test_a",
            "import pandas as pd\ndef test_it():\n    d = pd.read_csv('d')\n"
            "    assert d.a.between(0, 1).all()\n",
        ),
    ],
)
def test_data_is_checked(tree: Tree, path: str, source: str):
    assert verdict(tree, "Q5", "", **{path: source}) == "pass"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src__shop__check", "import pandas as pd\nd = pd.read_csv('a').dropna()\n"),
        ("src__shop__check", "def f(d):\n    if d.a.isna().any():\n        d = d.fillna(0)\n    return d\n"),
        ("src__shop__check", "from pydantic import BaseModel\nclass Request(BaseModel):\n    a: int\n"),
        (
            "src__shop__check",
            "import yaml\ndef check_dataset(path):\n    data = yaml.safe_load(open(path))\n"
            "    assert 'nc' in data\ncheck_dataset('a.yaml')\n",
        ),
        (
            "src__shop__check",
            "def check_code_quality(a):\n    if a > 3:\n        raise ValueError\ncheck_code_quality(1)\n",
        ),
        (
            "src__shop__check",
            "def validate_columns(df):\n    if df.a.isna().sum() > 3:\n        raise ValueError\n",
        ),
        (
            "tests__test_a",
            "import pandas as pd\nfrom shop.features import ratio\ndef test_it():\n"
            "    assert list(ratio(pd.DataFrame(), 1).columns) == ['a']\n",
        ),
    ],
)
def test_what_does_not_check_data(tree: Tree, path: str, source: str):
    assert verdict(tree, "Q5", "", **{path: source}) == "fail"


def test_slices(tree: Tree):
    assert (
        verdict(tree, "Q6", "", src__shop__s="from fairlearn.metrics import MetricFrame\nMetricFrame()\n")
        == "pass"
    )
    assert verdict(tree, "Q6", "") == "fail"


def test_requests_are_asked_for_where_there_is_a_service(tree: Tree):
    source = "from fastapi.testclient import TestClient\nfrom shop.app import app\ndef test_it():\n"
    assert verdict(tree, "Q7", f"{source}    assert TestClient(app).get('/').status_code == 200\n") == "pass"
    assert verdict(tree, "Q7", "") == "fail"
    assert ask(tree, "Q7", {"train.py": "import sklearn.svm\nsklearn.svm.SVC().fit(x)\n"}).verdict == "n/a"


@pytest.mark.parametrize(
    ("step", "wanted"), [("pytest", "pass"), ("pytest || true", "fail"), ("ruff check", "n/a")]
)
def test_tests_in_ci_can_fail(tree: Tree, step: str, wanted: str):
    job = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: {step}\n"
    assert ask(tree, "Q8", {**OWN, ".github/workflows/a.yml": job}).verdict == wanted


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 80\n", "pass"),
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 0\n", "fail"),
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--cov-fail-under=80'\n", "pass"),
        ("codecov.yml", "coverage:\n  status:\n    project:\n      default:\n        target: 80%\n", "pass"),
        ("pyproject.toml", "[tool.coverage.run]\nbranch = true\n", "fail"),
    ],
)
def test_coverage_has_a_floor(tree: Tree, path: str, text: str, wanted: str):
    source = "from shop.features import ratio\ndef test_it():\n    assert ratio(1, 2)\n"
    assert ask(tree, "Q9", {**OWN, TEST: source, path: text}).verdict == wanted
