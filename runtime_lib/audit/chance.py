"""What is left to chance in libraries of machine learning, and what seeds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from runtime_lib.audit.defaults import committed
from runtime_lib.audit.index.model import Call, Module, Repo

__all__ = [
    "HOOKS",
    "PACKAGES",
    "Rule",
    "committed_seed",
    "default_of",
    "parameters",
    "rule_of",
    "seeded_by",
    "trains",
]

_ALL = ("torch", "numpy", "random")
# Functions that seed whole libraries, by the end of their resolved names; the first that fits counts.
_SEEDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"torch\.(?:cuda\.|mps\.|xpu\.)?manual_seed(?:_all)?|torch\.random\.manual_seed", ("torch",)),
    (r"numpy\.random\.seed", ("numpy",)),
    (r"random\.seed", ("random",)),
    (r"(?:keras|tensorflow\.keras|tf_keras)\.utils\.set_random_seed", ("tensorflow", "numpy", "random")),
    (r"(?:tensorflow|tensorflow\.compat\.v1)\.(?:random\.)?set_(?:random_)?seed", ("tensorflow",)),
    (r"tensorflow\.(?:keras\.backend|compat\.v1\.random)\.set_random_seed", ("tensorflow",)),
    (r"(?:transformers|accelerate)[\w.]*\.(?:set_seed|enable_full_determinism)", (*_ALL, "tensorflow")),
    (r"mxnet\.random\.seed|mxnet\.np\.random\.seed", ("mxnet",)),
    (r"paddle\.(?:framework\.random\.)?(?:seed|_manual_program_seed)", ("paddle",)),
    (r"mlx\.core\.random\.seed", ("mlx",)),
    (r"monai\.utils\.(?:misc\.)?set_determinism", _ALL),
    (r"(?:pytorch_lightning|lightning)[\w.()]*\.seed_everything", _ALL),
    (r"(?:[\w.?]*\.)?LightningCLI", _ALL),
    (r"fastai[\w.]*\.set_seed", _ALL),
    (r"(?:mm\w+|detectron2|ignite|catalyst|pytorch_toolbelt|flair|allennlp|fairseq|timm|composer|torchtune|pyro"
     r"|stable_baselines3|nemo|speechbrain|espnet2?|ultralytics|deepspeed|ray|paddlenlp|ludwig|tianshou|llmfoundry)"
     r"[\w.]*\.(?:(?:set|init|fix)_(?:global_|manual_|random_|rng_|all_)?seeds?|seed_all(?:_rng)?|manual_seed"
     r"|random_seed|prepare_environment|seed_everything)", _ALL),
    (r"(?:transformers|trl|sentence_transformers|setfit)(?:\.\w+)*\.\w*Trainer", _ALL),
    (r"\??\.?(?:seed_everything|set_seed|set_all_seeds|set_random_seeds?|seed_all|fix_seeds?|set_global_seed)",
     _ALL),
)  # fmt: skip
_SEED_NAMES = [(re.compile(rf"(?:{pattern})\Z"), libraries) for pattern, libraries in _SEEDS]
# These seed themselves with a number of theirs if none is given.
_OWN_DEFAULT = re.compile(r"LightningCLI\Z|Trainer\Z|seed_everything\Z|set_determinism\Z")

PACKAGES: dict[str, tuple[str, ...]] = {
    "torch": ("torch", "pytorch_lightning", "lightning", "fastai", "timm", "torchvision", "accelerate",
              "mmengine"),
    "tensorflow": ("tensorflow", "keras", "tf_keras", "tflearn"),
    "mxnet": ("mxnet",),
    "paddle": ("paddle",),
    "mlx": ("mlx",),
}  # fmt: skip
# What shows that a module trains in the library, and does not only load or convert.
_TRAINS = {
    "torch": re.compile(
        r"torch\.(?:optim|nn|randperm|utils\.data)\b|\.backward\Z|Trainer|fastai\.|_learner\Z|Learner\Z|\.fit_one_cycle"
    ),
    "tensorflow": re.compile(
        r"(?:keras|tensorflow)[\w.]*\.(?:layers|Sequential|Model|optimizers|applications|models)\b|GradientTape"
        r"|\.train_on_batch\Z|\.compile\Z|fit_generator\Z|(?:keras|tensorflow).*\.fit\Z|\.minimize\Z"
    ),
    "mxnet": re.compile(r"mxnet\.gluon\.|\.backward\Z|mxnet\.mod\."),
    "paddle": re.compile(r"paddle\.(?:nn|optimizer|Model)\b|\.backward\Z"),
    "mlx": re.compile(r"mlx\.(?:nn|optimizers)\b"),
}
# Called by a framework, by their names.
HOOKS = frozenset(
    {
        "main",
        "run",
        "train",
        "fit",
        "forward",
        "setup",
        "call",
        "objective",
        "configure_optimizers",
        "train_dataloader",
        "training_step",
        "cli",
        "app",
    }
)
_ESTIMATORS = re.compile(
    r"(?:RandomForest\w+|ExtraTrees?\w+|GradientBoosting\w+|HistGradientBoosting\w+|Bagging\w+|AdaBoost\w+"
    r"|DecisionTree\w+|MLP\w+|SGD\w+|Perceptron|PassiveAggressive\w+|KMeans|MiniBatch\w+|GaussianMixture"
    r"|BayesianGaussianMixture|RandomizedSearchCV|HalvingRandomSearchCV|TSNE|TruncatedSVD|NMF|FastICA"
    r"|LatentDirichletAllocation|IsolationForest|RandomTreesEmbedding|ShuffleSplit|StratifiedShuffleSplit"
    r"|GroupShuffleSplit|train_test_split|shuffle|resample|make_\w+|SMOTE\w*|ADASYN|Random(?:Over|Under)Sampler"
    r"|Balanced\w+|SVD|SVDpp|UMAP|LightFM|AlternatingLeastSquares|BayesianPersonalizedRanking|LdaModel"
    r"|RANSACRegressor|SpectralClustering|RandomSplitter)\Z"
)
_NOT_RANDOM = re.compile(r"make_(?:pipeline|column_\w+|union|scorer)\Z|ShuffleSplit\(\)")
_SEEDED_PACKAGES = (
    "sklearn.", "imblearn.", "surprise.", "umap.", "lightfm.", "implicit.", "gensim.", "cuml.", "skopt.",
    "fastai.",
)  # fmt: skip
_SKLEARN_SOMETIMES = re.compile(r"(?:K|StratifiedK|RepeatedK|RepeatedStratifiedK|StratifiedGroupK)Fold\Z")
_SAMPLED = {"subsample", "colsample_bytree", "colsample_bylevel", "feature_fraction", "bagging_fraction"}
_NUMPY = re.compile(
    r"numpy\.random\.(?:rand|randn|randint|random|random_sample|choice|shuffle|permutation|normal|uniform|beta"
    r"|binomial|poisson|exponential|gamma|standard_normal|multivariate_normal|sample|ranf|random_integers)\Z"
)
_RANDOM = re.compile(
    r"random\.(?:random|randint|randrange|choices?|shuffle|sample|uniform|gauss|normalvariate|betavariate)\Z"
)


@dataclass(frozen=True)
class Rule:
    """A call that is left to chance unless it is given a seed.

    Attributes:
        library: whose global seed counts for it.
        keywords, place: of the seed.
        counts: whether a call without a seed is left to chance at all.
        default: it has a fixed seed of its own.
    """

    library: str
    keywords: tuple[str, ...] = ("random_state",)
    place: int | None = None
    counts: Callable[[Call], bool] = lambda call: True
    default: bool = False


def seeded_by(name: str) -> tuple[str, ...]:
    """The libraries that a call seeds."""
    return next((libraries for pattern, libraries in _SEED_NAMES if pattern.match(name)), ())


def default_of(name: str) -> bool:
    """Whether a function that seeds takes a fixed number where it is given none."""
    return bool(_OWN_DEFAULT.search(name))


def trains(module: Module) -> Collection[str]:
    """The libraries with a global state of chance in which a module trains."""
    found = []
    for library, packages in PACKAGES.items():
        if (
            module.packages & set(packages)
            and any(_TRAINS[library].search(call.name) for call in module.calls)
        ) or (
            module.packages & set(packages)
            and any(_TRAINS[library].search(base) for bases, _ in module.classes.values() for base in bases)
        ):
            found.append(library)
    return found


def committed_seed(repo: Repo) -> list[Any]:
    """What configurations set seeds to."""
    return [value for name in ("seed", "random_state", "random_seed") for value in committed(repo, name)]


def rule_of(call: Call) -> Rule | None:
    """How chance comes into a call; None if it does not."""
    name = call.name
    if name.startswith(_SEEDED_PACKAGES):
        return _of_sklearn(call)
    if _NUMPY.match(name):
        return Rule("numpy", keywords=())
    if _RANDOM.match(name):
        return Rule("random", keywords=())
    for pattern, rule in _RULES:
        if pattern.match(name):
            return rule
    return None


def _of_sklearn(call: Call) -> Rule | None:
    if _NOT_RANDOM.search(call.name):
        return None
    if _SKLEARN_SOMETIMES.search(call.name):
        return Rule("numpy", counts=lambda one: one.keywords.get("shuffle") is True or "Repeated" in one.name)
    if call.name.endswith(".LogisticRegression"):
        return Rule("numpy", counts=lambda one: one.keywords.get("solver") in ("sag", "saga"))
    if call.name.endswith((".SVC", ".NuSVC")):
        return Rule("numpy", counts=lambda one: one.keywords.get("probability") is True)
    keywords = ("random_state", "seed")
    if not _ESTIMATORS.search(call.name) and not call.keywords.keys() & set(keywords):
        return None
    return Rule("numpy", keywords, counts=lambda one: one.keywords.get("shuffle") is not False)


def _sampled(call: Call) -> bool:
    """Whether a booster takes a part of rows or columns; if not, its result is always the same."""
    given = {**call.keywords, **parameters(call)}
    return any(isinstance(given.get(key), float) and given[key] < 1 for key in _SAMPLED)


def parameters(call: Call) -> dict[str, Any]:
    """Parameters in a dict: `lgb.train(params, …)`, `RandomForestClassifier(**params)`."""
    found = (call.keywords.get("**"), call.keywords.get("params"), call.args[0] if call.args else None)
    return next((one for one in found if isinstance(one, dict)), {})


def _never(call: Call) -> bool:
    return False


_BOOSTER = ("random_state", "seed", "random_seed")
_RULES: tuple[tuple[re.Pattern[str], Rule], ...] = tuple(
    (re.compile(rf"(?:{pattern})\Z"), rule)
    for pattern, rule in (
        (r"torch\.Generator\(\)\.manual_seed", Rule("torch", ("seed",), 0)),
        (r"numpy\.random\.(?:RandomState|default_rng|Generator)", Rule("numpy", ("seed",), 0)),
        (r"jax\.random\.(?:PRNGKey|key)", Rule("jax", ("seed",), 0)),
        (r"(?:xgboost|lightgbm)\.(?:XGB|LGBM|train\Z|cv\Z)\w*", Rule("numpy", _BOOSTER, counts=_sampled)),
        (r"catboost\.CatBoost\w*", Rule("numpy", _BOOSTER, counts=_never)),
        (r"pandas\..*\.sample|\?\.sample|.*\(\)\.sample",
         Rule("numpy", ("random_state", "seed"), counts=lambda call: "frac" in call.keywords)),
        (r".*\.randomSplit", Rule("spark", ("seed",), 1)),
        (r"(?:datasets\.|\?).*\.(?:train_test_split|shuffle)",
         Rule("numpy", ("seed",), counts=lambda call: "test_size" in call.keywords)),
        (r"(?:tensorflow|keras).*\.image_dataset_from_directory|.*\.flow_from_(?:directory|dataframe)",
         Rule("tensorflow", ("seed",), counts=_never)),
        (r"optuna\.samplers\.\w+", Rule("optuna", ("seed",))),
        (r"optuna\.create_study", Rule("optuna", (), counts=lambda call: "sampler" not in call.keywords)),
        (r"h2o\.estimators\..*Estimator", Rule("h2o", ("seed",))),
        (r"pycaret\..*\.setup", Rule("numpy", ("session_id",))),
        (r"stable_baselines3\.\w+", Rule("torch", ("seed",), counts=lambda call: bool(call.args))),
        (r"pyspark\.ml\..*", Rule("spark", ("seed",), counts=_never)),
        (r"(?:ultralytics\.(?:YOLO|RTDETR)|autogluon\.\w+\.\w+Predictor)\(\)\.(?:train|fit)",
         Rule("torch", ("seed",), default=True)),
    )
)  # fmt: skip
