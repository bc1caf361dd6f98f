"""The parts of a repository by what their code does: start, train, serve, test, show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from runtime_lib.audit.index.model import Call, Module, Repo
from runtime_lib.audit.queries import calls, files, imports, once, reached
from runtime_lib.audit.tools import named

__all__ = ["examples", "fits", "mentioned", "predicts", "serving", "started", "tests", "training", "web"]

_TEST_FOLDERS = {"test", "tests", "testing", "unit_tests", "unittests", "integration_tests"}
_EXAMPLE_FOLDERS = re.compile(
    r"(?:^|/)(?:examples?|tutorials?|docs?|documentation|benchmarks?|demos?|samples?|recipes)/", re.IGNORECASE
)
_FITS = (
    "*.fit", "*.fit_generator", "*.partial_fit", "*.fit_one_cycle", "*.fine_tune", "*.backward",
    "*.train_step", "*.learn", "*.train", "*.tune", "*.train_supervised", "*.train_unsupervised",
    "tensorflow.GradientTape", "*.train_on_batch", "*.minimize", "jax.grad", "jax.value_and_grad",
    "*.value_and_grad", "sklearn.*.cross_val*", "*.compare_models", "*.create_model", "*.fit_predict",
    "lightgbm.cv", "xgboost.cv", "spacy.cli.train", "*.CustomTrainingJob", "*.CustomJob",
    "*TrainingJob().run", "*.create_training_job", "*.apply_gradients",
)  # fmt: skip
# `fit` of these learns no model of what is predicted.
_NO_MODELS = re.compile(
    r"sklearn\.(?:preprocessing|feature_extraction|impute|compose|feature_selection|decomposition"
    r"|random_projection|manifold)\b|LabelEncoder|Tokenizer|Vectorizer|Scaler\(|Encoder\(|scipy\.|pandas\."
    r"|\.optimize\.|curve_fit|ImageDataGenerator|Binarizer|datagen"
)
# `model.train()` of PyTorch only turns dropout on; SHAP, plots and clients of services have such words too.
_TRAINERS = re.compile(
    r"(?:lightgbm|xgboost|catboost|fasttext|h2o|ultralytics|trl|transformers|detectron2|ray|mmengine|paddle|rasa"
    r"|tensorflow|keras|lightning|pytorch_lightning|autogluon|setfit|flair|peft|sentence_transformers|accelerate"
    r"|runtime_lib\.training)\b"
    r"|[Tt]rainer|YOLO"
)
_LEARNERS = re.compile(r"stable_baselines3|sb3|fastai|[Ll]earner|agent|PPO|DQN|A2C|SAC")
_PREDICTS = (
    "*.predict", "*.predict_proba", "*.predict_one", "*.predict_step", "*.batch_predict", "*.generate",
    "*.infer", "*.inference", "*.forecast", "*.decision_function", "*.recommend", "*.embed", "*.encode",
    "*.transcribe", "joblib.load", "pickle.load", "cloudpickle.load", "dill.load", "*.load_model",
    "*.load_checkpoint", "*.load_from_checkpoint", "torch.load", "torch.jit.load", "*.from_pretrained",
    "transformers.pipeline*", "*.InferenceSession", "*.tflite.Interpreter", "*.saved_model.load",
    "spacy.load", "ultralytics.YOLO", "*.invoke_endpoint", "*.invoke_endpoint_async", "torch.hub.load",
    "openai.*", "anthropic.*", "*.ModelClient",
)  # fmt: skip
_COMMAND_FILES = (
    "makefile", "*.mk", "*.sh", "*.bash", "*.bat", "*.ps1", "dockerfile*", "*.dockerfile", "mlproject",
    "procfile", "justfile", "snakefile", "*.smk", "*.y*ml", "*.toml", "*.cfg", "package.json",
    "jenkinsfile*",
)  # fmt: skip


@once
def tests(repo: Repo) -> frozenset[str]:
    """Test modules and what belongs to them: in a folder of tests, or by name and with a test in it.

    A file test.py that only runs a model over a test set is none.
    """
    return frozenset(path for path, module in repo.modules.items() if _is_test(path, module))


def _is_test(path: str, module: Module) -> bool:
    *folders, name = PurePosixPath(path).parts
    if name == "conftest.py" or _TEST_FOLDERS & {one.lower() for one in folders}:
        return True
    if not re.fullmatch(r"tests?(?:_.*)?\.py|.*_tests?\.py|.*Tests?\.py", name):
        return False
    cases = any(base.endswith("TestCase") for bases, _ in module.classes.values() for base in bases)
    return cases or any(one.name.rpartition(".")[2].startswith("test_") for one in module.functions)


@once
def examples(repo: Repo) -> frozenset[str]:
    """Modules and notebooks of examples, tutorials, docs and benchmarks."""
    return frozenset(one.path for one in repo.code() if _EXAMPLE_FOLDERS.search(one.path))


def fits(repo: Repo) -> Iterator[tuple[Module, Call]]:
    """Calls that train a model, anywhere but in tests; preprocessing is none."""
    names = tuple(part for tool in named("framework") for part in tool.imports)
    learning = {module.path for module, _ in imports(repo, *names)}
    for module, call in calls(repo, *_FITS):
        if (
            module.path not in tests(repo)
            and not _NO_MODELS.search(call.name)
            and _trains(call, module, learning)
        ):
            yield module, call


def _trains(call: Call, module: Module, learning: set[str]) -> bool:
    verb = call.name.rpartition(".")[2]
    if verb in ("train", "tune", "create_model", "minimize"):
        # `.train()` with nothing in brackets is the mode of a network, unless a trainer is asked.
        return bool(_TRAINERS.search(call.name)) and "nn." not in call.name
    if verb == "learn":
        return bool(_LEARNERS.search(call.name))
    if verb == "backward" and (call.args or call.keywords) and "autograd" in call.name:
        return False
    if call.name.partition(".")[0] in ("sklearn", "xgboost", "lightgbm", "catboost", "keras", "tensorflow"):
        return True
    # What is fitted is not known by name: the module must have to do with models at all.
    return module.path in learning or bool(
        re.search(r"train|model|fit", f"{module.path} {call.function}", re.I)
    )


@once
def predicts(repo: Repo) -> frozenset[str]:
    """Paths of code that predicts with a model or loads one; tests are left out."""
    return frozenset(module.path for module, _ in calls(repo, *_PREDICTS)) - tests(repo)


@once
def started(repo: Repo) -> frozenset[str]:
    """What somebody or something starts: scripts, notebooks, commands, pipelines, services; no tests."""
    found = {path for path, module in repo.modules.items() if module.is_script} | set(repo.notebooks)
    installed = {target.partition(":")[0] for target in repo.entry_points.values()}
    found |= {path for path, module in repo.modules.items() if module.name in installed}
    tools = tuple(part for tool in named("pipeline") for part in tool.imports)
    found |= {module.path for module, _ in imports(repo, *tools)} | web(repo)
    text = _commanded(repo)
    found |= {path for path, module in repo.modules.items() if path not in found and _named_in(text, module)}
    return frozenset(found - tests(repo))


def _named_in(words: frozenset[str], module: Module) -> bool:
    return module.path in words or PurePosixPath(module.path).name in words or module.name in words


@once
def _commanded(repo: Repo) -> frozenset[str]:
    """Words of commands that may name a module: "src/train.py", "train.py", "package.train"."""
    found: set[str] = set()
    pattern = re.compile(r"[\w./-]+\.py\b|(?<=-m )[\w.]+|[\w.]+(?=:\w)|\w+(?:\.\w+){2,}")
    for path in files(repo, *_COMMAND_FILES):
        if (text := repo.texts.get(path)) is not None:
            found.update(word for line in text.lines for word in pattern.findall(line))
        elif (document := repo.documents.get(path)) is not None:
            values = (str(one.value) for one in document.entries if isinstance(one.value, str))
            found.update(word for value in values for word in pattern.findall(value))
    found.update(
        word
        for pipeline in repo.ci
        for job in pipeline.jobs
        for command in job.commands
        for word in pattern.findall(command.text)
    )
    found |= {PurePosixPath(word).name for word in found if word.endswith(".py")}
    return frozenset(word.removeprefix("./") for word in found)


@once
def training(repo: Repo) -> frozenset[str]:
    """Modules and notebooks that train a model and are started by something of this repository."""
    candidates = {module.path for module, _ in fits(repo)}
    return frozenset(candidates & reached(repo, started(repo)))


@once
def web(repo: Repo) -> frozenset[str]:
    """Modules that take requests: web frameworks, servers of models, handlers of functions in a cloud."""
    roles = tuple(part for tool in named("serving") for part in tool.imports)
    servers = tuple(part for tool in named("serving") for part in tool.calls)
    found = {module.path for module, _ in calls(repo, *servers)} if servers else set()
    found |= {module.path for module, _ in imports(repo, *roles)}
    found |= {path for path, module in repo.modules.items() if _handles(module)}
    return frozenset(found - tests(repo) - set(repo.notebooks))


def _handles(module: Module) -> bool:
    """The functions that SageMaker, Azure ML and Lambda call by their names."""
    own = {one.name for one in module.functions if "." not in one.name}
    return {"init", "run"} <= own or bool(own & {"model_fn", "predict_fn", "lambda_handler", "transform_fn"})


@once
def serving(repo: Repo) -> frozenset[str]:
    """Modules that take requests and, themselves or in what they import, predict with a model."""
    able = predicts(repo)
    return frozenset(path for path in web(repo) if reached(repo, [path]) & able)


@once
def mentioned(repo: Repo) -> frozenset[str]:
    """Last names of all that is called, or handed over as an argument, outside of tests."""
    aside = tests(repo)
    found: set[str] = set()
    for module in repo.code():
        if module.path not in aside:
            for call in module.calls:
                found.add(call.name.rpartition(".")[2])
                found.update(name.removesuffix("()").rpartition(".")[2] for name in call.names.values())
            found.update(one.name.rpartition(".")[2] for one in module.functions if one.decorators)
    found.update(target.rpartition(":")[2] for target in repo.entry_points.values())
    return frozenset(found)
