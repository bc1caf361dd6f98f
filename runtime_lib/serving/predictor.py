"""One version of a model in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime_lib.errors import ServiceError

if TYPE_CHECKING:
    from runtime_lib.data.columns import Array
    from runtime_lib.task.task import Task
    from runtime_lib.training.model import Model

__all__ = ["Prediction", "Predictor"]


@dataclass(frozen=True)
class Prediction:
    """What one version answered to the `n` rows of a request, in the request's order."""

    model: str
    version: str
    ids: Sequence[str]
    rows: Mapping[str, Array]
    """The model's inputs by column, checked; each of shape `(n,)`."""
    task: Task
    answer: Array
    """What the model answered, see `Model.predict`; `float64`."""
    label: Array | None
    """The labels that follow from it, shape `(n,)`; None where the answer is the label."""

    @property
    def columns(self) -> Mapping[str, Array]:
        """The answer by output, each of shape `(n,)`."""
        return self.task.columns(self.answer)


class Predictor:
    """Loads one version of a model and predicts with it, both in the predictor's thread.

    MLX binds its streams to the thread that made them, and one prediction at a time is all that one
    device can do anyway.
    """

    def __init__(self, load: Callable[[], Model], *, name: str, version: str) -> None:
        self.name, self.version = name, version
        self._load = load
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    @property
    def thread(self) -> Executor:
        """Where `predict` must be called."""
        return self._thread

    @property
    def ready(self) -> bool:
        return self._model is not None

    @property
    def model(self) -> Model:
        """The loaded model.

        Raises:
            ServiceError: it is not loaded yet, or was stopped.
        """
        if self._model is None:
            raise ServiceError(f"The model '{self.name}' is not loaded: the server is starting or stopping.")
        return self._model

    def start(self) -> None:
        """Load the model in the predictor's thread and wait for it.

        Raises:
            ModelError: the model cannot be read.
        """
        self._model = self._thread.submit(self._load).result()

    def stop(self) -> None:
        """Refuse further requests and finish those under way."""
        self._model = None
        self._thread.shutdown(wait=True)

    def predict(self, rows: Mapping[str, Any], ids: Sequence[str]) -> Prediction:
        """Check the rows against the model's columns and predict.

        Args:
            rows: column → `n` values, as they came.
            ids: `n` names for the rows.

        Raises:
            DataError: the rows do not fit the model's columns.
            ServiceError: the model is not loaded.
        """
        from runtime_lib.data.columns import check_rows

        model = self.model
        checked = check_rows(rows, model.columns)
        answer = model.predict(checked)
        return Prediction(self.name, self.version, ids, checked, model.task, answer, model.decide(answer))
