"""The Ray that replicas run on: an instance of this process's own, or a cluster that it joins."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runtime_lib.errors import ServiceError, require
from runtime_lib.hardware.admit.ray import asked, misfit
from runtime_lib.serving.engines.ray.demand import demand, offered
from runtime_lib.settings import Settings

__all__ = ["cause", "is_leased", "lease", "opened", "quiet", "reserve", "running"]

_SECONDS_TO_DELETE = 10
_SECONDS_TO_CONNECT = 5
# What Serve's actors live in; a name of this process is found by them only there.
_NAMESPACE = "serve"
_EVERYWHERE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would pack the whole working directory, data included, and ship it to its workers.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_OWN = {
    # Ray's own ports listen on 127.0.0.1, as they do on a Mac; elsewhere they would take every interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray must not hide the GPU from a worker that reserved none: the model chooses its device.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def running(settings: Settings) -> Iterator[dict[str, float]]:
    """Ray, until the block ends; yields what this machine offers to an instance of its own.

    On Linux such an instance ends with the thread that calls this: call it from one that lasts.

    Raises:
        MissingExtraError: Ray is not installed.
        ServiceError: it does not start, the cluster does not answer, or runs another version.
    """
    address = settings.serving.ray_address
    _set(_EVERYWHERE if address else {**_EVERYWHERE, **_OWN})
    ray = require("ray", extra="serve")
    require("ray.serve", extra="serve")
    _hush()
    given = {} if address else offered(settings.hardware, settings.serving.framework)
    try:
        _join(ray, address) if address else _start(ray, given)
        yield given
    finally:
        # A supervisor of processes may have stopped Ray's together with this one: then nobody answers.
        _within(_SECONDS_TO_DELETE, ray.shutdown)


@contextmanager
def opened(application: str) -> Iterator[None]:
    """Ray Serve without its proxy, and without an application of that name once the block ends."""
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        serve.start(proxy_location="Disabled", logging_config=quiet())
    except ray.exceptions.RayError as error:
        raise ServiceError(f"Ray Serve did not start: {cause(str(error))}") from error
    try:
        yield
    finally:
        _within(_SECONDS_TO_DELETE, lambda: serve.delete(application))


def reserve(settings: Settings, given: dict[str, float]) -> dict[str, float]:
    """What a replica asks of its node, if some node has it at all.

    Raises:
        ServiceError: none has.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    hardware, framework = settings.hardware, settings.serving.framework
    wanted = asked(demand(hardware, framework), given)
    if why := misfit(wanted, nodes):
        raise ServiceError(f"The model cannot be served here. {why} See hardware.serving_memory_gib.")
    return wanted


def lease(name: str) -> None:
    """Leave a sign in the cluster that lasts as long as this process: a placement group, which takes none."""
    from ray.util import placement_group

    placement_group([{"memory": 1}], name=name)


def is_leased(name: str, *, seconds: float) -> bool:
    """Whether the process that made the sign is still there `seconds` from now."""
    from ray.util import get_placement_group

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            get_placement_group(name)
        except ValueError:
            return False
        time.sleep(1)
    return True


def quiet() -> dict[str, Any]:
    """How Serve logs: requests are not its business."""
    return {"log_level": "WARNING", "enable_access_log": False}


def cause(message: str) -> str:
    """What ends a traceback of another process, without its class; else the whole message."""
    errors = [line for line in message.splitlines() if re.match(r"[\w.]+(Error|Exception): ", line)]
    return errors[-1].partition(": ")[2] if errors else message


def _start(ray: Any, given: dict[str, float]) -> None:
    _keep_token()
    try:
        ray.init(
            address="local",
            namespace=_NAMESPACE,
            include_dashboard=False,
            logging_level="warning",
            resources=given,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ServiceError(f"Ray did not start: {cause(str(error))}") from error


def _join(ray: Any, address: str) -> None:
    try:
        if address != "auto":  # Ray itself tries for a minute
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_CONNECT).close()
        ray.init(address=address, namespace=_NAMESPACE, logging_level="warning")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        why = " ".join(cause(str(error)).split())
        raise ServiceError(
            f"The Ray cluster at {address} (serving.ray_address) cannot be used: {why}"
        ) from error


def _keep_token() -> None:
    """Keep the token by which Ray's processes know each other to this user: Ray 2.60 lets all read it."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # Ray says it if it cannot have one
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            path.chmod(0o600)
        else:
            with os.fdopen(file, "w") as made:
                made.write(secrets.token_hex(32))


def _set(variables: dict[str, str]) -> None:
    os.environ.update({key: value for key, value in variables.items() if key not in os.environ})


def _hush() -> None:
    """Two things that Ray says at each start."""
    # To switch its authentication off, which keeps others on this machine out.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    # That SIGTERM is not its own: it is the supervisor's.
    logging.getLogger("ray._private.worker").addFilter(lambda record: "SIGTERM" not in record.getMessage())


def _within(seconds: float, work: Any) -> None:
    """Do what may wait without end, if Ray's processes are gone."""
    done = threading.Thread(target=_quietly, args=(work,), daemon=True)
    done.start()
    done.join(seconds)


def _quietly(work: Any) -> None:
    with suppress(Exception):  # Serve was not up yet, or is down already
        work()
