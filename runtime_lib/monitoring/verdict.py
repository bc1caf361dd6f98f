"""What monitoring found, in one value: read by the command, the report and the alerts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from runtime_lib.data.quality.report import QualityReport
from runtime_lib.monitoring.alerts.alert import Outcome
from runtime_lib.monitoring.drift import ColumnDrift
from runtime_lib.monitoring.estimate import Estimate
from runtime_lib.monitoring.labelled import Labelled
from runtime_lib.monitoring.loop.trail import Step
from runtime_lib.monitoring.performance import Performance, Period
from runtime_lib.monitoring.skew import Skew
from runtime_lib.monitoring.slices import Slice
from runtime_lib.monitoring.timeline import Timeline
from runtime_lib.settings import Monitoring

__all__ = ["Verdict"]

# By which a verdict is found.
_RULES = (
    *("min_rows", "period_days", "window_days", "windows", "persistence"),
    *("drift_threshold", "ks_threshold", "wasserstein_threshold", "cramers_threshold", "rate_threshold"),
    *("alpha", "max_drop"),
)
_HEADLINES = {
    "retrain": "Retrain: performance has dropped",
    "skew": "Look: rows were served with other features than in training",
    "quality": "Look: served rows break quality rules",
    "drift": "Look: the data has drifted",
    "early": "Too early to tell",
    "well": "All well",
}


@dataclass(frozen=True)
class Verdict:
    """What monitoring found. `version` is None when every logged prediction was judged.

    `damage`: a sentence for each part of the prediction log that could not be read. `quality`: what the
    project's rules of inputs found in served rows; None: it has none.
    """

    project: str
    environment: str
    model: str
    version: str | None
    time: datetime
    first: datetime
    last: datetime
    rows: int
    rules: Monitoring = field(repr=False)  # its webhook may hold a secret
    columns: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]
    performance: Performance
    periods: tuple[Period, ...]
    report_html: Path
    report_json: Path
    alerts: tuple[Outcome, ...] = ()
    skew: Skew = field(default_factory=lambda: Skew(0))
    labelled: Labelled = field(default_factory=Labelled)
    damage: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    estimated: Estimate | None = None
    timeline: Timeline = field(default_factory=Timeline)
    causes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    quality: QualityReport | None = None

    @property
    def drifted_columns(self) -> tuple[str, ...]:
        return tuple(c.name for c in self._judged() if c.drifted)

    @property
    def prediction_drifted(self) -> bool:
        return any(c.drifted for c in self.predictions)

    @property
    def drifted(self) -> bool:
        """An input or the prediction has drifted: a reason to look."""
        return bool(self.drifted_columns)

    @property
    def retrain(self) -> bool:
        """Performance has dropped, surely and by enough: a reason to train again."""
        return self.performance.retrain

    @property
    def skewed(self) -> bool:
        """Some rows were served with other features than they have in training: a reason to look."""
        return bool(self.skew.columns)

    @property
    def found(self) -> bool:
        """Something is to be done or looked at."""
        return self.retrain or self.skewed or self.spoilt or self.drifted

    @property
    def spoilt(self) -> bool:
        """Served rows surely break a quality rule more often than is accepted: a reason to look."""
        return bool(self.quality and self.quality.broken)

    @property
    def state(self) -> Literal["retrain", "skew", "quality", "drift", "early", "well"]:
        if self.retrain:
            return "retrain"
        if self.skewed:
            return "skew"
        if self.spoilt:
            return "quality"
        if self.drifted:
            return "drift"
        return "early" if self.rows < self.rules.min_rows else "well"

    @property
    def alert(self) -> Outcome | None:
        """What became of the alert on the first channel that one was due on; None: none was."""
        return self.alerts[0] if self.alerts else None

    @property
    def headline(self) -> str:
        """The state in a few words."""
        return _HEADLINES[self.state]

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence per finding; empty when all is well."""
        found = [f"{c.name}: {reason}" for c in self._judged() for reason in c.reasons]
        skewed = [
            f"skew: {column}, of {self.skew.rows:,} rows that are in training too"
            for column in self.skew.columns
        ]
        bad = [f"quality: {reason}" for reason in (self.quality.reasons if self.quality else ())]
        return (*([self.performance.reason] if self.retrain else []), *skewed, *bad, *found)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values: the content of `report.json`, format 2.

        Format 1, until 0.6, had `prediction` alone, and no figures of the periods.

        `report` is the path of the HTML page.
        """
        return {
            "format": 2,
            "project": self.project,
            "environment": self.environment,
            "model": self.model,
            "version": self.version,
            "time": self.time.isoformat(),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "rows": self.rows,
            "state": self.state,
            "drifted": self.drifted,
            "retrain": self.retrain,
            "reasons": list(self.reasons),
            "rules": {name: getattr(self.rules, name) for name in _RULES},
            "columns": [c.to_dict() for c in self.columns],
            "predictions": [c.to_dict() for c in self.predictions],
            # The name until 0.6, when there was one output.
            "prediction": self.predictions[0].to_dict() if self.predictions else None,
            "performance": self.performance.to_dict(),
            "skew": self.skew.to_dict(),
            "labelled": asdict(self.labelled),
            "periods": [vars(p) for p in self.periods],
            "report": str(self.report_html),
            "alert": self.alert and {"host": self.alert.host, "error": self.alert.error},
            "alerts": [vars(outcome) for outcome in self.alerts],
            "damage": list(self.damage),
            "slices": [asdict(each) for each in self.slices],
            "estimated": self.estimated and asdict(self.estimated),
            "timeline": asdict(self.timeline),
            "causes": list(self.causes),
            "steps": [step.to_dict() for step in self.steps],
            **({"quality": self.quality.to_dict()} if self.quality else {}),
        }

    def _judged(self) -> tuple[ColumnDrift, ...]:
        return (*self.predictions, *self.columns)
