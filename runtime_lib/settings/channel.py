"""A channel of alerts, `[monitoring.alerts.NAME]` in `mlops.toml`: where they go, and how patiently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

__all__ = ["KEYS", "PAGERDUTY", "SECRETS", "Channel", "Keys", "Kind", "place_of", "secret_keys"]

Kind = Literal["webhook", "slack", "pagerduty", "email", "alertmanager"]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]


class Keys(NamedTuple):
    """The keys of one kind. Secrets come from the environment alone, as `mlops.toml` is in git."""

    needed_secrets: frozenset[str] = frozenset()
    other_secrets: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    @property
    def secrets(self) -> frozenset[str]:
        return self.needed_secrets | self.other_secrets

    @property
    def all(self) -> frozenset[str]:
        return self.secrets | self.needed | self.others


def _set(keys: str) -> frozenset[str]:
    return frozenset(keys.split())


KEYS: Mapping[str, Keys] = {
    "webhook": Keys(_set("url"), other_secrets=_set("secret")),
    "slack": Keys(_set("url")),
    "pagerduty": Keys(_set("routing_key"), others=_set("url")),
    "email": Keys(
        other_secrets=_set("password"), needed=_set("host sender to"), others=_set("port security user")
    ),
    "alertmanager": Keys(other_secrets=_set("password"), needed=_set("url"), others=_set("user")),
}
SECRETS = frozenset().union(*(keys.secrets for keys in KEYS.values()))
# https://developer.pagerduty.com/docs/events-api-v2-overview; Europe has another.
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where alerts go: docs/alerts.md. Its `repr` shows no secret."""

    kind: Kind
    # The least severity that goes there.
    severity: Literal["info", "warning", "critical"] = "warning"
    # Hours after which an alert that still fires is sent again; 0: never.
    repeat: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 24.0
    tries: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    # Seconds before the second try; twice as long before each further one.
    pause: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    # Seconds for one try, and for all that one run sends there.
    timeout: Seconds = 10.0
    deadline: Seconds = 30.0
    # No secret of pagerduty and alertmanager.
    url: str = ""
    # Signs the requests of a webhook.
    secret: str = ""
    routing_key: str = ""
    host: str = ""
    # 0: the usual one of `security`.
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Secrets that it cannot send without and that the environment does not hold."""
        return tuple(sorted(key for key in KEYS[self.kind].needed_secrets if not getattr(self, key)))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that nobody may see."""
        return tuple(value for key in sorted(KEYS[self.kind].secrets) if (value := getattr(self, key)))

    @property
    def address(self) -> str:
        """Where a request goes; empty: its secret is missing, or it is mail."""
        return self.url or (PAGERDUTY if self.kind == "pagerduty" else "")

    @property
    def smtp_port(self) -> int:
        return self.port or _PORTS[self.security]

    @property
    def place(self) -> str:
        """Host and port, which may be shown; empty while its address is missing."""
        if self.kind == "email":
            return f"{self.host}:{self.smtp_port}"
        return place_of(self.address) if self.address else ""

    def bare(self) -> Channel:
        """The channel without its secrets."""
        return msgspec.structs.replace(self, **dict.fromkeys(KEYS[self.kind].secrets, ""))

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in msgspec.structs.fields(self)}
        hidden = secret_keys(self.kind)
        shown = {key: "…" if key in hidden and value else value for key, value in values.items()}
        return f"Channel({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


def secret_keys(kind: object) -> frozenset[str]:
    """The keys of a kind that are secrets; of one that is not known, all that may be."""
    return KEYS[kind].secrets if isinstance(kind, str) and kind in KEYS else SECRETS


def place_of(url: str) -> str:
    """What may be shown of an address: its host and port.

    Raises:
        ValueError: not an http(s) address, or one with a login; says so without repeating it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host and parts.username is not None:
        raise ValueError("holds a user name, which is not sent. Use an address without one")
    if not host or parts.scheme not in ("http", "https") or re.search(r"[^\x21-\x7e]", url):
        raise ValueError("is not an http or https address. Write it as https://host/path")
    return f"{host}:{port}" if port else host
