"""Where things lie in a project's folder. The library takes every such path from here.

`data/`, `models/` and `reports/` are what the stages of `dvc.yaml` make; `var/` is what the project writes
while it runs and git ignores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["Lock", "Part", "Paths", "Report"]

Part = Literal["train", "validation", "test"]
Report = Literal["validation", "evaluation", "registered", "promotion", "quality"]
Lock = Literal["run", "register", "promote", "ship", "models"]


class Paths(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The paths below `root`, the project's folder. None of them need exist."""

    root: Path = Path()

    @property
    def raw(self) -> Path:
        """Folder of the ingested months, one Parquet file each."""
        return self.root / "data" / "raw"

    @property
    def features(self) -> Path:
        """Folder of the months as features, one Parquet file each."""
        return self.root / "data" / "features"

    @property
    def split(self) -> Path:
        """Folder of the parts that training and the gate read."""
        return self.root / "data" / "split"

    def split_part(self, part: Part) -> Path:
        """One part of the split, a Parquet file."""
        return self.split / f"{part}.parquet"

    @property
    def candidate(self) -> Path:
        """Folder of the model that the last training left behind."""
        return self.root / "models" / "candidate"

    @property
    def record(self) -> Path:
        """Folder of that training's record: its parameters, figures and machine."""
        return self.root / "models" / "record"

    @property
    def reports(self) -> Path:
        """Folder of what stages and gate report."""
        return self.root / "reports"

    def report(self, name: Report) -> Path:
        """One of the reports, a JSON file."""
        return self.reports / f"{name}.json"

    @property
    def evaluation_page(self) -> Path:
        """The evaluation as an HTML page, next to the report it is drawn from."""
        return self.reports / "evaluation.html"

    @property
    def var(self) -> Path:
        """What the project writes while it runs and git ignores: databases, logs, state."""
        return self.root / "var"

    @property
    def ingest(self) -> Path:
        """Folder of the ledger of reads, see `runtime_lib.data.reads`."""
        return self.var / "ingest"

    @property
    def predictions(self) -> Path:
        """Folder of the log of what was served."""
        return self.var / "predictions"

    @property
    def releases(self) -> Path:
        """The journal of releases, see `runtime_lib.serving.releases.journal`."""
        return self.var / "serving" / "releases.jsonl"

    @property
    def server(self) -> Path:
        """Where the server that runs can be reached; there while it runs."""
        return self.var / "serving" / "server.json"

    @property
    def labels(self) -> Path:
        """Folder of the labels that came in after the predictions."""
        return self.var / "labels"

    @property
    def fetched_models(self) -> Path:
        """Folder of the registered models that were fetched to serve or to compare."""
        return self.var / "models"

    @property
    def spool(self) -> Path:
        """Folder of the records that wait for the tracking server."""
        return self.var / "spool"

    @property
    def monitoring_report(self) -> Path:
        """What `mlops monitor` found, a JSON file."""
        return self.var / "monitoring" / "report.json"

    @property
    def loop_trail(self) -> Path:
        """What was done about drops in performance, see `runtime_lib.monitoring.loop.trail`."""
        return self.var / "monitoring" / "loop.jsonl"

    @property
    def daily_profiles(self) -> Path:
        """Folder of the profiles of each day's predictions; they stay when the log's days go."""
        return self.var / "monitoring" / "profiles"

    @property
    def monitoring_page(self) -> Path:
        """What `mlops monitor` found, as an HTML page."""
        return self.var / "monitoring" / "report.html"

    @property
    def alerts(self) -> Path:
        """Folder of the alerts that fire, of silences and of what could not be delivered."""
        return self.var / "monitoring" / "alerts"

    @property
    def metrics(self) -> Path:
        """Folder of the rules and dashboards that `mlops metrics export` writes."""
        return self.var / "monitoring" / "prometheus"

    def lock(self, name: Lock) -> Path:
        """The lock file of one kind of work in this project, see `runtime_lib.locks`."""
        return self.var / f"{name}.lock"
