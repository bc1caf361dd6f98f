"""How predictions get out of a repository: what its models are made for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.parts import examples, predicts, serving, started, tests, training, web
from runtime_lib.audit.queries import at, calls, commands, entries, files, imports, lines, reached
from runtime_lib.audit.tools import named

__all__ = ["Target", "targets"]

Target = Literal["api", "batch", "streaming", "embedded", "library", "managed-endpoint", "cli", "none"]

_PACKAGES = ("/pyproject.toml", "/setup.py", "/setup.cfg", "/description")
_STREAMS = (
    "kafka", "confluent_kafka", "aiokafka", "faust", "pyflink", "bytewax", "quixstreams", "pika",
    "aio_pika", "kinesis", "paho", "nats", "pyspark.streaming",
)  # fmt: skip
_READS_STREAMS = (
    "*KafkaConsumer", "confluent_kafka.Consumer", "*.AIOKafkaConsumer", "faust.App", "*.basic_consume",
    "*.readStream*", "*.StreamExecutionEnvironment.*", "quixstreams.*", "bytewax.*",
    "google.cloud.pubsub*.subscribe", "*.get_records",
)  # fmt: skip
_EMBEDDED = (
    "*.TFLiteConverter.from_*", "coremltools.convert", "coremltools.converters.*",
    "*.optimize_for_mobile", "tensorflowjs.*", "executorch.*", "*.tflite.Interpreter", "tflite_runtime.*",
    "tensorrt.*", "torch_tensorrt.*", "openvino.*", "*.to_edge", "micromlgen.*", "m2cgen.*",
)  # fmt: skip
_MANAGED = (
    "sagemaker.*.deploy", "sagemaker.*RegisterModel", "sagemaker.*CreateModelStep", "*.create_endpoint",
    "*.create_endpoint_config", "*.update_endpoint",
    "google.cloud.aiplatform.*.deploy", "google.cloud.aiplatform.Endpoint*", "*.ModelDeployOp",
    "*.EndpointCreateOp", "azureml.core*Webservice*", "azureml.core*.Model.deploy",
    "azure.ai.ml.*OnlineEndpoint*", "*.begin_create_or_update", "*.online_endpoints.*",
    "mlflow.deployments.*", "mlflow.sagemaker.*", "*.serving_endpoints.*",
)  # fmt: skip
_BATCH = (
    "sagemaker.*Transformer", "*.transformer", "*.create_transform_job", "*.TransformStep",
    "*.BatchPredictionJob.create", "*.batch_predict", "*.ModelBatchPredictOp",
    "azure.ai.ml.*BatchEndpoint*", "mlflow.pyfunc.spark_udf", "*.ParallelRunStep", "*.score_batch",
)  # fmt: skip
_SCORES = re.compile(
    r"(?:^|[/_])(?:batch\w*|predict\w*|prediction\w*|infer|inference\w*|score|scoring|forecast\w*|generate_predictions"
    r"|make_predictions|submission|submit|detect|recommend\w*)\.(?:py|ipynb)$",
    re.IGNORECASE,
)
_SCORING = re.compile(r"predict|infer|scor(?:e|ing)|forecast|recommend|batch", re.IGNORECASE)
_IMAGES = (
    r"(?i)\b(?:tensorflow/serving|tritonserver|pytorch/torchserve|seldonio/|kserve/|bentoml/|vllm/vllm"
    r"|text-generation-inference)"
)
_SERVERS = (
    r"\bmlflow models serve\b|\btensorflow_model_server\b|\btritonserver\b|\btorchserve\b|\bbentoml serve\b"
    r"|\bmlops serve\b|\bserve (?:run|deploy)\b|\bvllm serve\b"
)


def targets(repo: Repo, kind: str) -> tuple[tuple[Target, ...], tuple[Evidence, ...]]:
    """All ways that are found, the most direct first; "none" alone if there is none."""
    aside = tests(repo) | (examples(repo) if kind == "library" else frozenset())
    found: dict[Target, Evidence] = {}
    for target, shown in (
        ("library", _library(repo, kind)),
        ("api", _api(repo)),
        ("managed-endpoint", _managed(repo)),
        ("streaming", _streaming(repo)),
        ("embedded", _embedded(repo)),
        ("batch", _batch(repo)),
        ("cli", _cli(repo, kind)),
    ):
        for one in shown:
            if one.path not in aside:
                found.setdefault(target, one)  # type: ignore[arg-type]
                break
    if not found:
        return ("none",), ()
    return tuple(found), tuple(found.values())


def _library(repo: Repo, kind: str) -> Iterator[Evidence]:
    if kind == "library":
        yield from (at(path, 1, "a package to install") for path in files(repo, *_PACKAGES))


def _api(repo: Repo) -> Iterator[Evidence]:
    names = tuple(part for tool in named("serving") for part in tool.imports)
    # Where there is no model at all, what answers requests is what is deployed.
    yield from (at(path, 1, path) for path in files(repo, "plumber.r", "/app.r", "/server.r"))
    answers = serving(repo) or (frozenset() if predicts(repo) or training(repo) else web(repo))
    yield from (one for _, one in imports(repo, *names, within=answers))
    yield from (at(path, 1, "a handler of requests") for path in sorted(answers))
    for document, entry in entries(repo, "serving.engine", within="/mlops.toml"):
        yield at(document, entry.line, "mlops serve answers requests")
    for document, entry in entries(repo, "*kind", within="*.y*ml"):
        if entry.value in ("InferenceService", "SeldonDeployment", "RayService", "ServingRuntime"):
            yield at(document, entry.line, f"kind: {entry.value}")
    for document, entry in entries(repo, "*image", within="*.y*ml"):
        if isinstance(entry.value, str) and re.search(_IMAGES, entry.value):
            yield at(document, entry.line, f"image: {entry.value}")
    yield from (at(text, line, words) for text, line, words in lines(repo, _IMAGES, within="*dockerfile*"))
    for glob in ("*dockerfile*", "*.sh", "makefile", "mlproject", "procfile"):
        yield from (at(text, line, words) for text, line, words in lines(repo, _SERVERS, within=glob))


def _managed(repo: Repo) -> Iterator[Evidence]:
    clouds = {
        m.path
        for m, _ in imports(
            repo, "sagemaker", "boto3", "azureml", "azure.ai.ml", "google.cloud", "mlflow", "kfp"
        )
    }
    yield from (at(module, one.line, one.name) for module, one in calls(repo, *_MANAGED, within=clouds))
    made = (
        r"managedOnline(?:Endpoint|Deployment)|AWS::SageMaker::Endpoint|sagemaker:(?:create|update)Endpoint\b"
    )
    for document, entry in entries(repo, "*$schema", "*Type", "*Resource"):
        if re.search(made, str(entry.value)):
            yield at(document, entry.line, str(entry.value))
    yield from (at(path, 1, "cog.yaml") for path in files(repo, "cog.yaml"))
    pattern = (
        r"\baz ml (?:online-(?:endpoint|deployment) create|model deploy)\b"
        r"|\bgcloud ai endpoints deploy-model\b|\bcog push\b"
    )
    yield from (at(one.path, one.line, one.text) for _, _, one in commands(repo, pattern))


def _streaming(repo: Repo) -> Iterator[Evidence]:
    able = predicts(repo)
    for module, one in calls(repo, *_READS_STREAMS):
        if reached(repo, [module.path]) & able and any(
            name in _STREAMS or name == "pyspark" for name in module.packages
        ):
            yield at(module, one.line, one.name)


def _embedded(repo: Repo) -> Iterator[Evidence]:
    yield from (at(module, one.line, one.name) for module, one in calls(repo, *_EMBEDDED))
    yield from (at(path, 1, path) for path in files(repo, "*.tflite", "*.mlmodel", "*.mlpackage/*", "*.ino"))


def _batch(repo: Repo) -> Iterator[Evidence]:
    yield from (at(module, one.line, one.name) for module, one in calls(repo, *_BATCH))
    for document, entry in entries(repo, "*$schema"):
        if re.search(r"batch(?:Endpoint|Deployment)", str(entry.value)):
            yield at(document, entry.line, str(entry.value))
    for _, _, command in commands(repo, r"\baz ml batch-(?:endpoint|deployment) create\b"):
        yield at(command.path, command.line, command.text)
    able, trains = predicts(repo), training(repo)
    tools = tuple(part for tool in named("pipeline") for part in tool.imports)
    for module, shown in imports(repo, *tools):
        if _SCORING.search(module.path):
            yield shown
        for one in module.calls:
            if re.search(r"\.predict\w*$", one.name) and _SCORING.search(one.function):
                yield at(module, one.line, f"{one.name} in {one.function}")
    for path in sorted(started(repo) - serving(repo) - trains):
        if path in repo.modules and _SCORES.search(path) and reached(repo, [path]) & able:
            yield at(path, 1, "a script that predicts")


def _cli(repo: Repo, kind: str) -> Iterator[Evidence]:
    """A command that is installed, or a script with options, that predicts."""
    able, trains = predicts(repo), training(repo)
    installed = {target.partition(":")[0] for target in repo.entry_points.values()}
    for path, module in repo.modules.items():
        # What a library or a template installs is what it is made for.
        if module.name in installed and (kind in ("library", "template") or reached(repo, [path]) & able):
            yield at(path, 1, "an installed command")
    options = (
        "argparse.ArgumentParser",
        "click.command",
        "typer.Typer",
        "typer.run",
        "fire.Fire",
        "docopt.docopt",
    )
    for module, one in calls(repo, *options, within=started(repo) - trains):
        if _SCORES.search(module.path) and module.path in able:
            yield at(module, one.line, one.name)
