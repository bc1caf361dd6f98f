"""Why the champion answered as it did: rows that were served, by their ids, or rows of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Array, check_rows
from runtime_lib.errors import DataError
from runtime_lib.files import read_json
from runtime_lib.registry.champion import champion, no_champion
from runtime_lib.registry.files import Champion
from runtime_lib.serving.log import Damage, lost_by, read_predictions
from runtime_lib.settings import Settings
from runtime_lib.tables import read_table
from runtime_lib.training.explain import MOST_ROWS, Explanation, Part, explain
from runtime_lib.training.judge import open_model
from runtime_lib.training.model import read_columns
from runtime_lib.training.profile import FORMAT, read_profile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explained", "explain_file", "explain_served"]


@dataclass(frozen=True)
class Explained:
    """The champion's answers to `n` rows, and what each of their columns adds. `told`: the output of each."""

    model: str
    version: str
    ids: Sequence[str]
    answers: Sequence[Any]
    told: Sequence[str]
    rows: Mapping[str, Array]
    found: Explanation

    def parts(self, row: int, output: str) -> list[Part]:
        """The columns of a row, those that add or take most first."""
        return self.found.parts(self.rows, row, output)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: for each row its answer, and by output the columns, the strongest first."""
        return {
            "format": 1,
            "model": self.model,
            "version": self.version,
            "exact": self.found.exact,
            "unit": self.found.unit,
            "rows": [
                {
                    "id": self.ids[row],
                    "answer": self.answers[row],
                    "outputs": {
                        output: {
                            "base": self.found.start(row, output),
                            "columns": [asdict(part) for part in self.parts(row, output)],
                        }
                        for output in self.found.outputs
                    },
                }
                for row in range(len(self.ids))
            ],
        }


def explain_served(settings: Settings, ids: Sequence[str]) -> Explained:
    """Explain the champion's answers to rows that it has served.

    Raises:
        DataError: there is no champion, it has not answered one of these ids, or takes images.
        ServiceError: the registry does not answer.
    """
    held = _champion(settings)
    if images := [column.name for column in read_columns(held.folder) if column.is_image]:
        raise DataError(
            f"The log keeps no pixels of '{images[0]}', only what tells images apart. Explain rows of a "
            f"file: `mlops explain --file FILE`."
        )
    damage: list[Damage] = []
    log = read_predictions(settings.predictions, version=held.version, on_damage=damage.append)
    known = set(log["id"])
    if missing := [each for each in ids if each not in known]:
        raise DataError(
            f"The log has no answer of the champion, version {held.version}, to the id '{missing[0]}'. Give "
            f"ids that it has served, or rows in a file: `mlops explain --file FILE`.{lost_by(damage)}"
        )
    return _explained(settings, held, log.set_index("id").loc[list(ids)].reset_index(), list(ids))


def explain_file(settings: Settings, file: Path, *, id_column: str = "id") -> Explained:
    """Explain the champion's answers to the rows of a `.parquet` or `.csv` file of features.

    Raises:
        DataError: there is no champion, the file cannot be read, or its rows do not fit the model.
        ServiceError: the registry does not answer.
    """
    held = _champion(settings)
    table = read_table(file, text=[id_column])
    if len(table) > MOST_ROWS:
        raise DataError(f"{file} has {len(table):,} rows; at most {MOST_ROWS:,} are explained at once.")
    named = id_column in table.columns
    ids = table[id_column].astype(str).tolist() if named else [str(row) for row in range(len(table))]
    return _explained(settings, held, table, ids)


def _champion(settings: Settings) -> Champion:
    held = champion(settings)
    if held is None:
        raise DataError(no_champion(settings))
    return held


def _explained(settings: Settings, held: Champion, table: pd.DataFrame, ids: Sequence[str]) -> Explained:
    model = open_model(settings, held.folder)
    profile = read_profile(read_json(held.folder / "profile.json", made_by="mlops run", newest=FORMAT))
    inputs = {c.name: table[c.name] for c in model.columns if c.name in table.columns}
    rows = check_rows(inputs, model.columns)
    answer = model.predict(rows)
    answers, told = model.task.records(answer, model.decide(answer)), model.task.told(answer)
    return Explained(held.name, held.version, ids, answers, told, rows, explain(model, rows, profile))
