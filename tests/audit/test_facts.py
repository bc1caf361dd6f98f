"""Facts are the findings' values; where there are none, their verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime_lib.audit.facts import FACTS
from runtime_lib.audit.records import Evidence
from tests.support.audited import PROJECT, REPO, audited, finding


def fact(name, **findings):
    return audited(findings).facts[name]


@pytest.mark.parametrize(
    ("name", "found", "value"),
    [
        ("ci_trains", finding("A5", "pass"), True),
        ("ci_trains", finding("A5", "fail"), False),
        ("ci_trains", finding("A5", "partial"), False),
        ("ci_trains", finding("A5", "partial", value=True), True),
        ("ci_trains", finding("A5", "n/a"), False),
        ("ci_trains", finding("A5", "unknown"), "unknown"),
        ("ci_trains", finding("A5", "pass", value="github"), True),
        ("pipeline_tool", finding("A1", "pass", value="dvc"), "dvc"),
        ("pipeline_tool", finding("A1", "fail"), False),
        ("ci", finding("A3", "fail", value="github"), "github"),
        ("seeds", finding("R1", "pass"), "yes"),
        ("seeds", finding("R1", "partial"), "partial"),
        ("seeds", finding("R1", "fail"), "no"),
        ("seeds", finding("R1", "unknown"), "unknown"),
        ("environment", finding("R2", "pass", value="lock"), "lock"),
        ("environment", finding("R2", "fail", value="ranges"), "ranges"),
        ("environment", finding("R2", "fail"), "none"),
    ],
)
def test_the_value_of_a_fact(name, found, value):
    assert fact(name, **{FACTS[name].checks[0]: found}).value == value


@pytest.mark.parametrize(
    ("called", "on", "value"),
    [
        ("pass", "pass", "mlflow"),
        ("pass", "fail", False),
        ("pass", "unknown", "unknown"),
        ("pass", "n/a", "mlflow"),
        ("fail", "n/a", False),
        ("unknown", "fail", False),
    ],
)
def test_a_tracker_has_to_be_called_and_on(called, on, value):
    named = finding("T1", called, value="mlflow" if called == "pass" else None)
    assert fact("tracker", T1=named, T2=on).value == value


def test_the_tracker_is_the_one_that_is_on():
    both = {"T1": finding("T1", "pass", value="mlflow"), "T2": finding("T2", "pass", value="wandb")}
    assert fact("tracker", **both).value == "wandb"


def test_every_fact_has_a_reason_and_every_unknown_its_own():
    found = audited(every="unknown").facts
    assert list(found) == list(FACTS)
    assert all(answer.reason for answer in found.values())
    assert found["cd"].reason == "A6 is unknown"


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("Dockerfile", True),
        ("docker/train.dockerfile", True),
        ("Dockerfile.gpu", True),
        ("{{cookiecutter.slug}}/Dockerfile.jinja", True),
        ("Containerfile", True),
        ("docs/dockerfile.md", False),
        (".dockerignore", False),
        ("Dockerfile.dockerignore", False),
        ("build_dockerfile.py", False),
        ("docker-compose.yml", False),
    ],
)
def test_a_dockerfile_by_its_name(path, is_one):
    found = audited(repo=replace(REPO, files={path: 1})).facts["dockerfile"]
    assert found.value is is_one
    assert bool(found.evidence) is is_one


def test_targets_and_notebooks_are_those_of_the_project():
    shown = {"targets": (Evidence("src/train.py", 3, "FastAPI()"),)}
    found = audited(project=replace(PROJECT, targets=("api", "batch"), evidence=shown)).facts
    assert found["deployment_target"].value == ["api", "batch"]
    assert found["deployment_target"].evidence == shown["targets"]
    assert found["notebook_share"].value == 0.125
