"""What a worker answers for people: the page of the server, the documentation of its model, its status."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec

from runtime_lib.errors import DataError, RequestError, ServiceError
from runtime_lib.files import read_json
from runtime_lib.serving.messages import Reply, Request
from runtime_lib.serving.page.docs import docs_page
from runtime_lib.serving.page.openapi import openapi
from runtime_lib.serving.page.overview import render
from runtime_lib.serving.service import Service
from runtime_lib.serving.status import Status, read_status
from runtime_lib.serving.version import Version

__all__ = ["Pages"]

_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?")
# A page loads nothing and runs nothing, whatever a name in it holds.
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


class Pages:
    """Of one worker, for all of the server."""

    def __init__(self, service: Service, ask: Any) -> None:
        """
        Args:
            ask: asks the supervisor; None: there is none, and so no status.
        """
        self._service, self._ask = service, ask

    async def overview(self, request: Request) -> Reply:
        options = {"reload": 0} if b"reload=0" in request.query else {}
        return _html(await asyncio.to_thread(render, await self._status(), **options))

    async def docs(self, request: Request) -> Reply:
        document = await asyncio.to_thread(self._document, self._service.choose(request.headers))
        return _html(await asyncio.to_thread(docs_page, document, _address_of(request)))

    async def document(self, request: Request) -> Reply:
        version = self._service.choose(request.headers)
        # The first time it imports the project's package, for the types of raw rows.
        return Reply(await asyncio.to_thread(self._document, version))

    async def status(self, request: Request) -> Reply:
        return Reply(msgspec.to_builtins(await self._status()))

    async def _status(self) -> Status:
        if self._ask is None:
            raise ServiceError("This worker has no supervisor to ask for the status of the server.")
        return read_status(await self._ask("status"))

    def _document(self, version: Version) -> dict[str, Any]:
        model = version.predictor.model
        return openapi(
            model.columns,
            model.task,
            self._service.name,
            sorted(self._service.versions, key=lambda version: (len(version), version)),
            self._service.max_rows,
            _raw_types(version),
            profile=_profile(version),
        )


def _html(page: str) -> Reply:
    return Reply(page, content_type="text/html; charset=utf-8", headers=_HEADERS)


def _profile(version: Version) -> dict[str, Any]:
    """What the training data looked like; empty, if that cannot be read: only examples need it."""
    from runtime_lib.training.profile import FORMAT

    try:
        return read_json(version.folder / "profile.json", made_by="mlops run", newest=FORMAT)
    except DataError:
        return {}


def _raw_types(version: Version) -> Any:
    try:
        return version.raw.types.columns
    except RequestError:
        return None


def _address_of(request: Request) -> str:
    """The URL under which a client reached the server, by its `Host` header; empty if that is no host."""
    host = request.headers.get(b"host", b"").decode("latin-1")
    return f"http://{host}" if _HOST.fullmatch(host) else ""
