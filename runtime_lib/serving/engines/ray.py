"""The Ray engine: the same ASGI application inside a Ray Serve replica.

`run` starts a Ray instance of its own on this machine and takes it down again, whatever happens. The replica
reserves Apple's GPU where its machine has one, and loads the model once that machine is fit for it.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from runtime_lib.errors import ServiceError, require
from runtime_lib.hardware import facts
from runtime_lib.hardware.admit.admission import Demand
from runtime_lib.hardware.admit.ray import asked, misfit, resources
from runtime_lib.hardware.device.device import NUMPY, Device, device_for
from runtime_lib.hardware.device.limits import with_working_set
from runtime_lib.serving.address import url_of
from runtime_lib.settings import Settings
from runtime_lib.units import from_gib

__all__ = ["application", "run"]

_APPLICATION, _DEPLOYMENT = "champion", "predictor"
_DRAIN_SECONDS = 10
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would pack the whole working directory, data included, and ship it to its workers.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's own ports listen on 127.0.0.1, as they do on a Mac; elsewhere they would take every interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray must not hide the GPU from a worker that reserved none: the model chooses its device.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Three checks in a row may fail before Serve gives its proxy up: a busy laptop needs more than 5 s each.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
}


def application(
    settings: Settings,
    folder: Path,
    *,
    name: str,
    version: str,
    reserve: Mapping[str, float] | None = None,
) -> Any:
    """Return the Serve application of one model folder, to be deployed with `serve.run`.

    Args:
        reserve: what the replica asks of its node, by resource; some node must offer it.
    """
    from ray import serve

    def build() -> Any:  # runs in the replica, where it loads the model
        from runtime_lib.hardware.admit.here import admit
        from runtime_lib.serving.http import build_app
        from runtime_lib.serving.service import open_service

        admit(settings.hardware, _demand(settings), device=_device(settings))
        return build_app(open_service(settings, folder, name=name, version=version).start())

    deployment = serve.deployment(
        serve.ingress(build)(),
        name=_DEPLOYMENT,
        max_ongoing_requests=100,  # Serve's 5 would queue cheap requests in the proxy, at 10 times their cost
        max_constructor_retry_count=1,  # a model that cannot be read will not become readable
        graceful_shutdown_timeout_s=_DRAIN_SECONDS,
        logging_config=_quiet(),
        ray_actor_options={"resources": dict(reserve or {})},
    )
    return deployment.bind()


def run(settings: Settings, folder: Path, *, name: str, version: str, on_ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, then stop every process that was started.

    Raises:
        ServiceError: Ray or the replica did not start, or the model asks for more than the machine has.
    """
    with _ray(settings) as offered:
        reserve = _reserve(settings, offered)
        _start_serve(settings)
        _deploy(application(settings, folder, name=name, version=version, reserve=reserve))
        _await_ready(settings)
        on_ready()
        threading.Event().wait()


@contextmanager
def _ray(settings: Settings) -> Iterator[dict[str, float]]:
    """A Ray instance of this process's own until the block ends; yields what this machine offers to it."""
    os.environ.update({key: value for key, value in _ENVIRONMENT.items() if key not in os.environ})
    ray = require("ray", extra="serve")
    from ray import serve

    # It advises at each start to switch Ray's authentication off, which keeps others on this machine out.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    with _stopping(ray, serve):
        offered = _offered(settings)
        ray.init(address="local", include_dashboard=False, logging_level="warning", resources=offered)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        _interrupt_on_sigterm()  # again: ray.init puts a handler of its own in its place
        yield offered


def _reserve(settings: Settings, offered: Mapping[str, float]) -> dict[str, float]:
    """What the replica asks of its node, if some node has it at all."""
    import ray

    reserve = asked(_demand(settings), offered)
    if why := misfit(reserve, (node["Resources"] for node in ray.nodes() if node["Alive"])):
        raise ServiceError(f"The model cannot be served here. {why} See hardware.serving_memory_gib.")
    return reserve


def _start_serve(settings: Settings) -> None:
    import ray
    from ray import serve

    http = {"host": settings.serving.host, "port": settings.serving.port}
    try:
        serve.start(http_options=http, logging_config=_quiet())
    except ray.exceptions.RayError as error:
        raise ServiceError(f"Ray Serve did not start: {_cause(str(error))}") from error


def _deploy(target: Any) -> None:
    from ray import serve

    try:
        serve.run(target, name=_APPLICATION)
    except RuntimeError as error:
        raise ServiceError(f"The model did not start in Ray Serve: {_reason(serve)}") from error


def _offered(settings: Settings) -> dict[str, float]:
    """What this machine offers to Ray; of a Mac's memory, what Metal recommends."""
    device = _device(settings)
    return resources(with_working_set(facts(), device), device, force_gpu=settings.hardware.force_gpu)


def _device(settings: Settings) -> Device:
    """By the facts alone: what tries the device belongs into the replica."""
    if settings.serving.framework == "numpy":
        return NUMPY
    installed = tuple(name for name in ("mlx", "torch") if find_spec(name))
    if not installed:
        return Device("none", "cpu", "no framework of networks is installed")
    force = settings.hardware.force_gpu
    return device_for(facts(), framework=settings.serving.framework, installed=installed, force_gpu=force)


def _demand(settings: Settings) -> Demand:
    """What a replica takes on the machine that this runs on."""
    size = from_gib(settings.hardware.serving_memory_gib)
    return Demand(memory_bytes=size, gpu=bool(_offered(settings)))


def _quiet() -> dict[str, Any]:
    return {"log_level": "WARNING", "enable_access_log": False}


@contextmanager
def _stopping(ray: Any, serve: Any) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a clean end: no raylet, proxy or replica stays behind."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    _interrupt_on_sigterm()
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        if main:  # a second, impatient Ctrl-C must not leave half of Ray running
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if ray.is_initialized():
            _take_down(ray, serve)
        if main:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, before)


def _take_down(ray: Any, serve: Any) -> None:
    """Let the replica finish what it works on, then end Ray, which ends the rest."""
    from ray.serve.exceptions import RayServeException

    def drain() -> None:
        with suppress(RayServeException, ray.exceptions.RayError):  # Serve was not up yet, or is down already
            serve.delete(_APPLICATION)

    # A supervisor may have stopped Ray's processes together with this one: then nobody answers.
    waiter = threading.Thread(target=drain, daemon=True)
    waiter.start()
    waiter.join(_DRAIN_SECONDS)
    ray.shutdown()


def _reason(serve: Any) -> str:
    """The error behind a failed start."""
    return _cause(str(serve.status().applications[_APPLICATION].deployments[_DEPLOYMENT].message))


def _cause(message: str) -> str:
    """What ends a traceback of another process, without its class; else the whole message."""
    errors = [line for line in message.splitlines() if re.match(r"[\w.]+(Error|Exception): ", line)]
    return errors[-1].partition(": ")[2] if errors else message


def _interrupt_on_sigterm() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _await_ready(settings: Settings, seconds: float = 60) -> None:
    """Ask through the proxy until the model answers: Serve says "running" before its routes are known."""
    url = url_of(settings) + "/ready"
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  always http to this machine
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"{url} did not answer within {seconds:g} s: {error}") from error
            time.sleep(0.1)
