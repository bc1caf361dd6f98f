"""What live data is compared with: the columns of a model's profile, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime_lib.errors import DataError
from runtime_lib.profiles.stored import from_dict
from runtime_lib.profiles.table import TableFold, TableProfile
from runtime_lib.profiles.typical import Typical
from runtime_lib.task.task import Watched
from runtime_lib.training.profile import measured, read_profile

__all__ = ["PREDICTION", "Reference", "read_reference"]

PREDICTION = "(prediction)"  # in brackets: an input may be called "prediction"


@dataclass(frozen=True)
class Reference:
    """Column name → what it held; answers are called `PREDICTION`, or `PREDICTION` and the output.

    Attributes:
        typical: how much columns vary while nothing is wrong; empty where that is unknown.
        measures: of columns that hold neither numbers nor names, what is watched of them: see `measured`.
        answers: output → the name of its column.
    """

    profile: TableProfile
    typical: Mapping[str, Typical] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)

    def fold(self, *, answers: bool = True) -> TableFold:
        """Begin a window: what is added is counted as here. `answers`: those of the model too."""
        columns = self.profile.columns
        if not answers:
            columns = {name: column for name, column in columns.items() if not name.startswith(PREDICTION)}
        return TableFold(TableProfile(columns))

    def columns(self, live: Mapping[str, Any], answers: Watched | None = None) -> dict[str, Any]:
        """The columns of live rows by their names here, for `fold`.

        Args:
            live: column name → values, as the prediction log holds them; others than those here are ignored.
            answers: what `Task.watched` gives of the same rows; without them none is compared.

        Raises:
            DataError: a column is missing from `live`.
        """
        inputs = [name for name in self.profile.columns if name not in self.answers.values()]
        if missing := [name for name in inputs if name not in live]:
            raise DataError(
                f"The live rows lack the column(s) {', '.join(missing)} of the model's profile. "
                "Judge the predictions of the model that the profile belongs to."
            )
        found = {
            name: measured(np.asarray(live[name], dtype=object), self.measures[name])
            if name in self.measures
            else live[name]
            for name in inputs
        }
        told = {self.answers[name]: values for name, (_, values) in (answers or {}).items()}
        return {**found, **told}


def read_reference(document: Mapping[str, Any]) -> Reference:
    """What a model's profile says.

    Args:
        document: as from `build_profile`.

    Raises:
        DataError: its format is unknown, or it is damaged.
    """
    document = read_profile(document)
    answers = document["answers"] or {}
    names = {name: PREDICTION if len(answers) == 1 else f"{PREDICTION} {name}" for name in answers}
    described = {**document["columns"], **{names[name]: about for name, about in answers.items()}}
    return Reference(
        TableProfile({name: from_dict(about, "The model's profile") for name, about in described.items()}),
        {
            name: Typical.from_dict(about.get("typical"), "The model's profile")
            for name, about in described.items()
        },
        {name: about["of"]["kind"] for name, about in described.items() if "of" in about},
        names,
    )
