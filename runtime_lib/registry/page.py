"""The evaluation as a page: figures beside the baselines, curves, what the model needs, what the gate said.

Drawn from what the stages wrote, whenever one of them changed; it is no output of a stage, which DVC might
bring back without the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.drawing import charts
from runtime_lib.drawing.answers import Chart, confusion, of_answers
from runtime_lib.drawing.page import fill, safe
from runtime_lib.errors import DataError
from runtime_lib.files import atomic_file, read_json
from runtime_lib.registry.single import of_examples
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import from_dict, metric_name
from runtime_lib.task.task import Task
from runtime_lib.tracking.record import Measure, RunState, read, record_folder
from runtime_lib.tracking.ship import flatten
from runtime_lib.tracking.summary import MODELS, TRAINER_TAG, Known, run_name, side_by_side
from runtime_lib.training.evaluate import FORMAT

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["upload_page", "write_page"]

_FOLDER = "evaluation"  # among the run's artifacts
_MOST_BARS = 20


def write_page(settings: Settings) -> Path | None:
    """Write `reports/evaluation.html`; None where there is no evaluation and record of the same model yet.

    Raises:
        DataError: a report is damaged or of a later format.
    """
    told = _told(settings)
    if told is None:
        return None
    path = settings.evaluation_page
    with atomic_file(path) as temporary:
        temporary.write_text(_render(settings, *told), encoding="utf-8")
    return path


def upload_page(settings: Settings, client: MlflowClient, run_id: str) -> None:
    """Write the page, and put it and its charts among the run's artifacts, where MLflow shows them."""
    path, told = write_page(settings), _told(settings)
    if path is None or told is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / path.name).write_bytes(path.read_bytes())
        for chart in _charts(settings, *told):
            (folder / f"{chart.file}.svg").write_text(charts.alone(chart.svg), encoding="utf-8")
        client.log_artifacts(run_id, scratch, _FOLDER)


def _told(settings: Settings) -> tuple[dict[str, Any], RunState, list[Measure]] | None:
    """Evaluation, record and measures, if all are of one model."""
    if not settings.report("evaluation").is_file():
        return None
    evaluation = read_json(settings.report("evaluation"), made_by="mlops run", newest=FORMAT)
    try:
        state, measures = read(record_folder(settings))
    except DataError:  # no training here yet, or its files wait for `dvc checkout`
        return None
    return (evaluation, state, measures) if state.model_digest == evaluation.get("digest") else None


def _render(
    settings: Settings, evaluation: Mapping[str, Any], state: RunState, measures: Sequence[Measure]
) -> str:
    drawn = [chart._replace(svg=safe(chart.svg)) for chart in _charts(settings, evaluation, state, measures)]
    models = [who for who in MODELS if who in evaluation]
    metrics = {f"test/{name}": value for name, value in evaluation["candidate"].items()}
    known = Known(flatten(state.params), state.tags, metrics)
    return fill(
        Path(__file__).with_name("evaluation.html.j2"),
        extra="tracking",
        project=settings.project.name,
        name=run_name(known, metric_name(settings)),
        metric=metric_name(settings),
        evaluation=evaluation,
        models=models,
        figures=_figures(evaluation),
        intervals=evaluation.get("intervals", {}),
        gate=_gate(settings, evaluation),
        suspects=evaluation.get("suspects", []),
        confirmed=settings.registry.confirmed,
        kept={m.name: m.value for m in measures if "/" not in m.name},
        trainers=side_by_side({m.name: m.value for m in measures}, _task(evaluation).metric),
        kept_trainer=state.tags.get(TRAINER_TAG, ""),
        charts=drawn,
        tags=state.tags,
        params=flatten(state.params),
    )


def _task(evaluation: Mapping[str, Any]) -> Task:
    """Of an evaluation; those of format 1 are of binary tasks."""
    return from_dict({"kind": evaluation.get("task", "binary")})


def _figures(evaluation: Mapping[str, Any]) -> list[str]:
    """The figures of the table: first those that may decide, in the task's order."""
    first = _task(evaluation).metrics
    known = [name for name in evaluation["candidate"] if name not in ("rows", "rate", "mean")]
    return [*(name for name in first if name in known), *(name for name in known if name not in first)]


def _gate(settings: Settings, evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The gate's decision on this very model, with its version; None before it judged."""
    registered, promotion = settings.report("registered"), settings.report("promotion")
    if not (registered.is_file() and promotion.is_file()):
        return None
    version = read_json(registered, made_by="mlops run")
    decision = read_json(promotion, made_by="mlops promote")
    same = version["digest"] == evaluation["digest"] and decision["version"] == version["version"]
    return decision if same else None


def _charts(
    settings: Settings, evaluation: Mapping[str, Any], state: RunState, measures: Sequence[Measure]
) -> list[Chart]:
    """Those that there are points for: an evaluation of an earlier release has none."""
    metric = _task(evaluation).metric.name
    drawn = [*_of_epochs(measures, metric, state.tags.get(TRAINER_TAG, ""))]
    kind = evaluation.get("task", "binary")
    if curves := evaluation.get("curves"):
        told = {who: curves[who] for who in MODELS if who in curves}
        drawn += of_answers(told, task=kind, figures=evaluation["candidate"])
    if needed := evaluation.get("importance"):
        items = [(item["column"], item["loss"]) for item in needed[:_MOST_BARS]]
        reading = (
            f"What {metric} loses when the column's values are shuffled. Of two columns that say "
            f"the same, each may look as if it were not needed."
        )
        more = f" The first {_MOST_BARS} of {len(needed)} columns." if len(needed) > _MOST_BARS else ""
        drawn.append(
            Chart("importance", "What the model needs", reading + more, charts.bars(items, title=reading))
        )
    if counts := evaluation.get("confusion"):
        drawn.append(confusion(counts, task=kind, classes=evaluation.get("classes", ())))
    drawn += of_examples(evaluation.get("examples", ()))
    return drawn


def _of_epochs(measures: Sequence[Measure], metric: str, trainer: str) -> Iterator[Chart]:
    kept = next((m.value for m in measures if m.name == "kept_epoch"), None)
    reading = f"The dashed line is epoch {kept:.0f}, whose weights are kept." if kept else ""
    prefix = f"epoch/{trainer}/" if trainer else "epoch/"
    told = [m.name.removeprefix(prefix) for m in measures if m.name.startswith(f"{prefix}validation_")]
    # Not all trainers can afford the metric after every round.
    shown = f"validation_{metric}" if f"validation_{metric}" in told else next(iter(told), "")
    for file, name, title in (
        ("loss", f"{prefix}train_loss", "Training loss by epoch"),
        ("metric", f"{prefix}{shown}", f"Validation {shown.removeprefix('validation_')} by epoch"),
    ):
        points = [(m.step, m.value) for m in measures if m.name == name]
        if len(points) < 2:
            continue
        values = [value for _, value in points]
        low, high = min(values), max(values)
        gap = (high - low) * 0.08 or 0.01
        svg = charts.curves(
            [charts.Series(title, "candidate", points, dots=True)],
            x="epoch",
            y=name.rpartition("/")[2],
            x_range=(points[0][0], points[-1][0]),
            y_range=(low - gap if low < 0 else max(0.0, low - gap), high + gap),
            mark=kept,
        )
        yield Chart(file, title, reading, svg)
