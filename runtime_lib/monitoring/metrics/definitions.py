"""Each metric of a project, once: the exporter, rules, dashboards and docs/metrics.md are made of these."""

from __future__ import annotations

from typing import Literal

from runtime_lib.exposition import Metric
from runtime_lib.serving import metrics as server

__all__ = ["ALL", "EXPORTED"]

_OF_MODEL = ("model",)
_OF_VERSION = ("model", "version")
_OF_COLUMN = (*_OF_VERSION, "column")
_OF_METRIC = (*_OF_VERSION, "metric")
_OF_RULES = ("model", "of")
_OF_RULE = (*_OF_RULES, "rule")


def _define(
    name: str,
    help_: str,
    unit: str = "",
    labels: tuple[str, ...] = _OF_MODEL,
    kind: Literal["counter", "gauge"] = "gauge",
) -> Metric:
    return Metric(f"mlops_{name}", kind, help_, unit, labels)


# The exporter
INFO = _define("exporter_info", "Which library exports, and for which environment.", "", (
    "model", "environment", "library"))  # fmt: skip
READABLE = _define("source_readable", "Whether the source could be read; 0: its metrics are missing.",
    "", ("model", "source"))  # fmt: skip

# The newest report
REPORTED = _define("report_timestamp_seconds", "When the newest report was made.", "seconds since 1970")
LAST_ROW = _define("report_last_row_timestamp_seconds", "When the last row that it judges was predicted.",
    "seconds since 1970")  # fmt: skip
JUDGED = _define("report_rows", "Predictions that it judges.", "rows", _OF_VERSION)
RETRAIN = _define("retrain_wanted", "Whether retraining is due.", "", _OF_VERSION)
SKEWED = _define("skewed_columns", "Columns that were served with other values than in training.", "columns",
    _OF_VERSION)  # fmt: skip
DAMAGE = _define("log_damaged_places", "Places of the prediction log that could not be read.", "places")

# Drift
DRIFTED = _define("drifted_columns", "Columns and answers that have drifted.", "columns", _OF_VERSION)
COLUMN_DRIFTED = _define("column_drifted", "Whether the column has drifted.", "", _OF_COLUMN)
EFFECT = _define("drift_effect", "How far the column is from training, by statistic.", "", (
    *_OF_COLUMN, "statistic"))  # fmt: skip
THRESHOLD = _define("drift_threshold", "From where the statistic matters.", "", ("model", "statistic"))
NULLS = _define("column_null_ratio", "Share of rows without a value.", "ratio", _OF_COLUMN)
UNSEEN = _define("column_unseen_ratio", "Share of values that training has never seen.", "ratio", _OF_COLUMN)
LEFT_OUT = _define("columns_left_out", "Columns that are not exported, beyond metrics_columns.", "columns",
    _OF_VERSION)  # fmt: skip

# Performance
LIVE = _define("performance_live", "The gate's figure on labelled predictions.", "", _OF_METRIC)
LOWER = _define("performance_lower", "Its lower 95 % bound.", "", _OF_METRIC)
UPPER = _define("performance_upper", "Its upper 95 % bound.", "", _OF_METRIC)
HELD_OUT = _define("performance_held_out", "The same figure on held-out data: the baseline.", "", _OF_METRIC)
ESTIMATED = _define("performance_estimated", "The figure as answers without labels let expect it.", "",
    _OF_METRIC)  # fmt: skip
BEST = _define("performance_best", "The figure of a perfect model: 1 where higher is better, 0 for an error.",
    "", _OF_METRIC)  # fmt: skip
LABELLED = _define("labelled_rows", "Predictions that have a label.", "rows", _OF_VERSION)
COVERAGE = _define("label_coverage_ratio", "Share of predictions that have a label.", "ratio", _OF_VERSION)

# Quality
QUALITY_ROWS = _define("quality_rows", "Rows judged by quality rules; of: months or served.", "rows",
    _OF_RULES)  # fmt: skip
QUARANTINED = _define("quality_quarantined_rows", "Rows set aside.", "rows", _OF_RULES)
BAD = _define("quality_bad_ratio", "Share of bad rows.", "ratio", _OF_RULE)
BAD_UPPER = _define("quality_bad_upper_ratio", "Its upper 95 % bound.", "ratio", _OF_RULE)
ACCEPTED = _define("quality_accepted_ratio", "The largest share that is accepted.", "ratio", _OF_RULE)
BROKEN = _define("quality_rule_broken", "Whether the rule is surely broken.", "", _OF_RULE)
PROVEN = _define("quality_rule_proven", "Whether fewer bad rows than accepted are proven.", "", _OF_RULE)
RULES_LEFT_OUT = _define("quality_rules_left_out", "Rules that are not exported, beyond metrics_columns.",
    "rules", _OF_RULES)  # fmt: skip

# Alerts of the library's own channels
FIRING = _define("alerts_firing", "Alerts that fire and are told on the project's channels.", "alerts",
    ("model", "severity"))  # fmt: skip
SILENCED = _define("alerts_silenced", "Alerts that fire and are silenced.", "alerts")
UNDELIVERED = _define("alerts_undelivered", "Messages that a channel did not take.", "messages")

# Releases and the prediction log
TRAFFIC = _define("traffic_ratio", "Share of requests that the version gets.", "ratio", _OF_VERSION)
RELEASED = _define("release_timestamp_seconds", "When traffic changed last.", "seconds since 1970")
RELEASING = _define("release_in_progress", "Whether a canary, an A/B test or a bandit is under way.")
LOG_BYTES = _define("log_bytes", "Size of the prediction log.", "bytes")
LOG_DAYS = _define("log_folders", "Days that the prediction log holds, a folder each.", "days")

# Energy and machine
TRAINING_JOULES = _define("training_energy_joules", "Energy of the last training, measured or estimated.",
    "joules", ("model", "kind"))  # fmt: skip
TRAINING_COST = _define("training_energy_cost", "What it cost.", "money", ("model", "currency"))
TRAINING_CO2 = _define("training_co2_grams", "CO2 of it.", "grams")
MACHINE_JOULES = _define("machine_energy_joules_total", "Energy that the machine's counters measured.",
    "joules", kind="counter")  # fmt: skip
MACHINE_COST = _define("machine_energy_cost_total", "What it cost.", "money", ("model", "currency"),
    kind="counter")  # fmt: skip
MACHINE_CO2 = _define("machine_co2_grams_total", "CO2 of it.", "grams", kind="counter")
THERMAL = _define("thermal_pressure", "0 Nominal, 1 Moderate, 2 Heavy, 3 Trapping, 4 Sleeping.", "level")
FREE_MEMORY = _define("free_memory_bytes", "Memory that is free or can be freed.", "bytes")
GPU = _define("gpu_utilisation_ratio", "How busy the GPU is.", "ratio")
BATTERY = _define("battery_ratio", "Charge of the battery.", "ratio")

EXPORTED = (
    *(INFO, READABLE),
    *(REPORTED, LAST_ROW, JUDGED, RETRAIN, SKEWED, DAMAGE),
    *(DRIFTED, COLUMN_DRIFTED, EFFECT, THRESHOLD, NULLS, UNSEEN, LEFT_OUT),
    *(LIVE, LOWER, UPPER, HELD_OUT, ESTIMATED, BEST, LABELLED, COVERAGE),
    *(QUALITY_ROWS, QUARANTINED, BAD, BAD_UPPER, ACCEPTED, BROKEN, PROVEN, RULES_LEFT_OUT),
    *(FIRING, SILENCED, UNDELIVERED),
    *(TRAFFIC, RELEASED, RELEASING, LOG_BYTES, LOG_DAYS),
    *(TRAINING_JOULES, TRAINING_COST, TRAINING_CO2, MACHINE_JOULES, MACHINE_COST, MACHINE_CO2),
    *(THERMAL, FREE_MEMORY, GPU, BATTERY),
)
"""What `mlops metrics` exports."""

ALL = (*server.METRICS, *EXPORTED)
"""With what a server's own page has."""
