"""M1, M5, M6: metrics of the running service, kept predictions, health."""

from __future__ import annotations

import pytest

APP = """
    import joblib
    from fastapi import FastAPI
    {imports}
    app = FastAPI()
    model = joblib.load("model.joblib")

    @app.post("/predict")
    def predict(rows: list):
        answer = model.predict(rows)
        {body}
        return answer
    """


def app(imports: str = "", body: str = "pass", more: str = "") -> dict[str, str]:
    return {"app.py": APP.format(imports=imports, body=body) + more}


TRAIN = {
    "train.py": "from sklearn.svm import SVC\nimport psutil, prometheus_client\nSVC().fit(1, 2)\n"
    "psutil.cpu_percent()\nprometheus_client.Counter('epochs', 'n').inc()\n"
}
SYSTEM = {
    "prometheus": app("import prometheus_client", "prometheus_client.Counter('requests', 'n').inc()"),
    "instrumentator": app("from prometheus_fastapi_instrumentator import Instrumentator"),
    "middleware": app("from starlette_exporter import PrometheusMiddleware"),
    "opentelemetry": app("from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor"),
    "sentry": app("import sentry_sdk", more="\n    sentry_sdk.init(dsn='x')\n"),
    "in a module that the service imports": {
        **app("import metrics"),
        "metrics.py": "from prometheus_client import Histogram\nLATENCY = Histogram('latency', 's')\n",
    },
    "datadog's agent": {**app(), "Dockerfile": "FROM python\nCMD ddtrace-run uvicorn app:app\n"},
    "cloudwatch": {
        **app("import boto3", "boto3.client('cloudwatch').put_metric_data(Namespace='a', MetricData=[])")
    },
    "application insights": {
        "deploy.py": "from azureml.core.webservice import AciWebservice\n"
        "AciWebservice.deploy_configuration(cpu_cores=1, enable_app_insights=True)\n"
    },
    "application insights by a file": {
        **app(),
        "deployment.yml": "$schema: https://azureml.example/managedOnlineDeployment.schema.json\n"
        "app_insights_enabled: true\n",
    },
    "a scrape": {
        **app(),
        "prometheus.yml": "scrape_configs:\n  - job_name: app\n    static_configs:\n"
        "      - targets: ['app:8000']\n",
    },
    "a monitor of Kubernetes": {**app(), "k8s/monitor.yaml": "kind: ServiceMonitor\nmetadata: {name: a}\n"},
    "an annotation": {
        **app(),
        "k8s/app.yaml": "metadata:\n  annotations:\n    prometheus.io/scrape: 'true'\n",
    },
    "an alarm": {
        **app(),
        "infra/main.tf": 'resource "aws_cloudwatch_metric_alarm" "slow" {\n}\n',
    },
    "this library's server": {"mlops.toml": '[serving]\nengine = "ray"\n', "train.py": "x = 1\n"},
}
NO_SYSTEM = {
    "nothing": app(),
    "only in training": {**app(), **TRAIN},
    "keras": {**app(), "train.py": "import keras\nkeras.callbacks.EarlyStopping(monitor='val_loss')\n"},
    "mlflow": {**app(), "train.py": "import mlflow\nmlflow.autolog(log_system_metrics=True)\n"},
    "in a comment": app("# import sentry_sdk; sentry_sdk.init()"),
    "in a test": {**app(), "tests/test_app.py": "import sentry_sdk\nsentry_sdk.init()\n"},
    "a dependency": {**app(), "requirements.txt": "sentry-sdk\nprometheus-client\n"},
    "Prometheus of itself": {
        **app(),
        "prometheus.yml": "scrape_configs:\n  - job_name: prometheus\n    static_configs:\n"
        "      - targets: ['localhost:9090']\n",
    },
    "switched off": {**app(), "deployment.yml": "app_insights_enabled: false\n"},
    "off in code": app("import sentry_sdk", more="\n    if False:\n        sentry_sdk.init()\n"),
    "annotated off": {
        **app(),
        "k8s/app.yaml": "metadata:\n  annotations:\n    prometheus.io/scrape: 'false'\n",
    },
}


@pytest.mark.parametrize("files", SYSTEM.values(), ids=SYSTEM)
def test_a_service_that_is_measured(ask, files):
    found = ask("M1", files)
    assert (found.verdict, found.value) == ("pass", True)


@pytest.mark.parametrize("files", NO_SYSTEM.values(), ids=NO_SYSTEM)
def test_a_service_that_is_not(ask, files):
    found = ask("M1", files)
    assert (found.verdict, found.value) == ("fail", False)
    assert found.looked_at


@pytest.mark.parametrize("id", ["M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8"])
def test_nothing_served_need_not_be_watched(ask, id):
    found = ask(id, {"train.py": "from sklearn.svm import SVC\nSVC().fit(1, 2)\n"})
    assert (found.verdict, found.value) == ("n/a", False)


@pytest.mark.parametrize(
    ("kept", "files"),
    [
        (True, app("from pymongo import MongoClient", "MongoClient().db.predictions.insert_one({'a': 1})")),
        (True, app("import db", "db.execute('INSERT INTO predictions VALUES (1)')")),
        (True, app("from kafka import KafkaProducer", "producer.send_and_wait('predictions', b'')")),
        (
            True,
            {"deploy.py": "import sagemaker\nsagemaker.DataCaptureConfig(enable_capture=True)\n", **app()},
        ),
        (
            False,
            {"deploy.py": "import sagemaker\nsagemaker.DataCaptureConfig(enable_capture=False)\n", **app()},
        ),
        (False, app("import db", "db.execute('SELECT * FROM users')")),
    ],
)
def test_predictions_that_are_kept(ask, kept, files):
    assert ask("M5", files).verdict == ("pass" if kept else "fail")


@pytest.mark.parametrize(
    ("healthy", "files"),
    [
        (True, app(more="\n    @app.get('/health')\n    def health():\n        return 'ok'\n")),
        (True, app(more="\n    @app.get('/api/v1/healthz')\n    def health():\n        return 'ok'\n")),
        (True, {**app(), "Dockerfile": "FROM python\nHEALTHCHECK CMD curl -f localhost\n"}),
        (True, {**app(), "k8s.yaml": "spec:\n  livenessProbe:\n    httpGet: {path: /}\n"}),
        (False, {**app(), "Dockerfile": "FROM python\nHEALTHCHECK NONE\n"}),
        (False, app(more="\n    @app.get('/healthy-food')\n    def food():\n        return 'ok'\n")),
    ],
)
def test_a_service_that_tells_its_health(ask, healthy, files):
    assert ask("M6", files).verdict == ("pass" if healthy else "fail")
