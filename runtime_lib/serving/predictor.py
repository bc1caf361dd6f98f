"""The serving core: rows in, logged predictions out. No web framework here, and no engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from runtime_lib.errors import DataError, RequestError, ServiceError

if TYPE_CHECKING:
    from runtime_lib.data.columns import Array, Column
    from runtime_lib.serving.log import PredictionLog
    from runtime_lib.training.model import Model

__all__ = ["Answer", "Service"]


@dataclass(frozen=True)
class Answer:
    """Predictions for `n` rows, in the order of the request."""

    ids: Sequence[str]
    probability: Array
    """Of label 1; `float64`, shape `(n,)`."""
    label: Array
    """1 where the probability is above the model's threshold; `int64`, shape `(n,)`."""


class Service:
    """One version of a model, in one thread of its own.

    The thread loads the model and makes every prediction: MLX binds its streams to the thread that
    made them, and one prediction at a time is what one device can do anyway.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        *,
        name: str,
        version: str,
        log: PredictionLog | None = None,
        max_rows: int = 10_000,
    ) -> None:
        self.name, self.version, self.max_rows = name, version, max_rows
        self._load, self._log = load, log
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    @property
    def thread(self) -> Executor:
        """Where `predict` is to be called."""
        return self._thread

    @property
    def ready(self) -> bool:
        return self._model is not None

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._loaded().columns

    @property
    def framework(self) -> str:
        return self._loaded().framework

    def start(self) -> Service:
        """Load the model in the prediction thread and wait for it.

        Raises:
            ModelError: the model cannot be read.
            DataError: one of its inputs has the name of a column of the prediction log.
        """
        from runtime_lib.serving.log import RESERVED

        model = self._thread.submit(self._load).result()
        if clash := [column.name for column in model.columns if column.name in RESERVED]:
            raise DataError(
                f"Input '{clash[0]}' has the name of a column of the prediction log. Rename the feature."
            )
        self._model = model
        return self

    def stop(self) -> None:
        """Refuse further requests, finish those under way, close the log."""
        self._model = None
        self._thread.shutdown(wait=True)
        if self._log:
            self._log.close()

    def predict(self, rows: Mapping[str, Any], ids: Sequence[str] | None = None) -> Answer:
        """Check, predict, log. When this returns, the log holds every row.

        Args:
            rows: column → `n` values, as they came.
            ids: `n` distinct names for the rows, to join labels on later; made up if not given.

        Raises:
            RequestError: more than `max_rows` rows (413), or ids that do not fit.
            DataError: the rows do not fit the model's columns.
        """
        from runtime_lib.data.columns import check_rows

        model = self._loaded()
        longest = max((len(values) for values in rows.values()), default=0)
        if longest > self.max_rows:
            raise RequestError(
                f"{longest} rows in one request; at most {self.max_rows} are taken (serving.max_rows). "
                f"Send them in batches.",
                status=413,
            )
        checked = check_rows(rows, model.columns)
        count = len(next(iter(checked.values())))
        ids = _check_ids(ids, count) if ids is not None else [str(uuid4()) for _ in range(count)]
        probability = model.predict(checked)
        if self._log:
            now = datetime.now(UTC)
            self._log.append(ids, checked, probability, model=self.name, version=self.version, time=now)
        return Answer(ids, probability, (probability > model.threshold).astype("int64"))

    def _loaded(self) -> Model:
        if self._model is None:
            raise ServiceError(f"The model '{self.name}' is not loaded: the server is starting or stopping.")
        return self._model


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
