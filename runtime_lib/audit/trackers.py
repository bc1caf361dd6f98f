"""Where experiment trackers are used, and whether that is on as the repository comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runtime_lib.audit import parts, tracker_configs
from runtime_lib.audit.defaults import committed
from runtime_lib.audit.index.model import Call, Evidence, Module, Repo
from runtime_lib.audit.queries import at, calls, once, reached
from runtime_lib.audit.switches import argument, is_on
from runtime_lib.audit.tools import named

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__ = ["Use", "best", "looked", "scope", "shown", "uses"]


@dataclass(frozen=True)
class Use:
    """A use of a tracker. `on`: as the repository comes; `why` not; `trains`: in what trains a model;
    `sure`: nothing unknown decides about it."""

    tool: str
    evidence: Evidence
    on: bool
    trains: bool = True
    why: str = ""
    sure: bool = True


# As `report_to` of transformers and `log_with` of accelerate name them.
_REPORTS = {
    one: one for one in ("wandb", "mlflow", "tensorboard", "neptune", "clearml", "dvclive", "swanlab", "aim")
}
_REPORTS |= {"comet_ml": "comet", "azure_ml": "azureml", "trackio": "trackio"}
_PACKAGES = {
    "wandb": "wandb",
    "mlflow": "mlflow",
    "tensorboard": "tensorboard",
    "tensorboardx": "tensorboard",
}
_PACKAGES |= {"comet-ml": "comet", "clearml": "clearml", "neptune": "neptune", "dvclive": "dvclive"}
_HOOKS: tuple[tuple[str, str], ...] = (
    ("Wandb", "wandb"),
    ("Tensorboard", "tensorboard"),
    ("MLflow", "mlflow"),
    ("Mlflow", "mlflow"),
)
_HOOKS += (("Neptune", "neptune"), ("ClearML", "clearml"), ("DVCLive", "dvclive"), ("Aim", "aim"))
_BEGINS = ("wandb.init", "swanlab.init", "trackio.init")
_LOGS = ("wandb.log(", "wandb.watch(", "swanlab.log(", "trackio.log(")
_OFF = {"disabled", "none", "null", "", "false", "debug", "[]"}


def uses(repo: Repo, project: Project) -> list[Use]:
    """Uses in the code and in configurations: those that are on first, what trains before the rest."""
    kept = _kept(repo)
    if not kept or kept[0][0] is not project:
        kept[:] = [(project, _uses(repo, project))]
    return kept[0][1]


@once
def _kept(repo: Repo) -> list[tuple[Project, list[Use]]]:
    return []


def looked(repo: Repo) -> tuple[str, ...]:
    """Where a tracker was looked for."""
    books = f"{len(repo.notebooks):,} notebooks"
    return (f"{len(repo.modules):,} modules", books, f"{len(repo.documents):,} documents")


def shown(found: Collection[Use], tool: str) -> tuple[Evidence, ...]:
    """The first uses of a tool."""
    return tuple(dict.fromkeys(one.evidence for one in found if one.tool == tool))[:5]


def _uses(repo: Repo, project: Project) -> list[Use]:
    trains = scope(repo, project)
    aside = parts.tests(repo) | (parts.examples(repo) if project.kind in ("library", "docs") else frozenset())
    within = frozenset(one.path for one in repo.code()) - aside
    if project.kind == "library" and trains:
        within &= trains
    found = list(_called(repo, within, trains, project.kind == "library"))
    found += [*_reported(repo, within, trains), *_hooked(repo, within)]
    found += [Use(tool, one, on) for tool, one, on in tracker_configs.uses(repo)]
    return sorted(_begun(found), key=lambda one: (not one.on, not one.trains))


def _begun(found: list[Use]) -> list[Use]:
    """What is logged to a run that nothing begins by default is off too."""
    begins = [one for one in found if one.evidence.what.startswith(_BEGINS)]
    off = {one.tool: one.why for one in begins} if begins and not any(one.on for one in begins) else {}
    logs = [one for one in found if one.tool in off and one.on and one.evidence.what.startswith(_LOGS)]
    return [replace(one, on=False, why=off[one.tool]) if one in logs else one for one in found]


def best(found: Collection[Use]) -> str:
    """The tool that is used most; curves for TensorBoard are written beside another tracker."""
    on = [one for one in found if one.on] or list(found)
    on = [one for one in on if one.sure] or on
    trains = [one for one in on if one.trains] or on
    others = [one for one in trains if one.tool != "tensorboard"]
    others = others or [one for one in on if one.tool != "tensorboard"] or trains
    return Counter(one.tool for one in others).most_common(1)[0][0] if others else ""


def scope(repo: Repo, project: Project) -> frozenset[str]:
    """Paths of what trains, of what starts that, and of what they import."""
    return _scope(repo, project.training)


def _scope(repo: Repo, training: frozenset[str]) -> frozenset[str]:
    starts = {path for path in parts.started(repo) if _reached(repo).get(path, frozenset()) & training}
    return reached(repo, training | starts) - parts.tests(repo)


@once
def _reached(repo: Repo) -> dict[str, frozenset[str]]:
    return {path: reached(repo, [path]) for path in parts.started(repo)}


def _called(repo: Repo, within: Collection[str], trains: Collection[str], library: bool) -> Iterator[Use]:
    for tool in named("tracker"):
        for module, call in calls(repo, *tool.calls, within=within, live=False):
            held = is_on(repo, module, call)
            why = _off(repo, module, call, held) or (_unused(repo, module, call) if library else "")
            what = at(module, call.line, f"{call.name}(…)")
            yield Use(tool.name, what, not why, module.path in trains, why, held is True)
    for module, call in calls(repo, "stable_baselines3.*", "sb3_contrib.*", within=within):
        if call.keywords.get("tensorboard_log"):
            yield Use("tensorboard", at(module, call.line, "tensorboard_log=…"), True, module.path in trains)
    for module, call in calls(repo, "google.cloud.aiplatform.init", within=within):
        if call.keywords.get("experiment"):
            yield Use("vertex", at(module, call.line, "init(experiment=…)"), True, module.path in trains)


def _off(repo: Repo, module: Module, call: Call, held: bool | None) -> str:
    """What turns a call off; "" if it is on."""
    if held is False:
        return f"only if {call.when[-1]}" if call.when else "nothing that runs calls it"
    mode = argument(repo, module, call, "mode")
    if mode and all(str(one).lower() in _OFF for one in mode):
        return f'mode="{mode[0]}"'
    if call.keywords.get("disabled") is True:
        return "disabled=True"
    return _switched(module) if call.name.startswith("wandb.") else ""


def _unused(repo: Repo, module: Module, call: Call) -> str:
    """A library offers loggers that it does not use itself: nothing in it makes or calls them."""
    first = call.function.partition(".")[0]
    if not first or any(True for _ in calls(repo, f"*.{first}", first)):
        return ""
    return f"nothing here uses {first}"


def _switched(module: Module) -> str:
    """`os.environ["WANDB_DISABLED"] = "true"` and its like."""
    by_line: dict[int, list[str]] = {}
    for line, text in module.strings:
        by_line.setdefault(line, []).append(text.lower())
    for texts in by_line.values():
        if "wandb_disabled" in texts and {"true", "1"} & set(texts):
            return "WANDB_DISABLED=true"
        if "wandb_mode" in texts and "disabled" in texts:
            return "WANDB_MODE=disabled"
    return ""


def _reported(repo: Repo, within: Collection[str], trains: Collection[str]) -> Iterator[Use]:
    """What transformers and accelerate report to."""
    for module, call in calls(repo, "*TrainingArguments", "trl.*Config", within=within):
        if call.name.startswith(("transformers.", "trl.", "sentence_transformers.", "setfit.")):
            given = argument(repo, module, call, "report_to") or _unsaid(repo, call)
            yield from _reports(repo, module, call, given, trains)
    for module, call in calls(repo, "transformers.HfArgumentParser", "trl.*TrlParser", within=within):
        yield from _reports(repo, module, call, committed(repo, "report_to"), trains)
    for module, call in calls(repo, "accelerate.Accelerator", within=within):
        yield from _reports(repo, module, call, argument(repo, module, call, "log_with"), trains)


def _unsaid(repo: Repo, call: Call) -> list[Any]:
    """Without `report_to`, transformers before 5 reported to all trackers that are installed."""
    if "report_to" in call.keywords or "**" in call.keywords:
        return committed(repo, "report_to")
    newer = ("5", "==5", ">=5", "~=5", "^5")
    specs = [one.spec for one in repo.dependencies.requirements if one.name == "transformers"]
    return [] if any(spec.startswith(newer) for spec in specs) else ["all"]


def _reports(
    repo: Repo, module: Module, call: Call, given: list[Any], trains: Collection[str]
) -> Iterator[Use]:
    names = [name for one in given for name in (one if isinstance(one, list | tuple) else [one])]
    off = _switched(module)
    for name in names:
        tools = [_REPORTS[name]] if isinstance(name, str) and name in _REPORTS else []
        if name == "all":
            tools = sorted({_PACKAGES[one] for one in repo.dependencies.names if one in _PACKAGES})
        for tool in tools:
            on = not (off and tool == "wandb")
            what = at(module, call.line, f"{call.name}(report_to={name})")
            yield Use(tool, what, on, module.path in trains, "" if on else off)
    if names and all(str(name).lower() in _OFF for name in names):
        what = at(module, call.line, f"{call.name}(report_to={names[0]})")
        yield Use("", what, False, module.path in trains, "report_to=none")


def _hooked(repo: Repo, within: Collection[str]) -> Iterator[Use]:
    """`dict(type="WandbLoggerHook")` in the configurations of OpenMMLab's libraries."""
    for module, call in calls(repo, "dict", within=within):
        kind = call.keywords.get("type")
        if isinstance(kind, str) and kind.endswith(("Hook", "VisBackend")):
            for start, tool in _HOOKS:
                if kind.startswith(start):
                    yield Use(tool, at(module, call.line, f"type={kind}"), True)
