"""States of a server for its page: as rich as can be, in trouble, and just started."""

from __future__ import annotations

import math
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>&\"<b>"


def at(seconds: float) -> str:
    """The time so long before `NOW`."""
    return (NOW - timedelta(seconds=seconds)).isoformat()


def rich() -> dict[str, Any]:
    """A canary at 10 %, beside a shadow, on four workers, with ten minutes of figures."""
    return {
        "model": "flights",
        "task": "binary",
        "time": at(0),
        "since": at(93_000),
        "revision": 12,
        "engine": "local",
        "front": "haproxy",
        "workers": [
            {"name": f"w{n}", "pid": 4100 + n, "ready": True, "since": at(93_000), "memory_bytes": 118 << 20}
            for n in (1, 2, 3, 4)
        ],
        "traffic": {
            "kind": "canary",
            "weights": {"5": 900, "7": 100},
            "sticky": "X-Mlops-Key",
            "shadow": ["8"],
        },
        "versions": [
            _version("5", 900, 1_203_400, roles=["champion"], loss=(20_123, 0.4312)),
            _version("7", 100, 4_120, roles=["challenger"], loss=(210, 0.4101)),
            {"version": "8"},
        ],
        "shadow": [{"version": "8", "compared": 88_120, "shed": 312, "mean_difference": 0.0123}],
        "release": {
            "kind": "canary",
            "version": "7",
            "against": "5",
            "step": 1,
            "steps": [10, 100, 500, 1000],
            "since": at(1_300),
            "verdict": "wait",
            "reasons": ["Version 7 was asked 4,120 of the 5,000 times that this step needs."],
        },
        "history": [
            _change(90_000, "ann", "rollback", {"6": 1000}, {"5": 1000}),
            _change(1_300, "ann", "deploy", {"5": 1000}, {"5": 990, "7": 10}),
            _change(400, "supervisor", "step", {"5": 990, "7": 10}, {"5": 900, "7": 100}, by="canary"),
        ],
        "series": [_point(n) for n in range(60)],
        "log": {"failing": None},
        "problems": [],
    }


def bad() -> dict[str, Any]:
    """The same where all goes wrong that can, told by people who do not mean well."""
    state = deepcopy(rich())
    state["model"] = HOSTILE
    state["workers"][2] |= {"ready": False, "restarts": 5, "since": at(3)}
    state["workers"][1] |= {"restarts": 1, "since": at(70)}
    state["log"]["failing"] = f"no space left in {HOSTILE}"
    state["release"] |= {"verdict": "go back", "reasons": [f"Version 7 failed 214 of 1,120. {HOSTILE}"]}
    state["versions"][1] |= {"errors": 214, "requests": 1_120, "roles": [HOSTILE]}
    state["history"][0] |= {"who": HOSTILE, "action": HOSTILE, "reason": HOSTILE, "by": HOSTILE}
    state["traffic"]["sticky"] = HOSTILE
    state["workers"][0]["name"] = state["versions"][2]["version"] = state["engine"] = HOSTILE
    state["series"][3]["requests"][HOSTILE] = 5
    state["problems"] = [f"Version 9 is damaged: it was not loaded. {HOSTILE}"]
    return state


def empty() -> dict[str, Any]:
    """One worker that has just started, and that nobody asked yet."""
    return {
        "model": "flights",
        "task": "regression",
        "time": at(0),
        "since": at(2),
        "workers": [{"name": "w1", "pid": 7, "ready": True, "since": at(1)}],
        "traffic": {"weights": {"1": 1000}},
        "versions": [{"version": "1", "weight": 1000}],
    }


def _version(
    version: str, weight: int, requests: int, *, roles: list[str], loss: tuple[int, float]
) -> dict[str, Any]:
    rows, mean = loss
    return {
        "version": version,
        "roles": roles,
        "weight": weight,
        "requests": requests,
        "rows": 2 * requests,
        "rate_per_s": weight * 0.9,
        "p50_ms": 1.23,
        "p95_ms": 3.4,
        "p99_ms": 7.91,
        "loss": {"rows": rows, "mean": mean, "low": mean - 0.01, "high": mean + 0.01},
    }


def _change(
    ago: float, who: str, action: str, before: dict[str, int], after: dict[str, int], by: str = "hand"
) -> dict[str, Any]:
    return {
        "time": at(ago),
        "who": who,
        "action": action,
        "from": before,
        "to": after,
        "reason": "figures of October",
        "by": by,
    }


def _point(place: int) -> dict[str, Any]:
    later = place > 20
    return {
        "time": at(600 - 10 * place),
        "requests": {"5": int(8_000 + 1_500 * math.sin(place / 7)), "7": 850 if later else 0},
        "p99_ms": {"5": 7.0 + place % 3, "7": 9.0 if later else None},
    }
