"""Word from MLflow that an alias has moved: its webhook, signed with a secret that both sides hold.

Nothing in it is believed but that it is time to look at the registry. The signature follows Standard Webhooks
(https://www.standardwebhooks.com) as MLflow 3.17 has it: HMAC-SHA256 of `id.timestamp.body`.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from runtime_lib.errors import RequestError
from runtime_lib.serving.messages import Reply, Request
from runtime_lib.signature import sign

__all__ = ["SECRET", "Webhook"]

# The variable that holds the secret; no setting, as settings are in git.
SECRET = "MLOPS_WEBHOOK_SECRET"  # noqa: S105  its name, not its value
_ID, _TIME, _SIGNATURE = b"x-mlflow-delivery-id", b"x-mlflow-timestamp", b"x-mlflow-signature"
# Seconds for which a delivery may be on its way, by two clocks.
_LONGEST = 300
# Deliveries that are remembered: what is sent again by whoever overheard it does nothing.
_MOST = 1_000
_ALIAS, _CHAMPION = "model_version_alias", "champion"


class Webhook:
    """Takes the deliveries about one registered model."""

    def __init__(self, model: str, ask: Callable[..., Awaitable[Any]] | None) -> None:
        """
        Args:
            ask: asks the supervisor; None: there is none.
        """
        self._model, self._ask = model, ask
        self._secret = os.environ.get(SECRET, "").encode()
        self._seen: dict[bytes, None] = {}

    async def receive(self, request: Request) -> Reply:
        """Have the server look at the registry, if the champion of its model has moved.

        Raises:
            RequestError: no secret is set (501), it is not signed or too old (401), or no event (400).
            ServiceError: the supervisor does not answer; MLflow sends it again.
        """
        if not self._secret or self._ask is None:
            raise RequestError(
                f"This server takes no webhooks: start it with the secret of MLflow's webhook in {SECRET}.",
                status=501,
            )
        body = await request.read()
        name = self._checked(request.headers, body)
        about = name not in self._seen and self._is_ours(body)
        if about:
            await self._ask("follow")
        self._remember(name)
        return Reply({"follows": about})

    def _checked(self, headers: Mapping[bytes, bytes], body: bytes) -> bytes:
        """The id of a delivery that MLflow has signed, lately."""
        name, at = headers.get(_ID, b""), headers.get(_TIME, b"")
        given = headers.get(_SIGNATURE, b"")
        if not name or not hmac.compare_digest(given, sign(self._secret, name, at, body)):
            raise RequestError(f"The signature is not made with the secret in {SECRET}.", status=401)
        if not at.isdigit() or abs(time.time() - int(at)) > _LONGEST:
            raise RequestError(
                f"The delivery is of another time: it may be {_LONGEST} s from this server's clock.",
                status=401,
            )
        return name

    def _is_ours(self, body: bytes) -> bool:
        try:
            event = orjson.loads(body)
            data = event["data"]
            said = (event["entity"], data.get("name"), data.get("alias"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError("The body is no event of MLflow's webhooks.") from error
        return said == (_ALIAS, self._model, _CHAMPION)

    def _remember(self, name: bytes) -> None:
        self._seen[name] = None
        while len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]
