"""The stage `evaluate`: the candidate and two baselines on the held-out months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_lib.data.columns import Array, check_rows
from runtime_lib.data.leaks.find import beside_figures, find_suspects
from runtime_lib.data.leaks.suspect import Suspect, remedy, unconfirmed
from runtime_lib.data.months import read_features, read_suspects, read_table
from runtime_lib.errors import SettingsError
from runtime_lib.files import read_json, write_json
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import gate_metric, read_task
from runtime_lib.task.naive import naive
from runtime_lib.task.task import Task
from runtime_lib.training.encoder import Encoder
from runtime_lib.training.examples import examples
from runtime_lib.training.importance import importance
from runtime_lib.training.judge import held_out_columns, open_model, within_limits
from runtime_lib.training.model import Model, digest
from runtime_lib.training.profile import FORMAT as PROFILE
from runtime_lib.training.profile import read_profile

__all__ = ["FORMAT", "evaluate", "side_by_side"]

# Of reports/evaluation.json. Format 1, until 0.6: a binary task, and no `gains`.
FORMAT = 2
_LINEAR = ("linear", "logistic")  # names of the parameter; the first is for all tasks
_EXAMPLES = "examples"


def evaluate(settings: Settings, params: Mapping[str, Any]) -> None:
    """Judge the candidate and the baselines on the held-out months; write `reports/evaluation.json`.

    Under `suspects` it says what is too good to be true, and prints it: the gate waits until a person has
    confirmed it.

    Args:
        params: the table `evaluate` of params.yaml; `linear: false` (or its older name, `logistic: false`)
            leaves the linear baseline out, `examples: true` explains single rows.

    Raises:
        SettingsError: a parameter is unknown.
        DataError, ModelError: something is missing or damaged, or a label is none of the model's task.
    """
    if unknown := set(params) - {*_LINEAR, _EXAMPLES}:
        raise SettingsError(
            f"params.yaml, evaluate: unknown key '{min(unknown)}'. Known: {_LINEAR[0]}, {_EXAMPLES}."
        )
    folder = settings.split
    model = open_model(settings, settings.candidate)
    task = model.task
    inputs, label, train = read_features(folder / "train.parquet", task)
    rows = check_rows(inputs, model.columns)
    test_inputs, test_label, test = read_features(folder / "test.parquet", task)
    test_rows = check_rows(test_inputs, held_out_columns(model.columns))
    _say_missing(model, test)
    with within_limits(settings, model, len(test_label)) as able:
        answers = {"candidate": able.predict(test_rows)}
        needed = importance(able, test_rows, test_label)
        shown = (
            _examples(settings, able, test_rows, test_label, answers["candidate"], test)
            if params.get(_EXAMPLES, False)
            else []
        )
    column, answers["naive"] = naive(task, rows, label, model.columns, unseen=test_rows)
    if all(params.get(name, True) for name in _LINEAR):
        encoder = Encoder.fit(rows, model.columns, model.transformer)
        encoded = encoder.encode(rows), encoder.encode(test_rows)
        answers[task.linear_name] = task.linear(encoded[0], label, unseen=encoded[1])
    judged = _judged(model, test_label, answers)
    judged["naive"]["column"] = column
    parts = {"train": train, "validation": read_table(folder / "validation.parquet"), "test": test}
    found = [*find_suspects(parts, model.columns, task), *read_suspects(settings.split)]
    suspects = beside_figures(found, judged["candidate"])
    report = {
        "format": FORMAT,
        "digest": digest(settings.candidate),
        "task": task.kind,
        "rows": len(test_label),
        **judged,
        "importance": needed,
        "examples": shown,
        "suspects": [suspect.to_dict() for suspect in suspects],
    }
    write_json(settings.report("evaluation"), report)
    _say_suspects(suspects, settings.registry.confirmed)


def side_by_side(settings: Settings) -> str:
    """Say in one line the gate's figure of the candidate, of the linear baseline and the naive one.

    Raises:
        DataError: `reports/evaluation.json` is missing or damaged.
    """
    metric = gate_metric(settings, read_task(settings)).name
    report = read_json(settings.report("evaluation"), made_by="mlops run", newest=FORMAT)
    column = report["naive"].get("column")
    names = {
        "candidate": "model",
        "logistic": "logistic regression",
        "linear": "linear regression",
        "naive": "best column" if column else "the same answer for every row",
    }
    figures = [f"{name} {report[who][metric]:.4f}" for who, name in names.items() if who in report]
    return f"Held-out {metric}: {', '.join(figures)}{f' ({column})' if column else ''}."


def _judged(model: Model, label: Array, answers: Mapping[str, Array]) -> dict[str, Any]:
    """The figures of each model, how sure they are, and what is drawn of them.

    All but the figures is in lists, which `dvc metrics show` passes over.
    """
    task, candidate = model.task, answers["candidate"]
    return {
        **{who: dict(task.figures(label, answer)) for who, answer in answers.items()},
        "intervals": {
            name: [round(bound, 6) for bound in metric.interval(label, candidate)]
            for name, metric in task.metrics.items()
        },
        "gains": {
            who: _gains(task, label, candidate, answer)
            for who, answer in answers.items()
            if who != "candidate"
        },
        "curves": {who: task.curves(label, answer) for who, answer in answers.items()},
        "confusion": task.confusion(label, candidate, model.decision),
        "classes": list(task.class_names),
    }


def _examples(
    settings: Settings, model: Model, rows: Mapping[str, Array], label: Array, answer: Array, table: Any
) -> list[dict[str, Any]]:
    profile = read_profile(
        read_json(settings.candidate / "profile.json", made_by="mlops run", newest=PROFILE)
    )
    ids, labels = table["id"].tolist(), table["label"].tolist()
    return examples(model, rows, label, answer, ids=ids, labels=labels, profile=profile)


def _gains(task: Task, label: Array, answer: Array, other: Array) -> dict[str, list[float]]:
    """By metric how much better the candidate is, see `Metric.compare`, and the error of that."""
    compared = {name: metric.compare(label, answer, other) for name, metric in task.metrics.items()}
    return {name: [gain.value, gain.error] for name, gain in compared.items()}


def _say_suspects(suspects: Sequence[Suspect], confirmed: Sequence[str]) -> None:
    if not (waiting := unconfirmed(suspects, confirmed)):
        return
    print("TOO GOOD TO BE TRUE: what follows knows the label. The gate refuses until you have looked.")
    for suspect in waiting:
        print(f"  {suspect}")
    print(f"  {remedy(waiting, confirmed)}", flush=True)


def _say_missing(model: Model, table: Any) -> None:
    """Say which rows were judged although a server would refuse them."""
    for column in model.columns:
        if not column.nullable and (missing := int(table[column.name].isna().sum())):
            print(
                f"'{column.name}' is missing in {missing:,} of {len(table):,} rows of the test months and in "
                f"none of the months before. They are judged with its training median, or as an unseen "
                f"category. A server refuses such a row: fill the column in features() if that can happen."
            )
