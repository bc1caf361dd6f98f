"""Tracking: is each run of training recorded, where others find it, with what it takes to repeat it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Repo
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.trackers import best, looked, shown, uses

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_TOOLS = ("mlflow", "wandb", "tensorboard")
_BRINGS = "Projects of this template (`copier copy`) have MLflow on: parameters, figures, data, commit"


def _unread(repo: Repo) -> list[str]:
    """Modules that could not be read, if they are half of all."""
    bad = [one.path for one in repo.modules.values() if one.problem]
    return bad if 2 * len(bad) >= len(repo.modules) > 0 and bad else []


@check(
    "T1",
    "tracking",
    "Does training code call an experiment tracker?",
    looks_for="Calls of a tracker in what trains, callbacks, loggers, Hydra's `_target_`, Kedro's plug-in, "
    "`report_to`; a dependency alone is none.",
    why="Without records nobody knows which parameters and data gave the model that is in use.",
    fix="Start a run around training and log parameters and metrics; in MLflow, `mlflow.autolog()`.",
    effort="minutes",
    priority="high",
    false_answers="A tracker that is called by its HTTP interface is not seen.",
    tools=_TOOLS,
    brings=_BRINGS,
    pillar=True,
)
def _calls_tracker(repo: Repo, project: Project) -> Finding:
    found = [one for one in uses(repo, project) if one.tool]
    if found:
        tool = best(found)
        return Finding("pass", f"The code tracks its runs with {tool}.", shown(found, tool), value=tool)
    if not project.ml:
        return Finding("n/a", "Nothing here trains a model.", looked_at=looked(repo))
    if bad := _unread(repo):
        reason = f"{len(bad)} of {len(repo.modules)} modules cannot be read ({repo.modules[bad[0]].problem})"
        return Finding("unknown", reason, looked_at=looked(repo))
    return Finding("fail", "No experiment tracker is called.", looked_at=looked(repo), value=False)


@check(
    "T2",
    "tracking",
    "Is the tracker on as the repository comes?",
    looks_for="A call that no switch turns off by default, or that a committed configuration turns on; not "
    "`report_to=none`, `logger: null`, `mode=disabled`.",
    why="What has to be turned on is forgotten in the run that matters.",
    fix="Make the switch on by default, or commit the configuration that turns it on.",
    effort="minutes",
    priority="medium",
    false_answers="A switch in an environment that is not committed is taken for on.",
    tools=_TOOLS,
    brings=_BRINGS,
    pillar=True,
)
def _on_by_default(repo: Repo, project: Project) -> Finding:
    found = uses(repo, project)
    on = [one for one in found if one.on and one.tool]
    if on:
        tool = best(on)
        return Finding("pass", f"Tracking with {tool} is on by default.", shown(on, tool), value=tool)
    if found:
        first = next((one for one in found if one.why), found[0])
        what = first.why or "its configuration is not the chosen one"
        return Finding(
            "fail",
            f"Tracking with {first.tool or 'a tracker'} is off by default: {what}.",
            (first.evidence,),
            value=False,
        )
    if not project.ml or _unread(repo):
        return Finding("n/a", "No experiment tracker is called.", looked_at=looked(repo))
    return Finding("fail", "No experiment tracker is called.", looked_at=looked(repo), value=False)
