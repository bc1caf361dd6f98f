"""What an alert is: something that was found, under a key that stays the same while it is found again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from runtime_lib.secrets import without_secrets

__all__ = ["KINDS", "SEVERITIES", "Alert", "Finding", "Outcome", "Scope", "Status", "plain", "rank"]

KINDS = ("drift", "skew", "quality", "performance", "retraining")  # that the library itself finds
SEVERITIES = ("info", "warning", "critical")
Status = Literal["firing", "resolved", "event"]
# Of the kinds that the library itself finds; any other is a warning until its finder says more.
_SEVERITY = {"performance": "critical"}


class Scope(NamedTuple):
    """What a run looks at."""

    project: str
    environment: str
    model: str


@dataclass(frozen=True)
class Finding:
    """What one run has found, as its finder tells it.

    Attributes:
        kind: drift, skew, performance, quality, …: an open set.
        title: one line, which names the model.
        text: a few lines with the figures.
        severity: info, warning or critical; empty: by kind.
        group: tells alerts of one kind apart, as rules of their own; most kinds need none.
        members: the columns or rules that are meant. All are one alert; each is told when it is new.
        evidence: what the receiver needs to believe it; goes out as JSON.
        report: the page that shows it, a path or an address.
    """

    kind: str
    title: str
    text: str
    severity: str = ""
    group: str = ""
    members: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    report: str = ""

    def __post_init__(self) -> None:
        if not self.kind:
            raise ValueError(f"The finding '{self.title}' has no kind.")
        if self.severity and self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r}: choose one of {', '.join(SEVERITIES)}.")


@dataclass(frozen=True)
class Alert:
    """An incident: it fires, perhaps again and again, and is resolved. An event only happens.

    Attributes:
        key: the same for the same thing: project/environment/model/source/kind/group.
        source: which part of the library found it; no other resolves it.
        version: of the model; what was found of another one is over.
        since: when it was first found.
        time: when it was last found, or found to be gone.
    """

    key: str
    source: str
    project: str
    environment: str
    model: str
    kind: str
    severity: str
    status: Status
    title: str
    text: str
    version: str
    since: datetime
    time: datetime
    members: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    report: str = ""

    @property
    def incident(self) -> str:
        """Names this incident among all of its key: 24 hexadecimal digits."""
        named = f"{self.key}\n{self.since.isoformat()}"
        return hashlib.sha256(named.encode()).hexdigest()[:24]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: what is stored, listed and sent."""
        times = {"since": self.since.isoformat(), "time": self.time.isoformat()}
        return {**asdict(self), "members": list(self.members), **times}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Alert:
        """The alert of `to_dict`.

        Raises:
            TypeError, KeyError, ValueError: it is none.
        """
        times = {name: datetime.fromisoformat(stored[name]) for name in ("since", "time")}
        return cls(**{**stored, "members": tuple(stored["members"]), **times})

    @classmethod
    def of(
        cls, finding: Finding, scope: Scope, source: str, status: Status, now: datetime, *, version: str = ""
    ) -> Alert:
        """The alert of a finding, without any secret."""
        told = plain(asdict(finding))
        parts = (*scope, source, finding.kind, told.pop("group"))
        told["severity"] = finding.severity or _SEVERITY.get(finding.kind, "warning")
        told["members"] = tuple(told["members"])
        told["title"] = " ".join(told["title"].split())
        return cls(
            key="/".join(quote(part, safe=" ") for part in parts).rstrip("/"),
            source=source,
            **scope._asdict(),
            status=status,
            version=version,
            since=now,
            time=now,
            **told,
        )


@dataclass(frozen=True)
class Outcome:
    """What one run sent to a channel: how many messages arrived, and why the first that did not, did not.

    `host` is what may be shown of its address. Without a channel, `error` says why nothing could be sent.
    """

    channel: str
    host: str
    sent: int
    error: str | None = None


def rank(severity: str) -> int:
    return SEVERITIES.index(severity)


def plain(value: Any) -> Any:
    """A value as JSON holds it: without secrets, NaN as null, and what is unknown as text."""
    if isinstance(value, Mapping):
        return {without_secrets(str(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):  # a number of numpy's
        return plain(value.item())
    return without_secrets(str(value))
