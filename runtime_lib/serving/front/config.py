"""HAProxy's configuration: what it does with requests, slow clients and workers."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from runtime_lib.errors import ServiceError

__all__ = ["ADMIN", "BACKEND", "FRONTEND", "Limits", "location", "most_connections", "render", "server"]

ADMIN = "admin.sock"  # in the folder in which HAProxy runs
BACKEND = "workers"
FRONTEND = "public"

# Descriptors beside those of clients and workers: health checks, the admin socket, HAProxy's own.
_RESERVE = 100
# Each may hold two or three buffers of 64 KiB, so this bounds the memory too.
_MOST = 4_096
_FEWEST = 16
# A request is sent again only if it fits: HAProxy keeps no more of it.
_BUFFER_BYTES = 64 * 1024
# From here on, an answer ends its connection, so that idle clients cannot hold all of them.
_CROWDED = 0.75
# A socket's path may hold letters of any language; what HAProxy's grammar gives a meaning to is left out.
_PATH = re.compile(r"/[\w ./+@,~=-]+")

_ERRORS = {
    400: "The request is not HTTP that can be read.",
    408: "The request did not arrive in time.",
    502: "The worker ended before it answered.",
    503: "No worker is free. Ask again later.",
    504: "The worker did not answer in time.",
}


@dataclass(frozen=True)
class Limits:
    """How long and how much HAProxy waits. Times are in seconds.

    Args:
        request: for the headers and the first 64 KiB of the body to arrive.
        stall: for the next bytes of a longer body, and for the client to take its answer. How long a whole
            body of more than 64 KiB may take is for the worker to say: HAProxy has no such limit.
        idle: for the next request on a connection.
        answer: for the worker to answer.
        queue: for a worker to be free.
        queued: the most requests that wait for a worker; others are answered 503.
        per_worker: the most requests that one worker has at once.
    """

    request: float = 10.0
    stall: float = 15.0
    idle: float = 60.0
    answer: float = 60.0
    # What a worker is asked, to see whether it takes requests; one that is up may say itself why it does not.
    check: str = "/ready"
    queue: float = 5.0
    queued: int = 1_024
    per_worker: int = 256


def most_connections() -> int:
    """Return how many clients HAProxy takes, from this process's limit of open files: two files for each.

    Raises:
        ServiceError: the limit is too low to serve at all.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # HAProxy raises its own to the hard limit
    if files == resource.RLIM_INFINITY:
        return _MOST
    most = min(_MOST, (files - _RESERVE) // 2)
    if most < _FEWEST:
        lowest = 2 * _FEWEST + _RESERVE
        raise ServiceError(
            f"HAProxy needs {lowest} open files, but the limit is {files}: raise `ulimit -Hn`."
        )
    return most


def location(address: str) -> str:
    """Return a worker's address as HAProxy writes it.

    Args:
        address: `unix@/path` of a socket, or `host:port`. A name is looked up here, once.

    Raises:
        ServiceError: it is neither, or the name is unknown.
    """
    kind, _, path = address.partition("unix@")
    if not kind and _PATH.fullmatch(path):
        return address.replace(" ", "\\ ")
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ServiceError(f"A worker's address is unix@/path or host:port, not {address!r}.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ServiceError(f"The worker's address {address!r} is unknown ({error}).") from error
    ip = "ipv6" if found[0] == socket.AF_INET6 else "ipv4"
    return f"{ip}@{found[4][0]}:{int(port)}"


def server(address: str, limits: Limits) -> str:
    """Return the parameters of one worker: how it is checked, and how much it is given.

    One that fails three checks, which takes 0.4 s, gets nothing more; one that is ready gets its share after
    0.1 s. A check has 2 s, so that a worker which computes long is not taken for a dead one.
    """
    return (
        f"{location(address)} check inter 250ms fastinter 50ms downinter 100ms rise 1 fall 3"
        f" maxconn {limits.per_worker}"
    )


def render(listener: int, limits: Limits, servers: Iterable[str]) -> str:
    """Return the whole configuration.

    Args:
        listener: the number of the descriptor that listens; HAProxy inherits it and opens no port.
        servers: a line each: name and parameters.
    """
    most = most_connections()
    sections = {
        "global": _global(most),
        "defaults": _defaults(limits),
        f"frontend {FRONTEND}": _frontend(listener, limits, crowded=int(most * _CROWDED)),
        f"backend {BACKEND}": [
            f"option httpchk GET {limits.check}",
            *_BACKEND,
            *(f"server {line}" for line in servers),
        ],
    }
    return "\n".join(
        line for title, lines in sections.items() for line in (title, *(f"    {line}" for line in lines), "")
    )


def _global(most: int) -> list[str]:
    return [
        f"stats socket unix@{ADMIN} mode 600 level admin",
        f"maxconn {most}",
        f"nbthread {max(1, (os.cpu_count() or 1) // 4)}",
        f"tune.bufsize {_BUFFER_BYTES}",
    ]


def _defaults(limits: Limits) -> list[str]:
    times = {
        "connect": 1.0,
        "check": 2.0,
        "client": limits.stall,
        "http-request": limits.request,
        "http-keep-alive": limits.idle,
        "queue": limits.queue,
        "server": limits.answer,
    }
    return [
        "mode http",
        "option abortonclose",  # whoever went away while it waited is not predicted for
        *(f"timeout {name} {round(seconds * 1000)}ms" for name, seconds in times.items()),
        *(_error(status, text) for status, text in _ERRORS.items()),
    ]


def _error(status: int, text: str) -> str:
    body = json.dumps({"error": text})
    later = " hdr Retry-After 1" if status == 503 else ""
    return f"http-error status {status} content-type application/json string '{body}'{later}"


def _frontend(listener: int, limits: Limits, *, crowded: int) -> list[str]:
    return [
        # On Linux a connection on which nothing was sent waits in the kernel, for 60 s, and costs no file.
        f"bind fd@{listener}{' defer-accept' if sys.platform == 'linux' else ''}",
        # No client needs it, and each connection could carry a hundred requests past the limits.
        "option disable-h2-upgrade",
        # A worker is given a request once its body is here, or 64 KiB of it.
        "option http-buffer-request",
        # Whoever looks after the server asks these when it is crowded.
        "acl looks path /health /ready",
        "http-request set-priority-class int(-1) if looks",
        f"acl full queue({BACKEND}) ge {limits.queued}",
        "http-request return status 503 default-errorfiles if full !looks",
        # A request that was sent and not answered may have been predicted and logged. It is sent again only
        # if its client says that this is no harm. A worker that could not be reached is another matter.
        "http-request disable-l7-retry unless METH_GET or { req.fhdr(idempotency-key) -m found }",
        f"http-after-response set-header Connection close if {{ fe_conn ge {crowded} }}",
        f"default_backend {BACKEND}",
    ]


_BACKEND = (
    # Requests differ in rows and so in time. One HAProxy knows every request, so it can count them; two
    # random choices are for several that do not know of each other.
    "balance leastconn",
    "http-check expect status 200",
    "retry-on conn-failure empty-response",
    "retries 2",  # no more: a request that ends whoever reads it ends three
    "option redispatch 1",  # each time on another worker, without the pause that the same one would get
)
