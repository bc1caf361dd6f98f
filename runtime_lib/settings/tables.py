"""What a project may set: the tables of `mlops.toml`, their defaults, and the keys that were renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from runtime_lib.settings.channel import Channel
from runtime_lib.settings.paths import Paths

__all__ = ["RENAMED", "Moved", "Settings"]


class Moved(NamedTuple):
    """Where a key's value belongs now ("": nowhere), and the version that refuses the old key."""

    to: str
    until: str


# Keys that had another name, as `table.key` (`*` for a name that the project chooses: `table.*.key`).
# Renamed in 0.4, a key is read until 0.5: one minor version. A migration of the same release
# (runtime_lib/upgrade/migrations.py) rewrites the projects' files.
RENAMED: Mapping[str, Moved] = {}

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
# Bounds that no machine, tariff or grid reaches: they keep infinity out.
Gibibytes = Annotated[float, msgspec.Meta(ge=0, le=2**20)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file; keys that it does not name are refused.

    A table may hold others, to any depth: a field that is a struct is a table of its own, and one of type
    `dict[str, X]` holds an `X` under each name that the project chooses.
    """


class ProjectNames(_Table, frozen=True):
    """What the project is called, and the Python package that it holds."""

    name: str
    package: str


class Data(_Table, frozen=True):
    """How data arrives. `labels_after`: days from the end of a month until its labels are complete."""

    labels_after: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0


class Training(_Table, frozen=True):
    framework: Literal["auto", "mlx", "torch"] = "auto"


class Tracking(_Table, frozen=True):
    """Where runs and models go. A relative sqlite path is taken from the project's folder."""

    uri: str = "sqlite:///var/mlflow.db"
    artifacts: str = "var/artifacts"
    experiment: str = ""


class Registry(_Table, frozen=True):
    """The registered model's name (default: the project's) and the gate in front of `champion`."""

    model: str = ""
    # One of the task's metrics; empty: its first (docs/tasks.md).
    metric: str = ""
    # In the metric's own unit; of an error, as a share of the other's (docs/registry.md).
    min_gain_over_baseline: Share = 0.01
    min_gain_over_incumbent: Share = 0.005
    # Above 0 the champion need not be beaten: a new model may be worse by so much.
    max_loss_to_incumbent: Share = 0.0
    # Columns that know the label suspiciously well and that a person has confirmed; "<metric>" and
    # "<duplicates>" where no column is to blame: docs/training.md.
    confirmed: tuple[str, ...] = ()


class Canary(_Table, frozen=True):
    """How a version gets its traffic step by step, and what it must show: docs/releases.md."""

    # Percent of the traffic, step by step; the last is all of it.
    steps: tuple[Annotated[float, msgspec.Meta(gt=0, le=100)], ...] = (1.0, 10.0, 50.0, 100.0)
    min_requests: Annotated[int, msgspec.Meta(ge=1)] = 100
    # Seconds that a step lasts at least, and that it may wait for evidence.
    least_seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    longest_seconds: Annotated[float, msgspec.Meta(gt=0)] = 86_400.0
    # Of requests that may fail beyond the champion's share; part by which it may be slower.
    error_margin: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01
    latency_margin: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    # Mean loss per row that may be lost, in the task's unit; 0: labels are not waited for.
    loss_margin: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    # After the longest time without evidence.
    unproven: Literal["go back", "go on"] = "go back"


class Serving(_Table, frozen=True):
    engine: Literal["ray", "local"] = "ray"
    # numpy is for networks that have such a twin; "auto" takes it for small ones in the place of a CPU.
    framework: Literal["auto", "mlx", "torch", "numpy"] = "auto"
    host: str = "127.0.0.1"
    port: Port = 8000
    max_rows: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    # Processes of the local engine; 0: as many as the machine has room for. Replicas on Ray; 0: one.
    workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    # Replicas on Ray under load; 0: always as many as `workers`.
    max_workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    # The Ray cluster to run on, as "10.0.0.5:6379"; empty: Ray is started for this server alone.
    ray_address: Annotated[str, msgspec.Meta(pattern=r"^(auto|[^/\s]+:\d+)?$")] = ""
    # Seconds that a request may wait for its answer.
    timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    # The header whose value keeps a caller with one version while traffic is divided.
    sticky: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]+$")] = "X-Mlops-Key"
    # Which releases itself when it changes: "champion", or "" for none but `mlops deploy`.
    follow: Literal["champion", ""] = "champion"
    # Seconds between two looks at the registry, whether the champion has moved.
    follow_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    # How a champion that moved gets its traffic.
    rollout: Literal["at once", "canary"] = "at once"
    canary: Canary = msgspec.field(default_factory=Canary)
    # What stands in front of the workers: HAProxy where it is installed and there is more than one ("auto").
    front: Literal["auto", "haproxy", "none"] = "auto"


class Retrain(_Table, frozen=True):
    """What a drop in performance starts: docs/monitoring.md."""

    # Nothing, `mlops run` where `mlops monitor` runs, or the pipeline's DAG through Airflow.
    how: Literal["off", "local", "airflow"] = "off"
    # The new version waits for `mlops promote`, which lets the gate judge it.
    approve: bool = False
    # Hours between the beginnings of two retrainings.
    cool_down_hours: Annotated[float, msgspec.Meta(ge=0)] = 24.0
    airflow_url: Annotated[str, msgspec.Meta(pattern=r"^https?://")] = "http://127.0.0.1:8080"
    airflow_user: str = "admin"


class Objectives(_Table, frozen=True):
    """What alerts on the service and on monitoring hold it to: docs/metrics.md."""

    # Share of requests that the server does not fail. Much below 0.95 nothing could burn 14.4 times the rest.
    availability: Annotated[float, msgspec.Meta(ge=0.95, lt=1)] = 0.999
    # 99 % of requests are answered within so long; one of the buckets that a server counts.
    latency_p99_ms: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 200.0
    # From this age on the newest report counts as stale: monitoring is dead.
    report_hours: Annotated[float, msgspec.Meta(gt=0)] = 26.0


class Monitoring(_Table, frozen=True):
    """When drift and a drop in performance count. Sources: docs/monitoring.md."""

    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    # From where a change matters: PSI, the distance D, standard deviations, Cramér's V, Cohen's h.
    drift_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    ks_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    wasserstein_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    cramers_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    rate_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    # AUC of a classifier that tells two tables apart: `mlops drift --together`.
    together_threshold: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.6
    # The q-value below which a change is no accident.
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    # What is judged: the newest predictions.
    period_days: Annotated[int, msgspec.Meta(ge=1)] = 30
    # A window is so many days, or as many as bring `min_rows`; so many of the last `windows` must agree.
    window_days: Annotated[int, msgspec.Meta(ge=1)] = 1
    windows: Annotated[int, msgspec.Meta(ge=1)] = 3
    persistence: Annotated[int, msgspec.Meta(ge=1)] = 2
    max_drop: Share = 0.05
    retrain: Retrain = msgspec.field(default_factory=Retrain)
    # Days that the prediction log is kept; 0: for ever. Labels are always kept.
    keep_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    # Where `mlops metrics` listens on 127.0.0.1; 9464 is OpenTelemetry's usual port for Prometheus.
    metrics_port: Port = 9464
    # Columns, and quality rules, that are exported: each is several series.
    metrics_columns: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    objectives: Objectives = msgspec.field(default_factory=Objectives)
    # A channel without a signature, for what `mlops monitor` finds: docs/alerts.md#the-old-webhook.
    webhook: str = ""
    # By the names that a project chooses: docs/alerts.md.
    alerts: dict[str, Channel] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        shown = {field.name: getattr(self, field.name) for field in msgspec.structs.fields(self)}
        if self.webhook:
            shown["webhook"] = "…"
        return f"Monitoring({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


class Hardware(_Table, frozen=True):
    """When work waits for the machine, how projects share it, and what its energy costs: docs/hardware.md."""

    # Use the GPU of a virtual machine although it may compute wrongly without an error.
    force_gpu: bool = False
    # A reading that this platform has and that cannot be had: run all the same, wait, or refuse.
    unknown: Literal["run", "wait", "refuse"] = "wait"
    # The hottest thermal pressure at which work starts (macOS's names).
    max_thermal: Literal["Nominal", "Moderate", "Heavy"] = "Moderate"
    # On battery, with less than this share left, work waits.
    min_battery: Share = 0.2
    # Seconds a task waits for the machine before it gives up.
    max_wait: Annotated[int, msgspec.Meta(ge=0)] = 3600
    # GiB that a training takes, and that it can shrink to; 0: not known beforehand, and it cannot shrink.
    memory_gib: Gibibytes = 0.0
    least_memory_gib: Gibibytes = 0.0
    # GiB that a server takes; 0: not known.
    serving_memory_gib: Gibibytes = 0.0
    # Among projects that wait for this machine, the higher number goes first.
    priority: int = 0
    # Shares of memory and GPU that a training takes; 0: what its plan needs.
    memory_share: Share = 0.0
    gpu_share: Share = 0.0
    # Money for a kilowatt-hour in `currency`, and grams of CO2 per kilowatt-hour of the grid.
    price_per_kwh: Rate | None = None
    currency: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] = "EUR"
    grid_intensity: Rate | None = None


class Settings(Paths, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a project may set, and the paths below its folder (see `Paths`).

    Each field is a table of the file, but for `root` and `environment`, which loading fills in.
    """

    project: ProjectNames
    data: Data = msgspec.field(default_factory=Data)
    training: Training = msgspec.field(default_factory=Training)
    tracking: Tracking = msgspec.field(default_factory=Tracking)
    registry: Registry = msgspec.field(default_factory=Registry)
    serving: Serving = msgspec.field(default_factory=Serving)
    monitoring: Monitoring = msgspec.field(default_factory=Monitoring)
    hardware: Hardware = msgspec.field(default_factory=Hardware)
    environment: str = "local"

    @property
    def model_name(self) -> str:
        return self.registry.model or self.project.name

    @property
    def experiment(self) -> str:
        return self.tracking.experiment or self.project.name
