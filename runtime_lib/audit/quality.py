"""Where the quality of a model stops something: tests, gates in code and pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime_lib.audit import parts
from runtime_lib.audit.defaults import committed
from runtime_lib.audit.gates import (
    PROMOTES,
    bounds,
    is_bare,
    is_close,
    is_quality,
    is_relative,
    switches,
)
from runtime_lib.audit.index.model import Branch, Evidence, Module, Repo
from runtime_lib.audit.policies import policies
from runtime_lib.audit.queries import at, calls, commands, entries, once
from runtime_lib.audit.switches import is_on, values
from runtime_lib.audit.testcases import Case, cases

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["behaviour", "comparing_tools", "gates", "relative_gates", "relative_tests", "tests", "tools"]

_MODEL = re.compile(
    r"(?:^|\.)(?:\w*fit|\w*train\w*|\w*predict\w*|\w*score|\w*evaluat\w*|load_model|from_pretrained|load_checkpoint"
    r"|load_from_checkpoint|\w*load\w*model\w*|\w*get\w*model\w*|\w*classify\w*|\w*infer\w*|\w*metrics?|main)$"
    r"|^(?:joblib|pickle|torch|cloudpickle|dill)\.load$|^sklearn\.metrics\."
)
_TRAINED = re.compile(
    r"(?:^|\.)(?:fit|train\w*|load_model|from_pretrained|load_from_checkpoint|\w*load\w*model\w*|\w*get\w*model\w*)$"
    r"|^(?:joblib|pickle|torch|cloudpickle|dill)\.load$"
)
_MAKES = re.compile(
    r"^(?:pandas\.DataFrame|numpy\.(?:array|arange|linspace|ones|zeros|full)|range)$|^numpy\.random\.|^random\."
    r"|sklearn\.datasets\.make_|^torch\.(?:rand\w*|tensor|ones|zeros|arange|linspace)$|default_rng"
)
_READS = re.compile(
    r"^(?:joblib|pickle|torch|cloudpickle|dill)\.load$|(?:^|\.)(?:read_\w+|scan_\w+|load_model|from_pretrained"
    r"|load_from_checkpoint|load_dataset|datasets\.(?:load|fetch)_\w+|\w*load\w*(?:data|model|csv|split|artifact|pipeline)\w*|get_data\w*)$"
)
_PREDICTS = re.compile(r"(?:^|\.)\w*(?:predict|classify|get_label|infer|forecast)\w*$", re.IGNORECASE)
_BEHAVIOUR = re.compile(r"behavio|invarian|directional|minimum_functionality|metamorphic", re.IGNORECASE)
_PREDICTED = re.compile(r"pred|label|class|sentiment|proba|forecast|answer|output", re.IGNORECASE)
_SHAPES = re.compile(
    r"\.shape|len\(|isinstance|type\(|columns|dtype|status_code|json\(|\.keys|is not None|hasattr|\bin \("
    r"|ndim|\.size"
)
_LITERAL = re.compile(r"(?:==|is)\s*(?:['\"\d\[(]|True|False|expected|label|y_true|target)|^\w+\.assertEqual")
# Where training has left its figures.
_FIGURES = re.compile(r"(?:metric|score|evaluation)[\w./-]*\.(?:json|ya?ml|toml)")
# Functions whose answer lets a model through, and names of such an answer.
_DECIDES = re.compile(
    r"deploy|promot|trigger|(?:^|_)gate|accept|approv|should|is_better|branch|decision|^compare"
    r"|(?:valid|check|verify|assess)\w*_(?:model|metric|accuracy|performance|quality)"
    r"|(?:model|metric|accuracy|performance|quality)\w*_(?:valid|check|gate|ok|pass)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"^\s*(?:\w*\.)?\w*(?:accept|better|promot|deploy|approv|should|improv|pass|valid|bless|wins?)\w*\s*=",
    re.I,
)
_PIPELINE_GATES = (
    "*.ConditionGreaterThan*",
    "*.ConditionLessThan*",
    "*.GenericValueThreshold",
    "tensorflow_model_analysis.MetricThreshold",
    "mlflow.validate_evaluation_results",
    "*.ModelQualityCheckStep",
    "stepfunctions.*ChoiceRule.Numeric*",
)
_SUITES = (
    "deepchecks.*model_evaluation*",
    "deepchecks.*full_suite",
    "giskard.*Suite*",
    "giskard.scan",
)
# What only tells of an answer.
_SAYS = frozenset(
    {"print", "logging.info", "logging.warning", "logging.error", "?.info", "?.warning", "?.error"}
)
_CHANGES = ("*.GenericChangeThreshold",)


def _gate_modules(repo: Repo, project: Project) -> Iterator[Module]:
    """Code in which a gate stands: no tests, no service, of a library no examples."""
    aside = parts.tests(repo) | (parts.examples(repo) if project.kind == "library" else frozenset())
    aside |= project.serving - project.training
    return (module for module in repo.code() if module.path not in aside)


def tests(repo: Repo) -> Iterator[Evidence]:
    """Tests that fail where a metric misses a bound."""
    for case in cases(repo):
        found = [text for _, text in case.asserts if is_quality(text)]
        if found and not _is_toy(case) and (_has_model(case) or any(map(_FIGURES.search, found))):
            yield at(case.module, case.function.line, f"{case.function.name}: {found[0]}")


def _has_model(case: Case) -> bool:
    return any(_MODEL.search(call.name) for _, call in case.calls)


def _is_toy(case: Case) -> bool:
    """Whether the test makes its own data: then it tests the code, not the model."""
    names = [call.name for _, call in case.calls]
    return any(map(_MAKES.search, names)) and not any(map(_READS.search, names))


def behaviour(repo: Repo) -> Iterator[Evidence]:
    """Tests that fail where a trained model answers otherwise than it should."""
    for case in cases(repo):
        named = _BEHAVIOUR.search(f"{case.module.path}::{case.function.name}")
        if (named and case.is_real) or _answers(case):
            yield at(case.module, case.function.line, f"def {case.function.name}")


def _answers(case: Case) -> bool:
    names = [call.name for _, call in case.calls]
    asks = any(map(_PREDICTS.search, names)) and any(map(_TRAINED.search, names))
    return asks and any(
        _PREDICTED.search(text) and _LITERAL.search(text) and not _SHAPES.search(text)
        for _, text in case.asserts
    )


def gates(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Branches and assertions that stop at a bound of a metric, and are on by default."""
    for module in _gate_modules(repo, project):
        for branch in module.branches:
            if (
                is_quality(branch.test)
                and _has_effect(repo, module, branch)
                and _is_active(repo, module, branch)
            ):
                yield at(module, branch.line, f"if {branch.test}")
        yield from (at(module, line, text) for line, text in _claims(module) if is_quality(text))
    for _, _, one in commands(repo, r"\b(?:assert|sys\.exit|exit 1)\b"):
        if re.search(r"(?:acc\w*|f1\w*|auc|score|rmse|mae|loss)\W+[<>]=?\s*[\d.$]", one.text, re.IGNORECASE):
            yield at(one.path, one.line, one.text)


def _claims(module: Module) -> Iterator[tuple[int, str]]:
    """Assertions of a module, in functions and outside."""
    yield from module.asserts
    for function in module.functions:
        yield from function.asserts


def _has_effect(repo: Repo, module: Module, branch: Branch) -> bool:
    """Whether a comparison stops something, or lets it through."""
    if branch.stops or branch.else_stops or _is_asset_check(module, branch):
        return True
    if branch.leaves and (_DECIDES.search(branch.function) or _saves_later(module, branch)):
        return True
    answers = [branch.test.partition("=")[0].strip()] if _ANSWER.search(branch.test) else []
    if answers and _DECIDES.search(branch.function.rpartition(".")[2]):
        return True
    answers += [one for one in branch.sets if _ANSWER.search(f"{one} =")]
    return any(_is_asked(repo, one.rpartition(".")[2]) for one in answers) or _acts(module, branch)


def _is_asset_check(module: Module, branch: Branch) -> bool:
    """Whether a comparison is what a check of Dagster's answers: `AssetCheckResult(passed=score > 0.7)`."""
    beside = [one.name for one in module.calls if one.function == branch.function]
    return "dagster.AssetCheckResult" in beside and branch.test.startswith("passed")


def _saves_later(module: Module, branch: Branch) -> bool:
    """Whether leaving a function keeps it from saving a model."""
    later = [one for one in module.calls if one.function == branch.function and one.line > branch.end]
    return branch.end > branch.line and any(
        re.search(r"\.dump$|save_model|log_model", one.name) for one in later
    )


def _acts(module: Module, branch: Branch) -> bool:
    last = max(branch.end, branch.last)
    inside = [
        one for one in module.calls if branch.line < one.line <= last and one.function == branch.function
    ]
    return any(PROMOTES.search(one.name) for one in inside)


@once
def _asked(repo: Repo) -> frozenset[str]:
    """Words of the conditions under which something is done, or stopped."""
    found: set[str] = set()
    for module in repo.code():
        for text in {one for call in module.calls if call.name not in _SAYS for one in call.when}:
            found.update(re.findall(r"\w+", text))
        for branch in module.branches:
            if branch.stops:
                found.update(re.findall(r"\w+", branch.test))
    return frozenset(found)


def _is_asked(repo: Repo, name: str) -> bool:
    return name in _asked(repo)


def _is_active(repo: Repo, module: Module, branch: Branch) -> bool:
    """Whether the branch is reached, and its bound is one that a model can miss."""
    if is_on(repo, module, branch) is False or _is_off(repo, module, branch):
        return False
    for bound in bounds(branch.test):
        name = bound if re.fullmatch(r"[\w.]+", bound) and not re.match(r"-?[\d.]", bound) else ""
        found = values(repo, module, branch.function, name) if name else []
        if found and not any(found):
            return False
    return True


def _is_off(repo: Repo, module: Module, branch: Branch) -> bool:
    """`if accuracy < bound and fail_on_low:` where the second is false by default."""
    for name in switches(branch.test):
        found = values(repo, module, branch.function, name)
        if found and not any(found):
            return True
    return False


def tools(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Gates of pipelines and suites of tools that fail on a model."""
    within = frozenset(module.path for module in _gate_modules(repo, project)) | project.tests
    found = list(calls(repo, *_PIPELINE_GATES, within=within))
    for module, call in calls(repo, "mlflow.*evaluate", "mlflow.models.MetricThreshold", within=within):
        if call.keywords.keys() & {"validation_thresholds", "threshold"} and not _is_dry(repo, module):
            found.append((module, call))
    for module, call in calls(repo, "kfp.*Condition", "kfp.*.If", within=within):
        if any("thresh" in text.lower() for _, text in module.strings) or _takes_bound(module):
            found.append((module, call))
    found += [one for one in calls(repo, *_SUITES, within=within) if _is_judged(one[0])]
    on = [(module, call) for module, call in found if is_on(repo, module, call) is not False]
    yield from (at(module, call.line, f"{call.name}(…)") for module, call in on)
    for document, entry in entries(repo, "*validation_criteria.*.threshold"):
        yield at(document, entry.line, f"threshold: {entry.value}")


def _is_dry(repo: Repo, module: Module) -> bool:
    """Whether a validation only tells what it would do, in all configurations."""
    modes = committed(repo, "run_mode") if any("dry_run" in text for _, text in module.strings) else []
    return bool(modes) and all(str(one) in ("dry_run", "disabled") for one in modes)


def _takes_bound(module: Module) -> bool:
    return any("thresh" in name.lower() for function in module.functions for name in function.parameters)


def _is_judged(module: Module) -> bool:
    """Whether the result of a suite decides something."""
    claims = [text for _, text in _claims(module)] + [one.test for one in module.branches if one.stops]
    return any(re.search(r"pass|success|valid|issue|fail", text, re.IGNORECASE) for text in claims)


def relative_gates(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Branches that let a model through only if it is better than the earlier one."""
    for module in _gate_modules(repo, project):
        for branch in module.branches:
            compares = is_relative(branch.test) or (is_bare(branch.test) and _measures(module, branch))
            if compares and _decides(repo, module, branch):
                yield at(module, branch.line, branch.test)
        yield from (at(module, line, text) for line, text in _claims(module) if is_relative(text))
        yield from policies(repo, module)


def _measures(module: Module, branch: Branch) -> bool:
    """Whether the function of a branch measures models, or its module reads what was measured."""
    before = [one for one in module.calls if one.line < branch.line and one.function == branch.function]
    measures = any(re.search(r"sklearn\.metrics\.|\.(?:predict|score|evaluate)$", one.name) for one in before)
    return measures or any(_FIGURES.search(text) for _, text in module.strings)


def _decides(repo: Repo, module: Module, branch: Branch) -> bool:
    if not _has_effect(repo, module, branch):
        return False
    return is_on(repo, module, branch) is not False and not _is_off(repo, module, branch)


def relative_tests(repo: Repo) -> Iterator[Evidence]:
    """Tests that fail where a model is worse than an earlier one."""
    for case in cases(repo):
        found = [text for _, text in case.asserts if is_relative(text) or is_close(text)]
        if found and _has_model(case) and not _is_toy(case):
            yield at(case.module, case.function.line, f"{case.function.name}: {found[0]}")


def comparing_tools(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Tools that compare with a baseline, and say no."""
    within = frozenset(module.path for module in _gate_modules(repo, project)) | project.tests
    for module, call in calls(repo, *_CHANGES, within=within):
        yield at(module, call.line, f"{call.name}(…)")
    for module, call in calls(repo, "mlflow.models.MetricThreshold", "mlflow.*evaluate", within=within):
        if call.keywords.keys() & {"min_absolute_change", "min_relative_change", "baseline_model"}:
            yield at(module, call.line, f"{call.name}(…)")
