"""The trail: every decision about the champion, by the gate or by hand, kept next to the models.

Each decision is one tag of the registered model, under a key of its own, so that every machine sees it and
two people at once overwrite nothing of each other's. It is written before the alias moves, and again, as
carried out, after: a decision that was killed in between can be told from one that holds.
"""

from __future__ import annotations

import getpass
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from runtime_lib.errors import DataError, SettingsError
from runtime_lib.files import check_format
from runtime_lib.secrets import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "LONGEST_REASON",
    "Action",
    "Entry",
    "carried_out",
    "checked_reason",
    "decided",
    "read",
    "who",
    "write",
]

Action = Literal["promoted", "refused", "set", "cleared", "rolled back", "moved"]
LONGEST_REASON = 1000  # characters
_TAG = "mlops.trail."
_FORMAT = 1
# Characters of a registered model's tag in PostgreSQL and MySQL; MLflow itself checks for 100,000.
_LONGEST = 5000
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One decision.

    Attributes:
        action: promoted or refused by the gate; set, cleared or rolled back by hand; moved: the alias was
            found elsewhere than the decision before had left it.
        version: the version that it is about.
        before, after: the champion before it and after it; None: none.
        reasons: why, in words.
        figures: what the gate or a release compared, by party; empty for a decision by hand.
        who: the user's name on the machine where it was decided.
        time: when it was carried out; until then, when it was decided.
        done: whether it is known to have been carried out.
        key: of its tag.
        release: the kind of release that went back by itself, as "canary"; empty: none did.
    """

    action: Action
    version: str
    before: str | None
    after: str | None
    reasons: tuple[str, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)
    who: str = ""
    time: datetime = _NO_TIME
    done: bool = False
    key: str = ""
    release: str = ""

    @property
    def by(self) -> str:
        """The gate, a kind of release, or "hand"."""
        return "gate" if self.action in ("promoted", "refused") else self.release or "hand"

    @property
    def moves(self) -> bool:
        """Whether it chooses the champion; a refusal leaves it alone."""
        return self.action != "refused"

    def to_dict(self) -> dict[str, Any]:
        return {
            "time": self.time.isoformat(timespec="microseconds"),
            "who": self.who,
            "by": self.by,
            "action": self.action,
            "version": self.version,
            "before": self.before,
            "after": self.after,
            "reasons": list(self.reasons),
            "figures": dict(self.figures),
            "done": self.done,
        }


def decided(entry: Entry, trail: Sequence[Entry]) -> Entry:
    """The entry with who, when and a key, later than all of the trail even where clocks disagree."""
    time = _later(trail)
    key = f"{_TAG}{time:%Y%m%dT%H%M%S.%fZ}.{secrets.token_hex(3)}"
    return replace(entry, who=who(), time=time, key=key)


def write(client: MlflowClient, name: str, entry: Entry) -> None:
    """Store an entry; one with the same key is replaced, which only its own writer does."""
    client.set_registered_model_tag(name, entry.key, _text(entry))


def read(tags: Mapping[str, str]) -> tuple[Entry, ...]:
    """The entries among a registered model's tags, oldest first.

    Raises:
        DataError: one is damaged, or of a later format.
    """
    found = [_entry(key, text) for key, text in tags.items() if key.startswith(_TAG)]
    return tuple(sorted(found, key=lambda entry: (entry.time, entry.key)))


def checked_reason(reason: str) -> str:
    """The reason of a decision by hand, as it is stored.

    Raises:
        SettingsError: it is empty or too long.
    """
    # A byte that is no UTF-8 comes from the command line as half a character, which no store takes.
    reason = " ".join(without_secrets(reason).encode(errors="replace").decode().split())
    if not reason:
        raise SettingsError('--reason is empty: say why, for instance --reason "the sensor was replaced".')
    if len(reason) > LONGEST_REASON:
        raise SettingsError(f"--reason has {len(reason):,} characters; at most {LONGEST_REASON:,}.")
    return reason


def carried_out(entry: Entry) -> Entry:
    """The entry as one that was carried out now."""
    return replace(entry, done=True, time=_later([entry]))


def _later(trail: Iterable[Entry]) -> datetime:
    last = max((entry.time for entry in trail), default=None)
    now = datetime.now(UTC)
    return now if last is None else max(now, last + timedelta(microseconds=1))


def who() -> str:
    """The user's name on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def _text(entry: Entry) -> str:
    entry = replace(entry, reasons=tuple(without_secrets(reason) for reason in entry.reasons))
    if len(text := _json(entry)) <= _LONGEST:
        return text
    # No decision by hand is as long. The version's own tags hold what the gate said, whole.
    each = _LONGEST // 4 // len(entry.reasons)
    cut = tuple(reason if len(reason) <= each else f"{reason[:each]}…" for reason in entry.reasons)
    text = _json(replace(entry, reasons=cut))
    return text if len(text) <= _LONGEST else _json(replace(entry, reasons=cut, figures={}))


def _json(entry: Entry) -> str:
    return json.dumps({"format": _FORMAT, **entry.to_dict()}, ensure_ascii=False)


def _entry(key: str, text: str) -> Entry:
    where = f"The tag {key} of the registered model"
    try:
        stored = json.loads(text)
        check_format(stored.pop("format", None), newest=_FORMAT, where=where)
        by = stored.pop("by")
        stored["release"] = "" if by in ("gate", "hand") else by
        stored["time"] = datetime.fromisoformat(stored["time"])
        stored["reasons"] = tuple(stored["reasons"])
        entry = Entry(**stored, key=key)
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{where} is damaged ({error}): remove it in MLflow's pages.") from error
    if entry.action not in get_args(Action):
        raise DataError(f"{where} has the action {entry.action!r}. Update runtime-lib.")
    return entry
