"""A project whose champion is watched: its profile, and a log that is answered day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from runtime_lib import settings as settings_file
from runtime_lib.data.columns import Column, check_rows
from runtime_lib.monitoring.daily import Source
from runtime_lib.monitoring.drift import read_reference
from runtime_lib.monitoring.labels import add_labels
from runtime_lib.serving.log import PredictionLog
from runtime_lib.settings import Settings
from runtime_lib.task.kinds import BINARY
from tests.support.monitored import write_profile

__all__ = ["COLUMNS", "START", "Version", "Watched", "rows"]

START = datetime(2026, 3, 2, tzinfo=UTC)
COLUMNS = [Column("speed", "number", True), Column("place", "category", True)]


@dataclass(frozen=True)
class Version:
    """What monitoring needs to know of a champion."""

    folder: Path
    version: str = "2"
    held_out: None = None


def rows(count: int, seed: int, shift: float = 0.0) -> tuple[dict[str, Any], Any, Any]:
    """Inputs, probabilities and labels; the probabilities are right."""
    random = np.random.default_rng(seed)
    probability = random.beta(2, 4, count)
    table = {
        "speed": random.normal(10 + shift, 2, count),
        "place": random.choice(["A", "B", "C"], count).astype(object),
    }
    return table, probability, (random.random(count) < probability).astype(int)


@dataclass
class Watched:
    """A project in a folder."""

    root: Path
    environ: dict[str, str]
    profile: dict[str, Any]

    @classmethod
    def make(cls, root: Path, **rules: object) -> Watched:
        """`rules`: of `[monitoring]`."""
        (root / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
        profile = write_profile(root, COLUMNS, *rows(5_000, 0))
        return cls(root, {f"MLOPS_MONITORING__{k.upper()}": str(v) for k, v in rules.items()}, profile)

    @property
    def settings(self) -> Settings:
        return settings_file.load(self.root, environ=self.environ)

    @property
    def champion(self) -> Version:
        return Version(self.root)

    def source(self, *, since: datetime | None = None, damage: list[Any] | None = None) -> Source:
        reference = read_reference(self.profile)
        told = (damage if damage is not None else []).append
        return Source(self.settings, reference, BINARY, "2", since, told)

    def answer(
        self, day: int, count: int, *, hour: float = 8, prefix: str = "", shift: float = 0.0, **columns: Any
    ) -> pd.DataFrame:
        """Log so many predictions of a day; give ids (`<day>-<i>`), labels and inputs.

        Args:
            columns: in place of those of `rows`.
        """
        table, probability, label = rows(count, 1_000 * day + int(hour * 10), shift)
        probability = columns.pop("probability", probability)
        label = columns.pop("label", label)
        table |= columns
        ids = [f"{prefix or day}-{i}" for i in range(count)]
        log = PredictionLog(self.settings.predictions)
        log.append(
            ids, check_rows(table, COLUMNS), {"probability": probability}, model="demo", version="2",
            time=START + timedelta(days=day, hours=hour),
        )  # fmt: skip
        log.close()
        return pd.DataFrame({"id": ids, "label": label, **table})

    def label(self, table: pd.DataFrame) -> None:
        table[["id", "label"]].to_csv(self.root / "labels.csv", index=False)
        add_labels(self.settings, self.root / "labels.csv")
