"""The service behind the HTTP application: rows in, logged predictions out. No web framework, no engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from runtime_lib.errors import DataError, RequestError
from runtime_lib.files import read_json
from runtime_lib.serving.log import PredictionLog, is_reserved
from runtime_lib.serving.predictor import Prediction, Predictor
from runtime_lib.serving.raw import RawRows, open_raw
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.training.model import Model

__all__ = ["Service", "open_service"]


class Service:
    """Limits a request, names its rows, has them predicted, and logs each answer before it is given."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        log: PredictionLog | None = None,
        max_rows: int = 10_000,
        open_raw: Callable[[], RawRows] | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        self.predictor, self.max_rows, self.profile = predictor, max_rows, profile
        self._log, self._open_raw = log, open_raw
        self._raw: RawRows | None = None
        self._no_raw = "This server takes features only."

    def start(self) -> Service:
        """Load the model, and import the project's package where raw rows are taken.

        A package that is not installed stops nothing: rows of features are answered all the same.

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
        try:
            self._raw = self._open_raw() if self._open_raw else None
        except DataError as error:
            self._no_raw = str(error)
        return self

    @property
    def raw(self) -> RawRows:
        """What makes features of raw rows.

        Raises:
            RequestError: this server takes features only (501); the message says why.
        """
        if self._raw is None:
            raise RequestError(self._no_raw, status=501)
        return self._raw

    def stop(self) -> None:
        """Refuse further requests, finish those under way, close the log."""
        self.predictor.stop()
        if self._log:
            self._log.close()

    def predict(self, rows: Mapping[str, Any], ids: Sequence[str] | None = None) -> Prediction:
        """Check, predict, log. When this returns, the log holds every row.

        Args:
            rows: column → `n` values, as they came.
            ids: `n` distinct names for the rows, to join labels on later; made up if not given.

        Raises:
            RequestError: more than `max_rows` rows (413), or ids that do not fit.
            DataError: the rows do not fit the model's columns.
            ServiceError: the model is not loaded.
        """
        count = self._count(rows)
        ids = _check_ids(ids, count) if ids is not None else [str(uuid4()) for _ in range(count)]
        answer = self.predictor.predict(rows, ids)
        if self._log:
            self._log.append(
                answer.ids,
                answer.rows,
                answer.columns,
                model=answer.model,
                version=answer.version,
                time=datetime.now(UTC),
            )
        return answer

    def predict_raw(self, rows: Mapping[str, Any], ids: Sequence[str] | None = None) -> Prediction:
        """Apply the project's `features` to raw rows, then `predict`; the ids are those of `features`.

        Args:
            rows: raw column → `n` values of JSON.
            ids: other names for the rows.

        Raises:
            RequestError: as `predict`; this server takes features only (501), `features` failed (422), or
                it no longer returns what the model takes (500).
            DataError, ServiceError: as `predict`.
        """
        self._count(rows)
        table = self.raw.inputs(rows)
        columns = [column.name for column in self.predictor.model.columns]
        if missing := [name for name in columns if name not in table.columns]:
            raise RequestError(
                f"features() no longer returns '{missing[0]}', which this model takes: features.py has "
                f"changed since its training. Serve with the file of then, or train again.",
                status=500,
            )
        inputs = {name: table[name].to_numpy() for name in columns}
        return self.predict(inputs, table["id"].astype(str).tolist() if ids is None else ids)

    def _count(self, rows: Mapping[str, Any]) -> int:
        count = max((len(values) for values in rows.values()), default=0)
        if count > self.max_rows:
            raise RequestError(
                f"{count} rows in one request; at most {self.max_rows} are taken (serving.max_rows). "
                f"Send them in batches.",
                status=413,
            )
        return count


def open_service(settings: Settings, folder: Path, *, name: str, version: str) -> Service:
    """Make the service of one model folder, with its prediction log; `start()` loads the model."""

    serving = settings.serving

    def load() -> Model:
        from runtime_lib.training.judge import open_model

        return open_model(settings, folder, framework=serving.framework, most_rows=serving.max_rows)

    predictor = Predictor(load, name=name, version=version)
    return Service(
        predictor,
        log=PredictionLog(settings.predictions),
        max_rows=serving.max_rows,
        open_raw=lambda: open_raw(settings, folder),
        profile=_profile(folder),
    )


def _profile(folder: Path) -> dict[str, Any]:
    """That of the model; empty if it cannot be read, which `start` will say."""
    from runtime_lib.training.profile import FORMAT

    try:
        return read_json(folder / "profile.json", made_by="mlops run", newest=FORMAT)
    except DataError:
        return {}


def _check_ids(ids: Sequence[str], count: int) -> Sequence[str]:
    if len(ids) != count:
        raise RequestError(
            f"'ids' has {len(ids)} entries for {count} rows. Send one id per row, or none at all."
        )
    seen: set[str] = set()
    for row, value in enumerate(ids):
        if not isinstance(value, str) or not value:
            raise RequestError(f"ids, row {row}: {value!r} is not an id. Send non-empty text.")
        if value in seen:
            raise RequestError(
                f"ids, row {row}: '{value}' occurs twice. Labels are joined by id, so each must differ."
            )
        seen.add(value)
    return ids
