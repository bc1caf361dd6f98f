"""One version of a model: its batches, and the thread that it computes in.

Batches form without a timer. What arrives in the same turn of the event loop, or while the last batch ran, is
predicted together: a lone request never waits, and under load batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib.data.columns import Array, Column, check_rows
from runtime_lib.data.rows import Checked, Checker
from runtime_lib.errors import ServiceError

if TYPE_CHECKING:
    from runtime_lib.task.task import Task
    from runtime_lib.training.model import Model

__all__ = ["Job", "Prediction", "Predictor", "TooLate"]

# A batch that takes longer runs in the thread: the event loop would keep others waiting meanwhile.
_LONGEST_ON_LOOP = 0.001
_PROBED_ROWS = 16
# One that proves slower later is moved to the thread after so many slow batches, one in a hundred forgiven.
_SLOW_ON_LOOP = 0.01
_MOST_SLOW = 3
# MLX binds its streams to the thread that made them.
_BOUND_TO_THREAD = ("mlx",)


class TooLate(ServiceError):
    """The version was not able to answer in time."""


@dataclass(slots=True)
class Prediction:
    """What one version answered to the `n` rows of a request, in the request's order."""

    model: str
    version: str
    ids: Sequence[str]
    task: Task
    answer: Array
    """What the model answered, see `Model.predict`; `float64`."""
    label: Array | None
    """The labels that follow from it, shape `(n,)`; None where the answer is the label."""

    @property
    def columns(self) -> Mapping[str, Array]:
        """The answer by output, each of shape `(n,)`."""
        return self.task.columns(self.answer)


@dataclass(slots=True)
class Job:
    """The checked rows of one request, waiting for their answer."""

    rows: Checked
    ids: Sequence[str]
    deadline: float
    """By `time.monotonic`; who has waited longer is not computed any more."""
    answer: asyncio.Future[Prediction]


class Predictor:
    """Loads one version of a model and predicts with it.

    A model that is quick and may be asked by any thread computes on the event loop itself; any other in the
    predictor's thread, where it was loaded: one prediction at a time is all that one device can do anyway.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        *,
        name: str,
        version: str,
        log: Callable[[Prediction, Mapping[str, Array], Array], None] | None = None,
        most_rows: int = 256,
        most_jobs: int = 1024,
    ) -> None:
        """
        Args:
            log: is handed what was predicted, the rows, and their numbers side by side, `(n, d)`, before
                anybody is answered.
            most_rows: of a batch, unless one request alone has more.
            most_jobs: that may wait; further ones are refused.
        """
        self.name, self.version = name, version
        self._load, self._log = load, log
        self._most_rows, self._most_jobs = most_rows, most_jobs
        self._model: Model | None = None
        self.checker = Checker(())
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"predict-{version}")
        self._queue: deque[Job] = deque()
        self._running = self._on_loop = False
        self._slow = 0.0

    @property
    def thread(self) -> Executor:
        """Where `compute` may be called beside the batches."""
        return self._thread

    @property
    def ready(self) -> bool:
        return self._model is not None

    @property
    def waiting(self) -> int:
        """Requests that wait for their batch."""
        return len(self._queue)

    @property
    def model(self) -> Model:
        """The loaded model.

        Raises:
            ServiceError: it is not loaded yet, or was stopped.
        """
        if self._model is None:
            raise ServiceError(
                f"Version {self.version} of '{self.name}' is not loaded: the server is starting or stopping. "
                f"Try again in a moment."
            )
        return self._model

    def start(self) -> None:
        """Load the model in the predictor's thread, have it answer once, and wait for it.

        Raises:
            ModelError: the model cannot be read.
        """
        model, self._on_loop = self._thread.submit(self._loaded).result()
        self.checker = Checker(model.columns)
        self._model = model

    def stop(self) -> None:
        """Refuse further requests and finish those under way."""
        self._model = None
        self._thread.shutdown(wait=True)

    def submit(self, job: Job) -> None:
        """Put a job into the next batch; on the event loop's thread only.

        Raises:
            ServiceError: it is not loaded, or too many wait.
        """
        if self._model is None:
            raise self._refused()
        if len(self._queue) >= self._most_jobs:
            raise TooLate(f"{len(self._queue):,} requests wait already. Try again in a moment.")
        self._queue.append(job)
        if not self._running:
            self._running = True
            # Not now: what else arrived in this turn of the loop goes into the same batch.
            job.answer.get_loop().call_soon(self._run)

    def compute(self, rows: Sequence[Checked], ids: Sequence[Sequence[str]]) -> list[Prediction]:
        """Predict some requests together, and log them.

        Returns:
            One prediction for each of `rows`.
        """
        model, together = self.model, self.checker.stack(rows)
        answer = model.predict(together)
        label = model.decide(answer)
        all_ids = ids[0] if len(ids) == 1 else [one for some in ids for one in some]
        whole = Prediction(self.name, self.version, all_ids, model.task, answer, label)
        if self._log:
            self._log(whole, together, together.numbers)
        return [whole] if len(rows) == 1 else list(_parts(whole, ids))

    def _run(self) -> None:
        jobs = self._batch()
        if not jobs:
            self._running = False
        elif self._on_loop:
            began = time.perf_counter()
            self._deliver(jobs, self._outcomes(jobs))
            self._slow = 0.99 * self._slow + (time.perf_counter() - began > _SLOW_ON_LOOP)
            self._on_loop = self._slow < _MOST_SLOW
            jobs[0].answer.get_loop().call_soon(self._run)
        else:
            loop = jobs[0].answer.get_loop()
            done = loop.run_in_executor(self._thread, self._outcomes, jobs)
            done.add_done_callback(lambda outcomes: self._computed(jobs, outcomes.result()))

    def _computed(self, jobs: list[Job], outcomes: list[Prediction | Exception]) -> None:
        self._deliver(jobs, outcomes)
        self._run()

    def _batch(self) -> list[Job]:
        jobs: list[Job] = []
        rows, now = 0, time.monotonic()
        while self._queue and (not jobs or rows + len(self._queue[0].ids) <= self._most_rows):
            job = self._queue.popleft()
            if job.deadline < now:
                _answer(job, TooLate("The request waited longer than it may (serving.timeout)."))
            else:
                jobs.append(job)
                rows += len(job.ids)
        return jobs

    def _outcomes(self, jobs: list[Job]) -> list[Prediction | Exception]:
        try:
            return [*self.compute([job.rows for job in jobs], [job.ids for job in jobs])]
        except ServiceError as error:  # the log: then no request of the batch may be answered
            return [error] * len(jobs)
        except Exception as error:
            return [error] if len(jobs) == 1 else [found for job in jobs for found in self._outcomes([job])]

    def _deliver(self, jobs: list[Job], outcomes: list[Prediction | Exception]) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            _answer(job, outcome)

    def _loaded(self) -> tuple[Model, bool]:
        model = self._load()
        if model.framework in _BOUND_TO_THREAD:
            return model, False
        return model, _seconds(model) <= _LONGEST_ON_LOOP

    def _refused(self) -> ServiceError:
        try:
            self.model  # noqa: B018  it raises
        except ServiceError as error:
            return error
        raise AssertionError


def _seconds(model: Model) -> float:
    """How long a small batch takes; the best of a few, as the first ones are slow."""
    rows = check_rows({c.name: [_placeholder(c)] * _PROBED_ROWS for c in model.columns}, model.columns)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict(rows)
        took.append(time.perf_counter() - start)
    return min(took)


def _placeholder(column: Column) -> Any:
    if column.is_image:
        return np.zeros(column.shape, dtype=np.uint8)
    return 0.0 if column.kind == "number" else ""


def _parts(whole: Prediction, ids: Sequence[Sequence[str]]) -> Iterator[Prediction]:
    start = 0
    for some in ids:
        part = slice(start, start := start + len(some))
        label = None if whole.label is None else whole.label[part]
        yield Prediction(whole.model, whole.version, some, whole.task, whole.answer[part], label)


def _answer(job: Job, outcome: Prediction | Exception) -> None:
    if job.answer.done():  # whoever asked is gone
        return
    if isinstance(outcome, Exception):
        job.answer.set_exception(outcome)
    else:
        job.answer.set_result(outcome)
