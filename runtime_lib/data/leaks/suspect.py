"""A suspect: what stops a promotion until a person has confirmed it by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["DUPLICATES", "METRIC", "Kind", "Suspect", "remedy", "unconfirmed"]

Kind = Literal[
    "ranks",
    "explains",
    "missing",
    "certain",
    "word",
    "alone",
    "event",
    "encoding",
    "afterwards",
    "date",
    "identifier",
    "duplicates",
    "metric",
]

# In the place of a column's name where no single column is to blame.
METRIC, DUPLICATES = "<metric>", "<duplicates>"


@dataclass(frozen=True)
class Suspect:
    """`figure`: what the kind measures (an area under the ROC curve, a share, a count); `why`: in words."""

    column: str
    kind: Kind
    figure: float
    why: str

    @property
    def explains_figures(self) -> bool:
        """Whether a model can be near perfect because of it; an id or a date only learns rows by heart."""
        return self.kind not in ("identifier", "date", "afterwards")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Suspect:
        return cls(str(fields["column"]), fields["kind"], float(fields["figure"]), str(fields["why"]))

    def __str__(self) -> str:
        return f"{self.column} ({self.kind}): {self.why}"


def unconfirmed(suspects: Sequence[Suspect], confirmed: Collection[str]) -> tuple[Suspect, ...]:
    """Those whose column is not in `registry.confirmed`."""
    return tuple(suspect for suspect in suspects if suspect.column not in confirmed)


def remedy(suspects: Sequence[Suspect], confirmed: Collection[str]) -> str:
    """Say what to do about suspects that stop a promotion: the two ways on, with the lines to write.

    Args:
        confirmed: what `registry.confirmed` holds already.
    """
    columns = [s.column for s in suspects if s.column not in (METRIC, DUPLICATES)]
    fix = f"take {_listed(columns)} out of features() and run `mlops run`" if columns else _TABLE_WIDE
    names = [*confirmed, *dict.fromkeys(s.column for s in suspects)]
    line = f"confirmed = [{', '.join(_quoted(name) for name in names)}]"
    known = "its value is truly known when the prediction is asked for" if columns else "you know why"
    return (
        f"Either {fix}; or, if {known}, write this line below [registry] in mlops.toml and run "
        f"`mlops promote`: {line}"
    )


_TABLE_WIDE = "find what gives the label away, in load() and features(), and run `mlops run`"


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
