"""What shows that a tool is used, and for what: a new tool is a line of `TOOLS`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.queries import at, calls, commands, entries, files, imports, uses

__all__ = ["ROLES", "TOOLS", "Tool", "named", "used"]

# What a tool is for. A tool with two purposes has two lines, since other things show each of them.
ROLES = (
    "framework",  # trains or predicts
    "tracker",  # records runs
    "registry",  # registers model versions
    "data_versioning",
    "pipeline",  # defines steps from data to a model
    "config",  # reads parameters from files
    "data_tests",
    "serving",  # answers predictions
    "monitoring_system",  # metrics or errors of a running service
    "monitoring_model",  # predictions or their quality
    "drift",
    "alerts",
)
SIGNS = ("calls", "imports", "files", "keys", "actions", "commands", "packages")


@dataclass(frozen=True)
class Tool:
    """What shows one tool in one role. Any of these is enough; none is by itself proof that it is reached.

    Attributes:
        name: as a fact says it.
        packages: as requirements declare them, normalised; a dependency alone says little.
        imports: packages or modules whose import shows it.
        calls: patterns of resolved calls (`queries.calls`).
        files: patterns of tracked files (`queries.files`).
        keys: keys in documents, as "glob of the file:pattern of the keys" (`queries.entries`).
        actions: regular expressions of what CI jobs use; `commands`: of what they run.
    """

    name: str
    role: str
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def named(role: str) -> Iterator[Tool]:
    """The tools of a role, the most usual first."""
    return (tool for tool in TOOLS if tool.role == role)


def used(
    repo: Repo,
    role: str,
    *,
    by: Collection[str] = ("calls", "files", "keys", "actions", "commands"),
    within: Collection[str] | None = None,
) -> list[tuple[str, Evidence]]:
    """What shows tools of a role: (name of the tool, evidence), tool by tool in the order of the table.

    Args:
        by: the signs that count, of `SIGNS`.
        within: calls and imports only of these paths.
    """
    return [
        (tool.name, one) for tool in named(role) for sign in by for one in _shown(repo, tool, sign, within)
    ]


def _shown(repo: Repo, tool: Tool, sign: str, within: Collection[str] | None) -> Iterator[Evidence]:
    wanted: tuple[str, ...] = getattr(tool, sign)
    if not wanted:
        return
    if sign == "calls":
        yield from (
            at(module, one.line, f"{one.name}(…)") for module, one in calls(repo, *wanted, within=within)
        )
    elif sign == "imports":
        yield from (one for _, one in imports(repo, *wanted, within=within))
    elif sign == "files":
        yield from (at(path, 1, path.rpartition("/")[2]) for path in files(repo, *wanted))
    elif sign == "packages":
        found = (one for one in repo.dependencies.requirements if one.name in wanted)
        yield from (at(one.path, one.line, f"{one.name}{one.spec}") for one in found)
    else:
        yield from _written(repo, sign, wanted)


def _written(repo: Repo, sign: str, wanted: tuple[str, ...]) -> Iterator[Evidence]:
    for pattern in wanted:
        if sign == "keys":
            where, _, keys = pattern.partition(":")
            for document, entry in entries(repo, keys, within=where):
                yield at(document, entry.line, f"{'.'.join(map(str, entry.keys))}: {entry.value}")
        elif sign == "actions":
            yield from (at(pipeline, line, name) for pipeline, _, name, line in uses(repo, pattern))
        elif sign == "commands":
            yield from (at(one.path, one.line, one.text) for _, _, one in commands(repo, pattern))


TOOLS: tuple[Tool, ...] = (
    # Frameworks: `imports` are what trains or predicts.
    Tool("scikit-learn", "framework", ("scikit-learn",), ("sklearn",)),
    Tool("pytorch", "framework", ("torch",), ("torch",)),
    Tool("lightning", "framework", ("lightning", "pytorch-lightning"), ("lightning", "pytorch_lightning")),
    Tool("tensorflow", "framework", ("tensorflow",), ("tensorflow",)),
    Tool("keras", "framework", ("keras",), ("keras",)),
    Tool("xgboost", "framework", ("xgboost",), ("xgboost",)),
    Tool("lightgbm", "framework", ("lightgbm",), ("lightgbm",)),
    Tool("catboost", "framework", ("catboost",), ("catboost",)),
    Tool("transformers", "framework", ("transformers",), ("transformers", "sentence_transformers", "trl")),
    Tool("jax", "framework", ("jax",), ("jax", "flax")),
    Tool("fastai", "framework", ("fastai",), ("fastai",)),
    Tool("mxnet", "framework", ("mxnet",), ("mxnet", "gluonts")),
    Tool("spark-ml", "framework", ("pyspark",), ("pyspark.ml", "pyspark.mllib")),
    Tool("statsmodels", "framework", ("statsmodels",), ("statsmodels",)),
    Tool("prophet", "framework", ("prophet",), ("prophet", "fbprophet")),
    Tool("spacy", "framework", ("spacy",), ("spacy",)),
    Tool("mlx", "framework", ("mlx",), ("mlx",)),
    Tool("ultralytics", "framework", ("ultralytics",), ("ultralytics",)),
    Tool("paddle", "framework", ("paddlepaddle",), ("paddle",)),
    Tool("h2o", "framework", ("h2o",), ("h2o",)),
    Tool("autogluon", "framework", ("autogluon",), ("autogluon",)),
    Tool("pycaret", "framework", ("pycaret",), ("pycaret",)),
    Tool("surprise", "framework", ("scikit-surprise",), ("surprise",)),
    Tool("gensim", "framework", ("gensim",), ("gensim",)),
    Tool("stable-baselines3", "framework", ("stable-baselines3",), ("stable_baselines3",)),
    Tool("detectron2", "framework", ("detectron2",), ("detectron2",)),
    Tool("onnxruntime", "framework", ("onnxruntime",), ("onnxruntime",)),
    Tool("fasttext", "framework", ("fasttext",), ("fasttext",)),
    # Trackers
    Tool(
        "mlflow",
        "tracker",
        ("mlflow", "mlflow-skinny"),
        ("mlflow",),
        (
            "mlflow.start_run",
            "mlflow.log_*",
            "mlflow.*autolog",
            "*MLFlowLogger",
            "*MlflowClient().log_*",
            "*MLflowCallback",
            "*MlflowLoggerCallback",
        ),
    ),
    Tool(
        "wandb",
        "tracker",
        ("wandb",),
        ("wandb",),
        ("wandb.init", "wandb.log", "*WandbLogger", "*WandbCallback", "*WandbMetricsLogger"),
    ),
    Tool(
        "tensorboard",
        "tracker",
        ("tensorboard", "tensorboardx"),
        ("torch.utils.tensorboard", "tensorboardX"),
        ("*.SummaryWriter", "*.callbacks.TensorBoard", "*TensorBoardLogger", "tensorflow.summary.*"),
    ),
    Tool(
        "neptune",
        "tracker",
        ("neptune", "neptune-client"),
        ("neptune",),
        ("neptune.init*", "neptune.*.init*", "*NeptuneLogger"),
    ),
    Tool(
        "comet",
        "tracker",
        ("comet-ml",),
        ("comet_ml",),
        ("comet_ml.Experiment", "comet_ml.start", "comet_ml.init", "*CometLogger"),
    ),
    Tool("clearml", "tracker", ("clearml",), ("clearml",), ("clearml.Task.init", "clearml.Task.create")),
    Tool("dvclive", "tracker", ("dvclive",), ("dvclive",), ("dvclive.Live", "dvclive.*.DVCLive*")),
    Tool("aim", "tracker", ("aim",), ("aim",), ("aim.Run", "aim.*.AimLogger", "aim.*.AimCallback")),
    Tool("sacred", "tracker", ("sacred",), ("sacred",), ("sacred.Experiment",)),
    Tool("swanlab", "tracker", ("swanlab",), ("swanlab",), ("swanlab.init", "swanlab.log")),
    Tool("trackio", "tracker", ("trackio",), ("trackio",), ("trackio.init", "trackio.log")),
    Tool("azureml", "tracker", ("azureml-core",), ("azureml.core",), ("azureml.core*.Run.get_context",)),
    Tool(
        "vertex",
        "tracker",
        ("google-cloud-aiplatform",),
        ("google.cloud.aiplatform",),
        ("google.cloud.aiplatform.start_run", "google.cloud.aiplatform.log_*"),
    ),
    Tool(
        "sagemaker",
        "tracker",
        ("sagemaker",),
        ("sagemaker.experiments", "smexperiments"),
        ("sagemaker.experiments*.Run", "sagemaker.experiments*.load_run", "smexperiments.*.create"),
    ),
    # Registries
    Tool(
        "mlflow",
        "registry",
        calls=(
            "mlflow.register_model",
            "mlflow.*.register_model",
            "*.create_model_version",
            "*.create_registered_model",
        ),
    ),
    Tool(
        "sagemaker",
        "registry",
        calls=(
            "sagemaker.*RegisterModel",
            "sagemaker.*ModelStep",
            "*.create_model_package",
            "*.create_model_package_group",
        ),
    ),
    Tool(
        "azureml",
        "registry",
        calls=("azureml.core*.Model.register", "azureml.core*Run.get_context().register_model"),
        commands=(r"\baz ml model (create|register)\b",),
    ),
    Tool(
        "vertex",
        "registry",
        calls=("google.cloud.aiplatform.Model.upload", "*.ModelUploadOp"),
        commands=(r"\bgcloud ai models upload\b",),
    ),
    Tool("wandb", "registry", calls=("wandb*.link_artifact", "wandb*.link_model")),
    Tool("comet", "registry", calls=("comet_ml*.register_model",)),
    Tool("clearml", "registry", calls=("clearml.OutputModel",)),
    Tool("huggingface", "registry", calls=("*.push_to_hub",)),
    Tool("bentoml", "registry", calls=("bentoml.*.save_model",)),
    Tool("hopsworks", "registry", calls=("hopsworks.*get_model_registry*",)),
    # Versioned data
    Tool(
        "dvc",
        "data_versioning",
        ("dvc",),
        files=("*.dvc", "/dvc.lock", "*/dvc.lock", "*.dvc/config"),
        commands=(r"\bdvc (pull|push|repro|add)\b",),
    ),
    Tool("git-lfs", "data_versioning"),  # `filter=lfs` in .gitattributes, for data: see versioning
    Tool("lakefs", "data_versioning", ("lakefs", "lakefs-client"), ("lakefs", "lakefs_client")),
    Tool("delta", "data_versioning", ("delta-spark", "deltalake"), ("delta", "deltalake")),
    Tool(
        "pachyderm",
        "data_versioning",
        ("python-pachyderm", "pachyderm-sdk"),
        ("python_pachyderm", "pachyderm_sdk"),
    ),
    Tool("quilt", "data_versioning", ("quilt3",), ("quilt3",)),
    Tool("clearml", "data_versioning", calls=("clearml.Dataset.create", "clearml.Dataset.get")),
    Tool("wandb", "data_versioning", calls=("wandb*.use_artifact",)),
    Tool(
        "azureml",
        "data_versioning",
        calls=("azureml.core*.Dataset.*.register*", "azureml.core*Dataset.get_by_name"),
    ),
    Tool("vertex", "data_versioning", calls=("google.cloud.aiplatform.*Dataset.create",)),
    # Pipelines
    Tool(
        "dvc",
        "pipeline",
        ("dvc",),
        keys=("dvc.yaml:stages.*.cmd", "dvc.yaml:stages.*.cmd.*", "dvc.yaml:stages.*.do.cmd"),
    ),
    Tool(
        "kedro",
        "pipeline",
        ("kedro",),
        ("kedro",),
        ("kedro.pipeline*.node", "kedro.pipeline*.pipeline", "kedro.pipeline*.Pipeline"),
    ),
    Tool("metaflow", "pipeline", ("metaflow",), ("metaflow",), ("metaflow.step",)),
    Tool("prefect", "pipeline", ("prefect",), ("prefect",), ("prefect.flow", "prefect.Flow")),
    Tool("zenml", "pipeline", ("zenml",), ("zenml",), ("zenml.pipeline", "zenml.pipelines.pipeline")),
    Tool(
        "airflow",
        "pipeline",
        ("apache-airflow",),
        ("airflow",),
        ("airflow.*DAG", "airflow.decorators.dag", "airflow.sdk.dag"),
    ),
    Tool(
        "kubeflow",
        "pipeline",
        ("kfp",),
        ("kfp",),
        ("kfp.dsl.pipeline", "kfp.*.compile", "kfp.*Compiler().compile"),
    ),
    Tool("tfx", "pipeline", ("tfx",), ("tfx",), ("tfx.*.Pipeline",)),
    Tool(
        "dagster",
        "pipeline",
        ("dagster",),
        ("dagster",),
        ("dagster.Definitions", "dagster.job", "dagster.graph"),
    ),
    Tool("luigi", "pipeline", ("luigi",), ("luigi",), ("luigi.build", "luigi.run")),
    Tool("flyte", "pipeline", ("flytekit",), ("flytekit",), ("flytekit.workflow",)),
    Tool("ploomber", "pipeline", ("ploomber",), keys=("pipeline.yaml:tasks.*.source",)),
    Tool("snakemake", "pipeline", ("snakemake",), files=("snakefile", "*.smk")),
    Tool("nextflow", "pipeline", files=("*.nf",)),
    Tool("sagemaker", "pipeline", calls=("sagemaker.*.Pipeline",)),
    Tool("azureml", "pipeline", calls=("azureml.pipeline.core*.Pipeline", "azure.ai.ml.dsl.pipeline")),
    Tool("vertex", "pipeline", calls=("google.cloud.aiplatform.PipelineJob",)),
    Tool("argo", "pipeline", keys=("*.y*ml:spec.templates.*.name",)),
    Tool("databricks", "pipeline", keys=("*.y*ml:resources.jobs.*.tasks.*.task_key",)),
    # Parameters from files
    Tool(
        "hydra", "config", ("hydra-core",), ("hydra",), ("hydra.main", "hydra.compose", "hydra.initialize*")
    ),
    Tool("omegaconf", "config", ("omegaconf",), ("omegaconf",), ("omegaconf.OmegaConf.load",)),
    Tool("dvc", "config", calls=("dvc.api.params_show",)),
    Tool(
        "yaml",
        "config",
        ("pyyaml",),
        ("yaml",),
        ("yaml.safe_load", "yaml.load", "yaml.full_load", "ruamel.yaml*.load"),
    ),
    Tool("toml", "config", (), ("tomllib",), ("tomllib.load*", "toml.load*", "tomli.load*")),
    Tool("json", "config", (), ("json",), ("json.load",)),
    Tool("ini", "config", (), ("configparser",), ("configparser.ConfigParser().read",)),
    Tool("dynaconf", "config", ("dynaconf",), ("dynaconf",), ("dynaconf.Dynaconf",)),
    Tool("gin", "config", ("gin-config",), ("gin",), ("gin.parse_config*",)),
    Tool("jsonargparse", "config", ("jsonargparse",), ("jsonargparse",), ("jsonargparse.*", "*LightningCLI")),
    # Tests of data
    Tool(
        "great-expectations",
        "data_tests",
        ("great-expectations",),
        ("great_expectations",),
        ("great_expectations.*", "*.expect_column_*", "*.expect_table_*"),
        keys=("*.json:expectations.*.expectation_type",),
    ),
    Tool(
        "pandera",
        "data_tests",
        ("pandera",),
        ("pandera",),
        ("pandera.DataFrameSchema", "pandera.*.DataFrameSchema", "pandera.check_*", "pandera.*.check_*"),
    ),
    Tool("evidently", "data_tests", calls=("evidently.test_suite.TestSuite",)),
    Tool("deepchecks", "data_tests", ("deepchecks",), ("deepchecks",), ("deepchecks.*",)),
    Tool(
        "tfdv",
        "data_tests",
        ("tensorflow-data-validation",),
        ("tensorflow_data_validation",),
        ("tensorflow_data_validation.validate_*", "*.ExampleValidator"),
    ),
    Tool("soda", "data_tests", ("soda-core",), ("soda",), commands=(r"\bsoda scan\b",)),
    Tool("deequ", "data_tests", ("pydeequ",), ("pydeequ",), ("pydeequ.*",)),
    Tool("cerberus", "data_tests", ("cerberus",), ("cerberus",), ("cerberus.Validator",)),
    Tool("dbt", "data_tests", commands=(r"\bdbt (test|build)\b",)),
)
