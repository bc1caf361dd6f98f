"""Which task a project has: what params.yaml may say, and what it is told otherwise."""

from __future__ import annotations

import pytest
from msgspec import structs

from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.settings import load
from runtime_lib.task.kinds import BINARY, KINDS, from_dict, gate_metric, metric_name, read_task, task_of
from runtime_lib.task.quantile import Quantile
from runtime_lib.task.regression import Regression


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    return load(tmp_path, environ={})


def test_a_project_without_the_table_is_binary(project):
    assert read_task(project) is BINARY, "no params.yaml"
    (project.root / "params.yaml").write_text("train:\n  epochs: 3\n")
    assert read_task(project) == BINARY
    assert set(KINDS) == {"binary", "multiclass", "regression", "quantile"}


def test_the_table_names_the_kind_and_its_levels(project):
    for kind, made in KINDS.items():
        (project.root / "params.yaml").write_text(f"task:\n  kind: {kind}\n")
        assert read_task(project) == made()
    (project.root / "params.yaml").write_text("task: {kind: quantile, levels: [0.05, 0.5, 0.95]}\n")
    assert read_task(project) == Quantile(levels=(0.05, 0.5, 0.95))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: {kind: survival}", "'survival' is no kind of task. Choose one of binary, multiclass, regr"),
        ("task: {levels: [0.5]}", "task.kind: None is no kind of task"),
        ("task: regression", "'regression' is no kind of task"),
        ("task: {kind: [binary]}", "is no kind of task"),
        ("task: {kind: {a: 1}}", "is no kind of task"),
        ("task:", "None is no kind of task"),
        ("task: {kind: binary, levels: [0.5]}", "unknown key 'levels'. Known for binary: kind."),
        ("task: {kind: quantile, level: [0.5]}", "unknown key 'level'. Known for quantile: kind, levels."),
        ("task: {kind: regression, scale: 3}", "unknown key 'scale'. Known for regression: kind."),
        ("task: {kind: multiclass, classes: [a, b]}", "unknown key 'classes'"),
        ("task: {kind: quantile, levels: 0.5}", "task.levels: 0.5 is no list"),
        ("task: {kind: quantile, levels: [0.9, 0.1]}", "Give numbers between 0 and 1, ascending"),
        ("task: {kind: quantile, levels: [low, high]}", "task"),
        ("task: {kind: quantile, levels: [[0.1]]}", "task"),
        ("- task", "must hold tables of parameters"),
        ("task: {kind", "cannot be read"),
    ],
)
def test_what_is_no_task_is_refused_with_what_is_one(project, text, said):
    (project.root / "params.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_task(project)
    assert said in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_task_in_capitals_is_no_other():
    with pytest.raises(SettingsError):
        task_of({"task": {"kind": "Binary"}})


def with_metric(project, name):
    return structs.replace(project, registry=structs.replace(project.registry, metric=name))


def test_the_gate_takes_the_tasks_first_metric_or_the_one_that_is_named(project):
    firsts = {kind: gate_metric(project, made()).name for kind, made in KINDS.items()}
    assert firsts == {
        "binary": "roc_auc",
        "multiclass": "log_loss",
        "regression": "mae",
        "quantile": "pinball",
    }
    errors = {name: kind().error.name for name, kind in KINDS.items()}
    assert errors == {**firsts, "binary": "log_loss"}
    assert gate_metric(with_metric(project, "rmse"), Regression()).name == "rmse"
    assert gate_metric(with_metric(project, "average_precision"), BINARY).name == "average_precision"


def test_the_metric_of_another_task_is_refused_with_those_of_this_one(project):
    with pytest.raises(SettingsError, match=r"'roc_auc' is no metric of a regression task.*mae, rmse, r2"):
        gate_metric(with_metric(project, "roc_auc"), Regression())
    with pytest.raises(SettingsError, match="'mae' is no metric of a binary task"):
        gate_metric(with_metric(project, "mae"), BINARY)


def test_a_list_names_the_metric_that_decides(project):
    assert metric_name(project) == "roc_auc"
    (project.root / "params.yaml").write_text("task: {kind: regression}\n")
    assert metric_name(project) == "mae"
    assert metric_name(with_metric(project, "rmse")) == "rmse"


def test_a_model_of_a_task_that_is_not_known_is_refused():
    with pytest.raises(ModelError, match=r"'survival'; this library knows binary.*Update runtime-lib"):
        from_dict({"kind": "survival"})
    with pytest.raises(ModelError, match="Update"):
        from_dict({})
    assert from_dict({"kind": "regression", "center": 1.0, "scale": 2.0, "later": 3}) == Regression(1.0, 2.0)
