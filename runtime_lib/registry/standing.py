"""What holds now: which decision made the champion, what it replaced, and which versions were set aside.

Pure. A decision by hand stands until the gate judges a version that is new: one that it has not judged yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtime_lib.registry.trail import Entry

__all__ = ["Registered", "how", "previous", "set_aside"]


@dataclass(frozen=True)
class Registered:
    """A registered model: the version under its alias (None: none), and its trail, oldest first."""

    name: str
    champion: str | None = None
    trail: tuple[Entry, ...] = ()

    @property
    def held(self) -> tuple[Entry, ...]:
        """The decisions that were carried out, also the last one if only its note of that is missing."""
        last = self.trail[-1:]
        return tuple(e for e in self.trail if e.done or (e in last and e.after == self.champion))

    @property
    def moves(self) -> tuple[Entry, ...]:
        """Those that chose the champion."""
        return tuple(entry for entry in self.held if entry.moves)

    @property
    def moved_elsewhere(self) -> bool:
        """Whether the alias is not where the last decision left it: it was moved in MLflow itself."""
        return bool(self.moves) and self.moves[-1].after != self.champion

    @property
    def origin(self) -> Entry | None:
        """The decision that made the champion what it is; None: nobody wrote one down."""
        return self.moves[-1] if self.moves and not self.moved_elsewhere else None

    def interrupted(self, version: str) -> bool:
        """Whether the last promotion of this version was never carried out."""
        about = [e for e in self.trail if e.version == version and e.action in ("promoted", "refused")]
        return bool(about) and about[-1] not in self.held


def how(entry: Entry) -> str:
    """One decision in words: who, what, when and why."""
    when = f"on {entry.time:%Y-%m-%d %H:%M} UTC"
    if entry.action == "moved":
        return f"the alias was moved outside of `mlops`, which was found {when}"
    if entry.by == "gate":
        return f"the gate {entry.action} version {entry.version} {when}"
    what = {"set": "set", "cleared": "cleared", "rolled back": "went back to"}[entry.action]
    whom = entry.who if entry.by == "hand" else f"the {entry.by}"
    return f"{whom} {what} version {entry.version} {when}: {entry.reasons[0]}"


def set_aside(model: Registered, version: str, decision: str) -> str | None:
    """Say why a version must not be promoted again by itself, or return None.

    Args:
        decision: of the gate, as the version's tags have it: promoted, refused, or empty.
    """
    if version == model.champion:
        return None
    left = [e for e in model.moves if version in (e.before, e.after) and e.after != version]
    was = any(version in (e.before, e.after) for e in model.moves)
    if was or (decision == "promoted" and not model.interrupted(version)):
        return f"version {version} was champion before; {_end(model, left)}"
    choice = _choice(model)
    if decision == "refused" and choice is not None and not _judged_after(model, version, choice):
        return f"version {version} was refused before; since then {_end(model, [choice])}"
    return None


def previous(model: Registered, promoted: Iterable[str] = ()) -> str | None:
    """The champion before this one: a rollback is undone by another only if something else came between.

    Args:
        promoted: versions that the gate promoted, for what was before the trail began.

    Returns:
        None: there was none, or it had been cleared.
    """
    line = _line(model, promoted)
    return line[-2] if len(line) > 1 else None


def _end(model: Registered, decisions: list[Entry]) -> str:
    if model.moved_elsewhere:
        return "the alias was moved outside of `mlops`"
    return how(decisions[-1]) if decisions else "no trail says who changed that"


def _choice(model: Registered) -> Entry | None:
    """The last move, if somebody chose the present champion by hand; clearing chooses none."""
    if model.moved_elsewhere:
        return model.moves[-1] if model.champion else None
    last = model.origin
    return last if last and last.by != "gate" and last.after else None


def _judged_after(model: Registered, version: str, choice: Entry) -> bool:
    judged = [e.time for e in model.held if e.version == version and e.action == "refused"]
    return not model.moved_elsewhere and bool(judged) and judged[-1] > choice.time


def _line(model: Registered, promoted: Iterable[str]) -> list[str | None]:
    """The champions up to now, without those that a rollback has left."""
    first = model.moves[0].before if model.moves else model.champion
    line: list[str | None] = [*_before(first, promoted), first]
    for entry in model.moves:
        if entry.action == "rolled back":
            while line and line[-1] != entry.after:
                line.pop()
        if not line or line[-1] != entry.after:
            line.append(entry.after)
    if line[-1] != model.champion:
        line.append(model.champion)
    return line


def _before(first: str | None, promoted: Iterable[str]) -> list[str]:
    return sorted((v for v in promoted if first and int(v) < int(first)), key=int)
