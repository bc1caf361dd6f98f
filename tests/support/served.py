"""A version as a server answers with it, in this process and without HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime_lib.serving.log import PredictionLog
from runtime_lib.serving.predictor import Prediction
from runtime_lib.serving.protocols.batch import Batch
from runtime_lib.serving.service import Service
from runtime_lib.serving.version import open_version
from runtime_lib.settings import Settings


class Served:
    """Answers and logs; `stop` it."""

    def __init__(
        self, settings: Settings, folder: Path, *, name: str = "flights", version: str = "7"
    ) -> None:
        self._log = PredictionLog(settings.predictions)
        self._service = Service(settings, name=name, log=self._log)
        self.version = open_version(settings, folder, name=name, version=version, log=self._log).start()

    def predict(self, rows: Mapping[str, Any], ids: Sequence[str] | None = None) -> Prediction:
        batch = Batch(rows, ids)
        self._service.check_count(batch.size)
        return self._compute(self.version.check(batch), ids)

    def predict_raw(self, rows: Mapping[str, Any], ids: Sequence[str] | None = None) -> Prediction:
        return self._compute(*self.version.inputs(Batch(rows, ids)))

    def stop(self) -> None:
        self.version.predictor.stop()
        self._log.close()

    def _compute(self, rows: Any, ids: Sequence[str] | None) -> Prediction:
        thread = self.version.predictor.thread
        return thread.submit(self._service.compute, self.version, rows, ids).result()
