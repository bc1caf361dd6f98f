"""A version that can be asked: its predictor, what makes its inputs of raw rows, and its part of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import DataError, RequestError
from runtime_lib.serving.log import PredictionLog, Role, is_reserved
from runtime_lib.serving.predictor import Prediction, Predictor
from runtime_lib.serving.raw import RawRows, open_raw
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.data.rows import Checked
    from runtime_lib.serving.protocols.batch import Batch

__all__ = ["Version", "open_version"]


class Version:
    """A version that can be asked: its predictor, and what makes its inputs of raw rows."""

    def __init__(
        self,
        predictor: Predictor,
        open_raw: Callable[[], RawRows] | None = None,
        *,
        folder: Path = Path(),
    ) -> None:
        self.predictor, self.folder = predictor, folder
        self._open_raw = open_raw
        self._raw: RawRows | None = None
        self._names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.predictor.version

    @property
    def names(self) -> tuple[str, ...]:
        """Of the model's inputs, in their order."""
        return self._names

    @property
    def raw(self) -> RawRows:
        """What makes features of raw rows; the first time it imports the project's package.

        Raises:
            RequestError: this version takes features only (501); the message says why.
        """
        if self._raw is None:
            try:
                self._raw = self._open_raw() if self._open_raw else None
            except DataError as error:
                raise RequestError(str(error), status=501) from error
        if self._raw is None:
            raise RequestError("This server takes features only.", status=501)
        return self._raw

    def start(self) -> Version:
        """Load the model.

        Raises:
            ModelError: the model cannot be read.
            DataError: one of its inputs has the name of a column of the prediction log.
        """
        self.predictor.start()
        if clash := [c.name for c in self.predictor.model.columns if is_reserved(c.name)]:
            self.predictor.stop()
            raise DataError(
                f"Input '{clash[0]}' has the name of a column of the prediction log. Rename the feature."
            )
        self._names = tuple(column.name for column in self.predictor.model.columns)
        return self

    def check(self, batch: Batch) -> Checked:
        """The rows of a request as the model takes them.

        Raises:
            DataError: they do not fit the model's columns.
        """
        return self.predictor.checker.check(batch.rows)

    def inputs(self, batch: Batch) -> tuple[Checked, Sequence[str]]:
        """Apply the project's `features` to raw rows; without other ids its own are taken.

        Raises:
            RequestError: `features` failed (422), or no longer returns what the model takes (500).
            DataError: a value is of another type than in the raw months.
        """
        table = self.raw.inputs(batch.rows)
        if missing := [name for name in self._names if name not in table.columns]:
            raise RequestError(
                f"features() no longer returns '{missing[0]}', which this model takes: features.py has "
                f"changed since its training. Serve with the file of then, or train again.",
                status=500,
            )
        rows = self.predictor.checker.check({name: table[name].to_numpy() for name in self._names})
        return rows, table["id"].astype(str).tolist() if batch.ids is None else batch.ids


def open_version(
    settings: Settings,
    folder: Path,
    *,
    name: str,
    version: str,
    log: PredictionLog | None,
    role: Role = "primary",
) -> Version:
    """Make a version of its model folder; `start()` loads it."""
    serving = settings.serving

    def load() -> Any:
        from runtime_lib.training.judge import open_model

        return open_model(settings, folder, framework=serving.framework, most_rows=serving.max_rows)

    def write(prediction: Prediction, rows: Mapping[str, Any], numbers: Any) -> None:
        assert log is not None
        log.append(
            prediction.ids,
            rows,
            prediction.columns,
            model=name,
            version=version,
            time=datetime.now(UTC),
            numbers=numbers,
            role=role,
        )

    predictor = Predictor(load, name=name, version=version, log=write if log else None)
    return Version(predictor, lambda: open_raw(settings, folder), folder=folder)
