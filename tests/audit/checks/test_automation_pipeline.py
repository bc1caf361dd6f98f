"""A1 and A2: definitions of the steps from data to a model, by tool."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

FIT = "from sklearn.svm import SVC\n\n\ndef load():\n    return [[0], [1]], [0, 1]\n\n\ndef train():\n    x, y = load()\n    SVC().fit(x, y)\n\n\nif __name__ == '__main__':\n    train()\n"
STEPS = {"src/steps.py": FIT, "src/load.py": "print(1)\n"}
TOOLS: dict[str, tuple[str, dict[str, str]]] = {
    "dvc": ("dvc", {"dvc.yaml": "stages:\n  load:\n    cmd: python src/load.py\n  model:\n    cmd: python src/steps.py\n"}),
    "kedro": ("kedro", {"p/pipeline.py": "from kedro.pipeline import node, pipeline\nfrom src.steps import load, train\n\n\ndef create_pipeline(**kw):\n    return pipeline([node(load, None, 'x'), node(train, 'x', 'm')])\n"}),
    "metaflow": ("metaflow", {"flow.py": "from metaflow import FlowSpec, step\nfrom src.steps import train\n\n\nclass F(FlowSpec):\n    @step\n    def start(self):\n        self.next(self.end)\n\n    @step\n    def end(self):\n        train()\n\n\nif __name__ == '__main__':\n    F()\n"}),
    "prefect": ("prefect", {"flow.py": "from prefect import flow, task\nfrom src.steps import load, train\n\n\n@task\ndef a():\n    load()\n\n\n@task(retries=1)\ndef b():\n    train()\n\n\n@flow\ndef all():\n    a()\n    b()\n"}),
    "zenml": ("zenml", {"p.py": "from zenml import pipeline, step\nfrom src.steps import load, train\n\n\n@step\ndef a():\n    load()\n\n\n@step\ndef b():\n    train()\n\n\n@pipeline\ndef p():\n    a()\n    b()\n"}),
    "airflow": ("airflow", {"dags/d.py": "from airflow import DAG\nfrom airflow.operators.bash import BashOperator\nwith DAG('d', schedule=None) as dag:\n    a = BashOperator(task_id='a', bash_command='python src/load.py')\n    b = BashOperator(task_id='b', bash_command='python src/steps.py')\n"}),
    "kfp": ("kubeflow", {"p.py": "from kfp import dsl\n\n\n@dsl.component\ndef load():\n    pass\n\n\n@dsl.component\ndef fit_it():\n    from sklearn.svm import SVC\n    SVC().fit([[0]], [0])\n\n\n@dsl.pipeline(name='p')\ndef p():\n    load()\n    fit_it()\n"}),
    "dagster": ("dagster", {"assets.py": "from dagster import asset\nfrom src.steps import load, train\n\n\n@asset\ndef data():\n    return load()\n\n\n@asset\ndef model(data):\n    return train()\n"}),
    "luigi": ("luigi", {"t.py": "import luigi\nfrom src.steps import load, train\n\n\nclass A(luigi.Task):\n    def run(self):\n        load()\n\n\nclass B(luigi.Task):\n    def run(self):\n        train()\n"}),
    "flyte": ("flyte", {"w.py": "from flytekit import task, workflow\nfrom src.steps import load, train\n\n\n@task\ndef a():\n    load()\n\n\n@task\ndef b():\n    train()\n\n\n@workflow\ndef w():\n    a()\n    b()\n"}),
    "tfx": ("tfx", {"p.py": "from tfx.v1.components import CsvExampleGen, Trainer\nfrom tfx.orchestration.pipeline import Pipeline\nPipeline('p', 'r', components=[CsvExampleGen('d'), Trainer(module_file='t.py')])\n"}),
    "sagemaker": ("sagemaker", {"p.py": "from sagemaker.workflow.pipeline import Pipeline\nfrom sagemaker.workflow.steps import ProcessingStep, TrainingStep\nPipeline(name='p', steps=[ProcessingStep('a'), TrainingStep('b')])\n"}),
    "azureml": ("azureml", {"p.yml": "type: pipeline\njobs:\n  a: {type: command, command: python src/load.py}\n  b: {type: command, command: python src/steps.py}\n"}),
    "azureml in code": ("azureml", {"p.py": "from azureml.pipeline.core import Pipeline\nfrom azureml.pipeline.steps import PythonScriptStep\nPipeline(steps=[PythonScriptStep(script_name='load.py'), PythonScriptStep(script_name='train.py')])\n"}),
    "azureml by title": ("azureml", {"p.py": "from azureml.pipeline.core import Pipeline\nfrom azureml.pipeline.steps import PythonScriptStep\nPipeline(steps=[PythonScriptStep(name='Train Model', script_name=e.a), PythonScriptStep(name='Evaluate Model', script_name=e.b)])\n"}),
    "databricks": ("databricks", {"r.yml": "resources:\n  jobs:\n    j:\n      tasks:\n        - task_key: a\n          spark_python_task: {python_file: src/load.py}\n        - task_key: train\n          notebook_task: {notebook_path: n}\n"}),
    "step functions": ("stepfunctions", {"m.asl.json": '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync"}}}'}),
    "snakemake": ("snakemake", {"Snakefile": "rule all:\n    input: 'm'\nrule load:\n    shell: 'python src/load.py'\nrule model:\n    shell: 'python src/steps.py'\n"}),
    "nextflow": ("nextflow", {"main.nf": "process load {\n}\nprocess train {\n}\n"}),
    "mlflow": ("mlflow", {"MLproject": "name: x\nentry_points:\n  load: {command: python src/load.py}\n  main: {command: python src/steps.py}\n"}),
    "make": ("make", {"Makefile": "model.pkl: data.csv\n\tpython src/steps.py\ndata.csv:\n\tpython src/load.py\n"}),
    "targets": ("targets", {"_targets.R": "library(targets)\nlist(\n  tar_target(raw, read('d.csv')),\n  tar_target(model, fit_it(raw))\n)\n"}),
    "argo": ("argo", {"w.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates:\n    - name: main\n      dag:\n        tasks:\n          - {name: load, template: run}\n          - {name: train, template: run}\n"}),
}  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_a1_a_pipeline_that_trains_in_two_steps(ask, tool):
    name, files = TOOLS[tool]
    found = ask("A1", files | STEPS)
    assert (found.verdict, found.value) == ("pass", name)
    assert ask("A2", files | STEPS).verdict == "pass"


NONE = {
    "one step": {"dvc.yaml": "stages:\n  model:\n    cmd: python src/steps.py\n"},
    "no training": {"dvc.yaml": "stages:\n  a:\n    cmd: python src/load.py\n  b:\n    cmd: python src/load.py\n"},
    "orchestration of tables": {"dags/d.py": "from airflow import DAG\nfrom airflow.operators.bash import BashOperator\nwith DAG('d') as dag:\n    a = BashOperator(task_id='extract', bash_command='python src/load.py')\n    b = BashOperator(task_id='load_train_data', bash_command='dbt run')\n"},
    "steps that do nothing": {"dags/d.py": "from airflow import DAG\nfrom airflow.operators.empty import EmptyOperator\nwith DAG('d') as dag:\n    a = EmptyOperator(task_id='load')\n    b = EmptyOperator(task_id='train_model')\n"},
    "commented": {"dvc.yaml": "# stages:\n#   a: {cmd: python src/load.py}\n#   b: {cmd: python src/steps.py}\n"},
    "make that installs": {"Makefile": "train: install\n\tpython src/steps.py\ninstall:\n\tpip install -r requirements.txt\n"},
    "imported only": {"p.py": "import prefect\nfrom src.steps import train\ntrain()\n"},
    "in a test": {"tests/test_p.py": TOOLS["prefect"][1]["flow.py"]},
    "ci": {".github/workflows/a.yml": "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [run: python src/steps.py]\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_a1_what_is_no_pipeline_to_a_model(ask, name):
    found = ask("A1", NONE[name] | STEPS)
    assert found.verdict in ("fail", "partial")
    assert found.value is False


def test_a1_two_tools_are_both_named(ask):
    files = TOOLS["dvc"][1] | TOOLS["airflow"][1] | STEPS
    assert set(ask("A1", files).value) == {"airflow", "dvc"}


def test_a1_does_not_apply_where_nothing_trains(ask):
    assert ask("A1", {"app.py": "print(1)\n"}).verdict == "n/a"
