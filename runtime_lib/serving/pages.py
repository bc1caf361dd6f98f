"""What the pages of one process are made of: its state, and the signature of its model."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from runtime_lib.errors import RequestError
from runtime_lib.serving.messages import Scope
from runtime_lib.serving.metrics import Metrics
from runtime_lib.serving.page.openapi import openapi
from runtime_lib.serving.service import Service
from runtime_lib.serving.status import WHOLE, Status, Traffic, VersionState, WorkerState

__all__ = ["Pages", "address_of"]

_PREDICTING = ("/invocations", "/raw/invocations", "/v2/models/{name}/infer")
_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?")


class Pages:
    """Of a service that holds one version."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service, self._metrics = service, metrics
        self._since = datetime.now(UTC)

    def status(self) -> Status:
        """The state now.

        Raises:
            ServiceError: the model is not loaded.
        """
        held = self._service.predictor
        requests, errors = self._metrics.asked(_PREDICTING)
        version = VersionState(
            version=held.version, weight=WHOLE, requests=requests, rows=self._metrics.rows, errors=errors
        )
        worker = WorkerState(name="w1", pid=os.getpid(), ready=held.ready, since=self._since)
        return Status(
            model=held.name,
            task=held.model.task.kind,
            time=datetime.now(UTC),
            since=self._since,
            workers=(worker,),
            traffic=Traffic(weights={held.version: WHOLE}),
            versions=(version,),
        )

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document.

        Raises:
            ServiceError: the model is not loaded.
        """
        held = self._service.predictor
        return openapi(
            held.model.columns,
            held.model.task,
            held.name,
            [held.version],
            self._service.max_rows,
            self._raw_types(),
            profile=self._service.profile,
        )

    def _raw_types(self) -> Any:
        try:
            return self._service.raw.types.columns
        except RequestError:
            return None


def address_of(scope: Scope) -> str:
    """The URL under which a client reached the server, by its `Host` header; empty if that is no host."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return f"{scope.get('scheme', 'http')}://{host}" if _HOST.fullmatch(host) else ""
