"""M2 and M3: predictions and drift watched after deployment; a split of training is none."""

from __future__ import annotations

import json

import pytest

SERVED = {"app.py": "import joblib\nfrom fastapi import FastAPI\napp = FastAPI()\nmodel = joblib.load('m')\n"}
EVIDENTLY = """
    from evidently.report import Report
    from evidently.metric_preset import DataDriftPreset, {preset}

    report = Report(metrics=[DataDriftPreset(), {preset}()])
    report.run(reference_data={old}, current_data={new})
    """
OWN = """
    import numpy as np
    from scipy.stats import ks_2samp


    def detect_drift(old, new):
        return ks_2samp(old, new).pvalue < 0.05
    """
CALLED = "from watch import detect_drift\n\nif __name__ == '__main__':\n    detect_drift([1], [2])\n"
METRIC = "\nfrom prometheus_client import {kind}\n\nSEEN = {kind}({name!r}, 'd', {labels})\n"


def evidently(preset="RegressionPreset", old="reference", new="current"):
    return EVIDENTLY.format(preset=preset, old=old, new=new)


def metric(kind, name, labels=()):
    return {"app.py": SERVED["app.py"] + METRIC.format(kind=kind, name=name, labels=list(labels))}


def book(source: str) -> str:
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": 1}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def flat(source: str) -> str:
    return "\n".join(line.strip() for line in source.splitlines())


WATCHED = {
    "a job of evidently": {"watch.py": evidently()},
    "a notebook of what is and was": {"watch.ipynb": book(flat(evidently()))},
    "drift of predictions": {
        "watch.py": evidently("DatasetMissingValuesMetric") + "\n    current['prediction'] = 1\n"
    },
    "nannyml": {
        "watch.py": "import nannyml as nml\nnml.CBPE(problem_type='x').fit(reference).estimate(analysis)\n"
    },
    "sagemaker": {
        "watch.py": "from sagemaker.model_monitor import ModelQualityMonitor\n"
        "ModelQualityMonitor().create_monitoring_schedule()\n"
    },
    "vertex": {
        "watch.py": "from google.cloud import aiplatform\naiplatform.ModelDeploymentMonitoringJob.create()\n"
    },
    "azure": {"watch.yml": "create_monitor:\n  monitoring_signals:\n    a:\n      type: prediction_drift\n"},
    "values of predictions": metric("Histogram", "model_output"),
    "predictions by class": metric("Counter", "predictions_total", ["predicted_class"]),
    "answers of a language model": {
        "app.py": SERVED["app.py"] + "from langfuse import Langfuse\nLangfuse()\n"
    },
    "this library": {
        "dags/a.py": "from runtime_lib.pipeline.airflow import monitoring_dag\nm = monitoring_dag(1)\n"
    },
}
UNWATCHED = {
    "nothing": {},
    "halves of one data set": {"check.py": evidently(old="X_train", new="X_test")},
    "a notebook of training": {"eda.ipynb": book(flat(evidently(old="df_train", new="df_val")))},
    "data alone": {"watch.py": evidently("DatasetMissingValuesMetric")},
    "how many predictions": metric("Counter", "predictions_total"),
    "how long a prediction takes": metric("Histogram", "prediction_latency_seconds", ["class"]),
    "a test": {"tests/test_watch.py": evidently()},
    "a score of training": {
        "train.py": "from sklearn.metrics import f1_score\nfrom sklearn.svm import SVC\nSVC().fit(1, 2)\n"
        "f1_score(1, 2)\n"
    },
    "capture that nobody reads": {
        "deploy.py": "import sagemaker\nsagemaker.DataCaptureConfig(enable_capture=True)\n"
    },
}
DRIFTS = {
    "a job of evidently": {"watch.py": evidently()},
    "alibi": {"watch.py": "from alibi_detect.cd import KSDrift\nKSDrift(reference).predict(current)\n"},
    "own statistics": {"watch.py": OWN, "main.py": CALLED},
    "an own index of stability": {
        "watch.py": OWN.replace("detect_drift", "calculate_psi"),
        "main.py": CALLED.replace("detect_drift", "calculate_psi"),
    },
    "sagemaker": WATCHED["sagemaker"],
    "azure": WATCHED["azure"],
    "tfdv": {
        "watch.py": "import tensorflow_data_validation as tfdv\n"
        "tfdv.validate_statistics(1, 2, previous_statistics=3)\n"
    },
    "this library": WATCHED["this library"],
}
STEADY = {
    "nothing": {},
    "halves of one data set": UNWATCHED["halves of one data set"],
    "a notebook of training": UNWATCHED["a notebook of training"],
    "a detector that nothing calls": {"watch.py": OWN, "main.py": "import watch\n"},
    "a detector that only a test calls": {"watch.py": OWN, "tests/test_a.py": CALLED},
    "a name without statistics": {"watch.py": "def detect_drift():\n    print('todo')\n\ndetect_drift()\n"},
    "tfdv with a schema": {
        "check.py": "import tensorflow_data_validation as tfdv\ntfdv.validate_statistics(1, 2)\n"
    },
    "signals of quality": {
        "watch.yml": "create_monitor:\n  monitoring_signals:\n    a:\n      type: data_quality\n"
    },
}


@pytest.mark.parametrize("files", WATCHED.values(), ids=WATCHED)
def test_predictions_that_are_watched(ask, files):
    assert ask("M2", SERVED | files).value is True


@pytest.mark.parametrize("files", UNWATCHED.values(), ids=UNWATCHED)
def test_predictions_that_nobody_watches(ask, files):
    found = ask("M2", SERVED | files)
    assert (found.verdict, found.value) == ("fail", False), found.evidence


@pytest.mark.parametrize("files", DRIFTS.values(), ids=DRIFTS)
def test_drift_that_is_computed(ask, files):
    assert ask("M3", SERVED | files).value is True


@pytest.mark.parametrize("files", STEADY.values(), ids=STEADY)
def test_drift_that_nobody_computes(ask, files):
    found = ask("M3", SERVED | files)
    assert (found.verdict, found.value) == ("fail", False), found.evidence


def test_a_monitor_that_computes_quality_from_what_was_logged(ask):
    monitor = """
        import numpy as np


        class Monitor:
            def accuracy(self, rows):
                return float(np.mean([row["prediction"] == row["label"] for row in rows]))
        """
    use = "from monitoring import Monitor\n\nif __name__ == '__main__':\n    Monitor().accuracy([])\n"
    assert ask("M2", SERVED | {"monitoring.py": monitor, "job.py": use}).value is True
    assert ask("M2", SERVED | {"monitoring.py": monitor, "job.py": "import monitoring\n"}).value is False


def test_drift_of_scores_in_a_database_watches_them_too(ask):
    job = (
        OWN
        + "\n    detect_drift(read('select score from scores'), read('select score from scores_before'))\n"
    )
    assert ask("M2", SERVED | {"watch.py": job}).value is True
    assert ask("M2", SERVED | {"watch.py": job.replace("scores", "inputs")}).value is False


def test_drift_of_a_clock_is_none(ask):
    clock = (
        "import numpy as np\n\ndef estimate_drift(ticks):\n    return np.mean(ticks)\n\nestimate_drift([1])\n"
    )
    assert ask("M3", SERVED | {"clock.py": clock}).value is False


def test_a_library_of_detectors_watches_nothing(ask):
    pyproject = "[build-system]\nrequires = ['hatchling']\n[project]\nname = 'drifty'\nversion = '1'\n"
    files = {"pyproject.toml": pyproject, "drifty/__init__.py": "from drifty.watch import detect_drift\n"}
    found = ask(
        "M3", {**files, "drifty/watch.py": OWN, "drifty/main.py": CALLED, "examples/a.py": evidently()}
    )
    assert found.value is False


def test_a_job_reads_the_predictions_of_the_day_and_what_came_true(ask):
    job = """
        import pandas as pd

        said = pd.read_sql("select id, value from predictions where day = current_date", engine)
        true = pd.read_sql("select id, value from measured", engine)
        print(said.merge(true, on="id").eval("abs(value_x - value_y)").mean())
        """
    assert ask("M2", {**SERVED, "quality.py": job}).value is True
    assert ask("M2", {**SERVED, "quality.py": job.replace("predictions", "users")}).value is False
