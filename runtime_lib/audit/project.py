"""What kind of project a repository is: it decides which checks apply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runtime_lib.audit import parts
from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.kinds import Kind, Stage, kind, stage
from runtime_lib.audit.pipelines import definitions
from runtime_lib.audit.queries import at, calls, entries
from runtime_lib.audit.targets import Target, targets
from runtime_lib.audit.tools import named, used

__all__ = ["Kind", "Project", "Stage", "Target", "assess"]

# Modules that turn a model of one framework into another's do not work with the framework.
_CONVERTS = re.compile(r"convert|export|onnx|coreml|tflite", re.IGNORECASE)
# What is loaded or asked is a model, whatever made it.
_MODELS = ("joblib.load", "*.load_model", "*.predict", "*.predict_proba", "*.InferenceSession")


@dataclass(frozen=True)
class Project:
    """What a repository is.

    Attributes:
        stage: "exploration", "development" or "production".
        frameworks: names of what trains or predicts here, the most used first.
        notebook_share: non-blank lines of code cells / (those + non-blank lines of .py), 0 to 1.
        targets: how predictions get out; ("none",) if in no way.
        ml: something here trains a model or predicts with one.
        training: paths of modules and notebooks that train a model, started from a script, command,
            notebook or pipeline of this repository; those they import are not in it (`queries.reached`).
        serving: paths of modules that answer predictions; `tests`: of test modules.
        serves: predictions of a model are answered or computed outside of training.
        evidence: by what it shows: "kind", "frameworks", "targets".
    """

    kind: Kind = "project"
    stage: Stage = "development"
    frameworks: tuple[str, ...] = ()
    notebook_share: float = 0.0
    targets: tuple[Target, ...] = ("none",)
    ml: bool = False
    training: frozenset[str] = frozenset()
    serving: frozenset[str] = frozenset()
    tests: frozenset[str] = frozenset()
    serves: bool = False
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)


def assess(repo: Repo) -> Project:
    """Judge by what is in the index alone."""
    what, shown = kind(repo)
    frameworks = _frameworks(repo)
    ways, how = targets(repo, what)
    training = parts.training(repo)
    if what == "library":
        # What is under examples and docs shows the library; it makes no model of this repository.
        training -= parts.examples(repo)
    share = _share(repo)
    return Project(
        kind=what,
        stage=stage(repo, share),
        frameworks=tuple(frameworks),
        notebook_share=share,
        targets=ways,
        ml=bool(frameworks or training) or _models(repo),
        training=training,
        serving=parts.serving(repo),
        tests=parts.tests(repo),
        serves=bool(set(ways) & {"api", "batch", "streaming", "managed-endpoint"}),
        evidence={"kind": shown, "frameworks": tuple(frameworks.values()), "targets": how},
    )


def _models(repo: Repo) -> bool:
    """Whether a model is loaded or asked, or a step of a pipeline has a platform train one."""
    asked = next(calls(repo, *_MODELS), None) is not None
    return asked or any(one.training for one in definitions(repo))


def _share(repo: Repo) -> float:
    cells = sum(
        1
        for book in repo.notebooks.values()
        for cell in book.cells
        for line in cell.source.splitlines()
        if line.strip()
    )
    lines = sum(module.lines for module in repo.modules.values())
    return cells / (cells + lines) if cells else 0.0


def _frameworks(repo: Repo) -> dict[str, Evidence]:
    """Name → where it is first used; those in most modules first. Tests and converters do not count."""
    aside = parts.tests(repo)
    within = frozenset(
        one.path for one in repo.code() if one.path not in aside and not _CONVERTS.search(one.path)
    )
    found: dict[str, Evidence] = {}
    seen: Counter[str] = Counter()
    for name, one in [*_called(repo, within), *_derived(repo, within), *_named(repo)]:
        found.setdefault(name, one)
        seen[name] += 1
    if not found and parts.predicts(repo):
        # A service that loads a model from a file need not import what made it.
        found = {name: one for name, one in used(repo, "framework", by=("packages",)) if name != "llm-api"}
    return dict(sorted(found.items(), key=lambda item: -seen[item[0]]))


def _called(repo: Repo, within: frozenset[str]) -> Iterator[tuple[str, Evidence]]:
    """The first call of each module that uses a framework."""
    for tool in named("framework"):
        seen = ""
        for module, one in calls(repo, *tool.calls, within=within):
            if module.path != seen:
                seen = module.path
                yield tool.name, at(module, one.line, f"{one.name}(…)")


def _derived(repo: Repo, within: frozenset[str]) -> list[tuple[str, Evidence]]:
    """Classes made of a framework's, such as networks."""
    owners = {part: tool.name for tool in named("framework") for part in tool.imports}
    found = []
    for module in repo.code():
        for name, (bases, line) in module.classes.items() if module.path in within else ():
            for base in bases:
                owner = owners.get(base.partition(".")[0])
                if owner and not base.startswith("torch.utils"):
                    found.append((owner, at(module, line, f"class {name}({base})")))
    return found


def _named(repo: Repo) -> list[tuple[str, Evidence]]:
    """Classes that a configuration names: Hydra's `_target_`, Kedro's and Lightning's `class_path`."""
    owners = {part: tool.name for tool in named("framework") for part in tool.imports}
    return [
        (owners[head], at(document, entry.line, str(entry.value)))
        for document, entry in entries(repo, "*_target_", "*class_path")
        if (head := str(entry.value).partition(".")[0]) in owners
    ]
