"""A project that has served and monitored, with all that is exported as metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from runtime_lib.data.columns import Column, check_rows
from runtime_lib.data.quality import NotMissing, Range
from runtime_lib.data.quality.count import QualityCount, RuleCount
from runtime_lib.data.quality.report import assess
from runtime_lib.files import write_json
from runtime_lib.hardware.energy.estimate import Energy, cost, figures
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.monitoring.monitor import monitor
from runtime_lib.monitoring.verdict import Verdict
from runtime_lib.serving.log import PredictionLog
from runtime_lib.serving.releases.journal import Change, Held, Journal, State
from runtime_lib.serving.traffic import Policy
from runtime_lib.settings import Settings, load
from runtime_lib.task.kinds import BINARY
from runtime_lib.tracking.record import Record
from runtime_lib.training.profile import build_profile

COLUMNS = (Column("speed", "number", nullable=True), Column("place", "category", nullable=True))
FIRST = datetime(2026, 11, 2, 8, tzinfo=UTC)
MLOPS = "import sys; sys.argv[0] = 'mlops'; from runtime_lib.cli import main; main()"
"""Python code that is the command `mlops`."""


@dataclass(frozen=True)
class Champion:
    version: str
    folder: Path
    held_out: Mapping[str, float] | None = None


def make_project(root: Path, tables: str = "") -> Settings:
    """A project whose champion, version 8, has a profile; `tables` are added to its settings."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "mlops.toml").write_text(f'[project]\nname = "flights"\npackage = "flights"\n{tables}')
    write_profile(root, COLUMNS, *rows(4_000, seed=0))
    return load(root, environ={})


def write_profile(
    root: Path, columns: Sequence[Column], table: Any, probability: Any, label: Any
) -> dict[str, Any]:
    """The profile of a champion that answers with a probability, in the folder and returned."""
    figures = BINARY.figures(label, probability)
    profile = build_profile(table, columns, task=BINARY, answer=probability, label=label, metrics=figures)
    (root / "profile.json").write_text(json.dumps(profile))
    return profile


def scored(random: np.random.Generator, count: int, skill: float) -> tuple[Any, Any]:
    """Probabilities and labels, which they tell the better the more skill there is."""
    label = (random.random(count) < 0.3).astype(int)
    return 1 / (1 + np.exp(-(random.normal(size=count) + skill * label))), label


def rows(count: int, *, seed: int, shift: float = 0.0, skill: float = 1.5, missing: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    probability, label = scored(rng, count, skill)
    speed = np.where(rng.random(count) < missing, np.nan, rng.normal(10 + shift, 2, count))
    return {"speed": speed, "place": rng.choice(["A", "B", "C"], count).astype(object)}, probability, label


def monitored(settings: Settings, name: str, count: int = 3_000, **of_rows: float) -> Verdict:
    """Log rows over three days under ids that begin with `name`, label most, and monitor these alone."""
    table, probability, label = rows(count, seed=1, **of_rows)
    ids = [f"{name}-{number}" for number in range(count)]
    since = FIRST + timedelta(
        days=5 * len([*settings.root.glob("*.csv")])
    )  # after all that was logged before
    log = PredictionLog(settings.predictions)
    for day in range(3):
        part = slice(day, None, 3)
        checked = check_rows({column: values[part] for column, values in table.items()}, COLUMNS)
        answer = {"probability": probability[part]}
        time = since + timedelta(days=day)
        log.append(ids[part], checked, answer, model="flights", version="8", time=time)
    log.close()
    labels = settings.root / f"{name}.csv"
    pd.DataFrame({"id": ids, "label": label}).head(count * 4 // 5).to_csv(labels, index=False)
    add_labels(settings, labels)
    return monitor(settings, champion=Champion("8", settings.root), since=since)


def write_quality(settings: Settings) -> None:
    """`reports/quality.json`: one rule broken, one proven."""
    counts = {
        "range speed": RuleCount(20_000, 400),
        "not missing place": RuleCount(20_000, 0),
    }
    rules = [
        Range("speed", least=0, name="range speed"),
        NotMissing("place", name="not missing place"),
    ]
    report = assess(rules, {"2026-10": QualityCount(20_000, 400, counts)}, "months")
    write_json(settings.report("quality"), report.to_dict())


def write_training(settings: Settings, joules: float = 7.2e6) -> None:
    """The record of a training that took 2 kWh."""
    energy = Energy(joules, "measured", "a counter", 60.0)
    with Record.start(settings, {}) as record:
        values, tags = figures(energy, cost(energy, settings.hardware))
        record.metrics(0, values)
        record.tag(tags)


def write_release(settings: Settings, folder: Path) -> None:
    """A line of the journal: all traffic went to the model in `folder`, version 7."""
    state = State("flights", Policy.all_to("7"), {"7": Held(str(folder), "")}, ("7",))
    Journal(settings.releases).append(Change("deployed", "hand", "test", "", {}, state))


def command(*words: str) -> list[str]:
    """`mlops …` in a process of its own."""
    return [sys.executable, "-c", MLOPS, *words]
