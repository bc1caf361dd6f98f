"""What this library does for a project that uses it, and which no call of the project's own code shows.

`mlops run` ends with the gate; a DAG with a schedule trains, judges and promotes, and the server follows the
champion. Other tools are told by the table of tools; of this one it takes its settings to tell what is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at, calls, entries
from runtime_lib.audit.records import Finding

__all__ = ["known"]

_ONCE = ("", "@once")


def known(repo: Repo, project: Project, findings: Mapping[str, Finding]) -> dict[str, Finding]:
    """Checks that pass by what the library does, as the project's settings have it.

    Args:
        findings: of the checks themselves; CI that runs the tests trains, if one of them runs the pipeline.
    """
    if "runtime-lib" not in repo.dependencies.names or not any(
        entries(repo, "project.package", within="/mlops.toml")
    ):
        return {}
    found: dict[str, Finding] = {}
    for id, evidence, message in _shown(repo, project):
        before = found[id].evidence if id in found else ()
        found[id] = Finding("pass", message, (*before, evidence), value="yes" if id == "R1" else True)
    if "Q2" in found and "A4" in findings and findings["A4"].verdict == "pass":
        found["A5"] = Finding("pass", "CI runs a test that trains.", found["Q2"].evidence, value=True)
    return found


def _shown(repo: Repo, project: Project) -> Iterator[tuple[str, Evidence, str]]:
    if any(calls(repo, "runtime_lib.registry.register.register", within=_live(repo, project))):
        yield from _gate(repo)
    if any(calls(repo, "runtime_lib.training.train.train", within=_live(repo, project))):
        for document, entry in entries(repo, "train.seed", within="/params.yaml"):
            if isinstance(entry.value, int) and not isinstance(entry.value, bool):
                yield "R1", at(document, entry.line, f"train.seed: {entry.value}"), "Training takes one seed."
        for document, entry in entries(repo, "train.*", within="/params.yaml"):
            where = ".".join(map(str, entry.keys))
            yield "V4", at(document, entry.line, where), "Training reads params.yaml."
            break
    for evidence in _scheduled(repo, project):
        yield "A7", evidence, "A schedule trains, judges and promotes."
        yield "A6", evidence, "A model that passes the gate is promoted, and servers follow it."
    for document, entry in entries(repo, "serving.engine", within="/mlops.toml"):
        yield "A9", at(document, entry.line, "mlops serve"), "`mlops rollback` gives all traffic back."
    for path in sorted(project.tests):
        words = {text for _, text in repo.modules[path].strings} if path in repo.modules else set()
        if {"mlops", "run"} <= words:
            for module, one in calls(repo, "subprocess.run", "subprocess.check_call", within={path}):
                yield "Q2", at(module, one.line, "mlops run"), "A test runs the pipeline."


def _live(repo: Repo, project: Project) -> frozenset[str]:
    return frozenset(one.path for one in repo.code()) - project.tests


def _gate(repo: Repo) -> Iterator[tuple[str, Evidence, str]]:
    """`mlops promote`, with which every run ends; a bound below zero lets anything through."""
    for key, id, message in (
        ("min_gain_over_baseline", "Q3", "The gate refuses a model that is no better than a baseline."),
        ("min_gain_over_incumbent", "Q4", "The gate refuses a model that is no better than the champion."),
    ):
        for document, entry in entries(repo, f"registry.{key}", within="/mlops.toml"):
            if isinstance(entry.value, int | float) and entry.value >= 0:
                evidence = at(document, entry.line, f"{key} = {entry.value}")
                yield id, evidence, message
                yield "A8", evidence, "The gate stands before every promotion."


def _scheduled(repo: Repo, project: Project) -> Iterator[Evidence]:
    """DAGs of the pipeline with a schedule, and a monitor that asks for a retraining."""
    for module, one in calls(repo, "runtime_lib.pipeline.airflow.pipeline_dag", within=_live(repo, project)):
        when = one.keywords.get("schedule")
        if isinstance(when, str) and when not in _ONCE:
            yield at(module, one.line, f"pipeline_dag(schedule={when!r})")
    if any(calls(repo, "runtime_lib.pipeline.airflow.monitoring_dag", within=_live(repo, project))):
        for document, entry in entries(repo, "monitoring.retrain.how", within="/mlops.toml"):
            if entry.value in ("local", "airflow"):
                yield at(document, entry.line, f"monitoring.retrain.how = {entry.value!r}")
