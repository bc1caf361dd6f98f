"""A7: active triggers that reach training, and those that are off, examples, or reach something else."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

TRAIN = {
    "train.py": "from sklearn.svm import SVC\n\n\ndef train():\n    SVC().fit([[0], [1]], [0, 1])\n\n\nif __name__ == '__main__':\n    train()\n",
    "load.py": "print(1)\n",
}
CRON = "on:\n  schedule:\n    - cron: '0 3 * * 1'\n"


def github(on: str, command: str, more: str = "") -> dict[str, str]:
    return {
        ".github/workflows/a.yml": f"{on}jobs:\n  a:\n    runs-on: x\n{more}    steps:\n      - run: {command}\n"
    }


def dag(arguments: str, command: str = "python train.py") -> dict[str, str]:
    return {
        "dags/d.py": f"from datetime import timedelta\nfrom airflow import DAG\nfrom airflow.operators.bash import BashOperator\nEVERY = '@weekly'\nOFF = None\nwith DAG('d'{arguments}) as dag:\n    a = BashOperator(task_id='a', bash_command='python load.py')\n    b = BashOperator(task_id='b', bash_command='{command}')\n"
    }


def cronjob(more: str = "", command: str = "[python, train.py]") -> dict[str, str]:
    return {
        "k8s/c.yaml": f"apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: j}}\nspec:\n  schedule: '0 0 * * *'\n{more}  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - {{name: c, image: i, command: {command}}}\n"
    }


PREFECT = "from prefect import flow, task\nfrom train import train\n\n\n@task\ndef a():\n    train()\n\n\n@flow\ndef f():\n    a()\n\n\nif __name__ == '__main__':\n    f.serve(name='x'%s)\n"
DAGSTER = "from dagster import asset, define_asset_job, ScheduleDefinition, DefaultScheduleStatus\nfrom train import train\n\n\n@asset\ndef model():\n    train()\n\n\ns = ScheduleDefinition(job=define_asset_job('j'), cron_schedule='0 0 * * *'%s)\n"
METAFLOW = "from metaflow import FlowSpec, schedule, step\nfrom train import train\n\n\n%sclass F(FlowSpec):\n    @step\n    def start(self):\n        train()\n        self.next(self.end)\n\n    @step\n    def end(self):\n        pass\n\n\nif __name__ == '__main__':\n    F()\n"
BUNDLE = "resources:\n  jobs:\n    j:\n      schedule: {quartz_cron_expression: '0 0 0 * * ?', timezone_id: UTC%s}\n      tasks:\n        - task_key: train\n          spark_python_task: {python_file: train.py}\n"
RULE = "Resources:\n  Nightly:\n    Type: AWS::Events::Rule\n    Properties:\n      ScheduleExpression: rate(1 day)\n      State: %s\n      Targets:\n        - {Arn: !GetAtt TrainingPipeline.Arn, Id: t}\n"
TERRAFORM = 'resource "google_cloud_scheduler_job" "%s" {\n  schedule = "0 0 * * *"\n%s}\n'
DEPLOYMENTS = (
    "deployments:\n  - name: d\n    entrypoint: flow.py:f\n    schedules:\n      - {cron: '0 0 * * *'%s}\n"
)

ON: dict[str, dict[str, str]] = {
    "github": github(CRON, "python train.py"),
    "github with drift before": github(CRON, "python load.py && python train.py"),
    "an event of drift": github("on:\n  repository_dispatch:\n    types: [drift-detected]\n", "python train.py"),
    "new data": github("on:\n  push:\n    paths: ['data/**']\n", "python train.py"),
    "gitlab": {".gitlab-ci.yml": "train:\n  stage: x\n  script: [python train.py]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == 'schedule'\n"},
    "azure": {"azure-pipelines.yml": "trigger: none\nschedules:\n  - cron: '0 0 * * 0'\nsteps:\n  - script: python train.py\n"},
    "jenkins": {"Jenkinsfile": "pipeline {\n triggers { cron('H 0 * * 0') }\n stages { stage('a') { steps { sh 'python train.py' } } }\n}\n"},
    "airflow": dag(", schedule='@weekly'"),
    "airflow by an old name": dag(", schedule_interval='0 0 * * 0'"),
    "airflow by a constant": dag(", schedule=EVERY"),
    "airflow by a span": dag(", schedule=timedelta(days=7)"),
    "prefect": {"flow.py": PREFECT % ", cron='0 0 * * *'"},
    "prefect.yaml": {"flow.py": PREFECT % "", "prefect.yaml": DEPLOYMENTS % ""},
    "dagster": {"d.py": DAGSTER % ", default_status=DefaultScheduleStatus.RUNNING"},
    "metaflow": {"flow.py": METAFLOW % "@schedule(weekly=True)\n"},
    "databricks": {"databricks.yml": BUNDLE % ""},
    "kubernetes": cronjob(),
    "cloudformation": {"t.yaml": RULE % "ENABLED"},
    "terraform": {"main.tf": TERRAFORM % ("retrain", "")},
    "crontab": {"deploy/crontab": "0 3 * * 1 cd /app && python train.py >> log 2>&1\n"},
    "a script in a crontab": {"crontab": "@weekly /app/run.sh\n", "run.sh": "python train.py\n"},
    "a scheduler in a process": {"s.py": "import schedule\nfrom train import train\nschedule.every().day.do(train)\n"},
    "another": {"s.py": "from apscheduler.schedulers.blocking import BlockingScheduler\nfrom train import train\ns = BlockingScheduler()\ns.add_job(train, 'cron', hour=3)\ns.start()\n"},
    "a DAG of the stages": {"dags/d.py": "from runtime_lib.pipeline.airflow import pipeline_dag\np = pipeline_dag('.', schedule='@monthly')\n", "dvc.yaml": "stages:\n  load: {cmd: python load.py}\n  train: {cmd: python train.py}\n"},
    "a deployment by command": {"flow.py": PREFECT % "", "setup.py": "import subprocess\nsubprocess.run(['prefect', 'deploy', 'flow.py:f', '--name', 'x', '--cron', '0 3 * * *'])\n"},
    "celery": {"c.py": "from celery import Celery\nfrom celery.schedules import crontab\napp = Celery('x')\napp.conf.beat_schedule = {\n    'nightly': {\n        'task': 'tasks.retrain',\n        'schedule': crontab(hour=3),\n    },\n}\n"},
    "taskcluster": {"infra/hook.json": '{"schedule": ["0 0 1 * *"], "task": {"payload": {"command": ["run", "p.yml"]}}}', "infra/p.yml": "tasks:\n  - ID: t\n    payload: {command: [python, train.py]}\n"},
    "kubeflow": {"p.py": "import kfp\nfrom kfp import dsl\nfrom train import train\n\n\n@dsl.component\ndef c():\n    train()\n\n\n@dsl.pipeline\ndef p():\n    c()\n\n\nkfp.Client().create_recurring_run(experiment_id='e', job_name='j', cron_expression='0 0 0 * * *', pipeline_func=p)\n"},
    "azure ml": {"s.yml": "trigger: {type: cron, expression: '0 0 * * *'}\ncreate_job: file:./train-job.yml\n", "train-job.yml": "type: command\ncommand: python train.py\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", ON)
def test_what_starts_training_again(ask, name):
    found = ask("A7", TRAIN | ON[name])
    assert (found.verdict, found.value) == ("pass", True)


OFF: dict[str, dict[str, str]] = {
    "a push": github("on: push\n", "python train.py"),
    "a push of data and code": github("on:\n  push:\n    paths: ['data/**', 'src/**']\n", "python train.py"),
    "a deployment without a time": {"flow.py": PREFECT % "", "setup.py": "import subprocess\nsubprocess.run(['prefect', 'deploy', 'flow.py:f', '--name', 'x'])\n"},
    "a button": github("on: workflow_dispatch\n", "python train.py"),
    "time for tests": github(CRON, "pytest"),
    "time for something else": github(CRON, "python load.py"),
    "a job that is off": github(CRON, "python train.py", "    if: false\n"),
    "a job for pushes": github("on:\n  push:\n  schedule:\n    - cron: '0 0 * * *'\n", "python train.py", "    if: github.event_name == 'push'\n"),
    "a commented cron": github("on:\n  push:\n  # schedule:\n  #   - cron: '0 3 * * 1'\n", "python train.py"),
    "an example": {".github/workflows/a.yml.example": github(CRON, "python train.py")[".github/workflows/a.yml"]},
    "null": github("on:\n  push:\n  schedule:\n", "python train.py"),
    "airflow without": dag(", schedule=None"),
    "airflow without, by an old name": dag(", schedule_interval=None"),
    "airflow without, by a constant": dag(", schedule=OFF"),
    "airflow once": dag(", schedule='@once'"),
    "airflow paused": dag(", schedule='@daily', is_paused_upon_creation=True"),
    "airflow that loads": dag(", schedule='@daily'", "python load.py"),
    "prefect without": {"flow.py": PREFECT % ""},
    "prefect.yaml, not active": {"flow.py": PREFECT % "", "prefect.yaml": DEPLOYMENTS % ", active: false"},
    "dagster begins stopped": {"d.py": DAGSTER % ""},
    "metaflow without": {"flow.py": METAFLOW % ""},
    "databricks paused": {"databricks.yml": BUNDLE % ", pause_status: PAUSED"},
    "kubernetes suspended": cronjob("  suspend: true\n"),
    "kubernetes that cleans": cronjob("", "[python, load.py]"),
    "cloudformation disabled": {"t.yaml": RULE % "DISABLED"},
    "terraform paused": {"main.tf": TERRAFORM % ("retrain", "  paused = true\n")},
    "terraform that cleans": {"main.tf": TERRAFORM % ("cleanup", "")},
    "a commented crontab": {"crontab": "# 0 3 * * 1 python train.py\n"},
    "a scheduler of something else": {"s.py": "import schedule\nfrom train import train\nschedule.every().day.do(print)\n"},
    "a DAG of the stages, without": {"dags/d.py": "from runtime_lib.pipeline.airflow import pipeline_dag\np = pipeline_dag('.', schedule=None)\n", "dvc.yaml": "stages:\n  load: {cmd: python load.py}\n  train: {cmd: python train.py}\n"},
    "celery that cleans": {"c.py": "from celery import Celery\nfrom celery.schedules import crontab\napp = Celery('x')\napp.conf.beat_schedule = {'nightly': {'task': 'tasks.clean', 'schedule': crontab(hour=3)}}\n"},
    "a thread's lock": {"s.py": "import threading\nlock = threading.Lock()\n"},
    "a schedule of the learning rate": {"s.py": "from torch.optim.lr_scheduler import StepLR\nschedule = StepLR(o, 1)\n"},
    "a key that is null": {"config.yaml": "retrain:\n  schedule: null\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", OFF)
def test_what_does_not(ask, name):
    found = ask("A7", TRAIN | OFF[name])
    assert (found.verdict, found.value) == ("fail", False)
