"""Objectives of the service, and how fast their error budgets burn.

Source: B. Beyer et al., *The Site Reliability Workbook* (2018), chapter 5, "Alerting on SLOs":
https://sre.google/workbook/alerting-on-slos/. A burn rate of 1 uses up the budget of 30 days in 30 days; 14.4
uses 2 % of it in an hour, 6 uses 5 % in six hours, 3 and 1 use 10 % in one and in three days. The short
window, a twelfth of the long one, ends an alert soon after its cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runtime_lib.errors import SettingsError
from runtime_lib.exposition import escape
from runtime_lib.monitoring.metrics.queries import PREDICTIONS, Matching, select
from runtime_lib.serving.metrics import BOUNDS, REQUESTS, SECONDS
from runtime_lib.settings import Settings

__all__ = ["BURNS", "Burn", "Objective", "objectives", "recorded", "recording_rules"]

Severity = Literal["critical", "warning"]
_P99 = 0.99


@dataclass(frozen=True)
class Burn:
    """A burn rate that is told when it holds over both windows."""

    severity: Severity
    rate: float
    long: str
    short: str


BURNS = (
    Burn("critical", 14.4, "1h", "5m"),
    Burn("critical", 6, "6h", "30m"),
    Burn("warning", 3, "1d", "2h"),
    Burn("warning", 1, "3d", "6h"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True)
class Objective:
    """What share of the requests is to be good.

    Attributes:
        title: what is good about a good request.
        bad: the share of bad ones over a window, `{over}`, as PromQL; nothing without requests.
    """

    name: Literal["availability", "latency"]
    share: float
    title: str
    bad: str

    @property
    def budget(self) -> float:
        """The share of requests that may be bad."""
        return round(1 - self.share, 12)


def objectives(settings: Settings) -> Sequence[Objective]:
    """Those of a project's model.

    Raises:
        SettingsError: the server does not count requests by that latency.
    """
    wanted, model = settings.monitoring.objectives, settings.model_name
    bound = _bound(wanted.latency_p99_ms)
    asked = {"model": model, "route": PREDICTIONS}
    failed = _rate(select(REQUESTS, over="{over}", **asked, status=Matching("5..")))
    answered = _rate(select(REQUESTS, over="{over}", **asked))
    fast = _rate(select(SECONDS, "_bucket", over="{over}", **asked, le=str(bound)))
    timed = _rate(select(SECONDS, "_count", over="{over}", **asked))
    return (
        Objective(
            "availability",
            wanted.availability,
            f"{wanted.availability:.6g} of requests are not failed by the server",
            f"{failed} / ({answered} > 0)",
        ),
        Objective(
            "latency",
            _P99,
            f"{_P99:g} of requests are answered within {wanted.latency_p99_ms:g} ms",
            f"1 - {fast} / ({timed} > 0)",
        ),
    )


def recording_rules(objective: Objective) -> Iterator[dict[str, Any]]:
    """The share of bad requests, a rule for each window."""
    for window in WINDOWS:
        yield {
            "record": _record(window),
            "expr": objective.bad.replace("{over}", window),
            "labels": {"objective": objective.name},
        }


def recorded(objective: Objective, model: str, window: str) -> str:
    """A selector of what `recording_rules` records. `model` may be a dashboard's variable."""
    return f'{_record(window)}{{model="{escape(model)}",objective="{objective.name}"}}'


def _record(window: str) -> str:
    return f"model_objective:mlops_requests_bad:ratio_rate{window}"


def _rate(selector: str) -> str:
    return f"sum by (model) (rate({selector}))"


def _bound(milliseconds: float) -> float:
    """The bucket of the server that ends there."""
    if (seconds := milliseconds / 1000) in BOUNDS:
        return seconds
    known = ", ".join(f"{1000 * bound:g}" for bound in BOUNDS)
    raise SettingsError(
        f"monitoring.objectives.latency_p99_ms = {milliseconds:g}: the server counts requests by other "
        f"latencies, so nobody could tell. Choose one of {known}."
    )
