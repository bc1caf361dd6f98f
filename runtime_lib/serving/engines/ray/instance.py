"""The Ray that replicas run on: an instance of this process's own, or a cluster."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from runtime_lib.errors import ServiceError, require
from runtime_lib.hardware.admit.ray import asked, misfit
from runtime_lib.serving.engines.ray.demand import demand, offered
from runtime_lib.settings import Settings

__all__ = ["ENVIRONMENT", "cause", "opened", "quiet", "reserve"]

_SECONDS_TO_DELETE = 10
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would pack the whole working directory, data included, and ship it to its workers.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's own ports listen on 127.0.0.1, as they do on a Mac; elsewhere they would take every interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray must not hide the GPU from a worker that reserved none: the model chooses its device.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def opened(settings: Settings) -> Iterator[dict[str, float]]:
    """Ray Serve without a proxy, until the block ends; yields what this machine offers to it.

    On Linux Ray's processes end with the thread that calls this: call it from one that lasts.

    Raises:
        ServiceError: Ray does not start.
    """
    os.environ.update({key: value for key, value in ENVIRONMENT.items() if key not in os.environ})
    ray = require("ray", extra="serve")
    from ray import serve

    # It advises at each start to switch Ray's authentication off, which keeps others on this machine out.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    given = offered(settings.hardware, settings.serving.framework)
    try:
        ray.init(address="local", include_dashboard=False, logging_level="warning", resources=given)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(proxy_location="Disabled", logging_config=quiet())
        yield given
    except ray.exceptions.RayError as error:
        raise ServiceError(f"Ray Serve did not start: {cause(str(error))}") from error
    finally:
        ray.shutdown()


def reserve(settings: Settings, given: dict[str, float]) -> dict[str, float]:
    """What a replica asks of its node, if some node has it at all.

    Raises:
        ServiceError: none has.
    """
    import ray

    wanted = asked(demand(settings.hardware, settings.serving.framework), given)
    if why := misfit(wanted, (node["Resources"] for node in ray.nodes() if node["Alive"])):
        raise ServiceError(f"The model cannot be served here. {why} See hardware.serving_memory_gib.")
    return wanted


def quiet() -> dict[str, Any]:
    """How Serve logs: requests are not its business."""
    return {"log_level": "WARNING", "enable_access_log": False}


def cause(message: str) -> str:
    """What ends a traceback of another process, without its class; else the whole message."""
    errors = [line for line in message.splitlines() if re.match(r"[\w.]+(Error|Exception): ", line)]
    return errors[-1].partition(": ")[2] if errors else message
