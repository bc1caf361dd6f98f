"""The exporter: `/metrics` on 127.0.0.1, for Prometheus to scrape; or one page, for node_exporter to pick up.

Python's own HTTP server does: a page every few seconds, and nothing to install where only monitoring runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from runtime_lib.errors import SettingsError
from runtime_lib.exposition import CONTENT_TYPE
from runtime_lib.files import atomic_file
from runtime_lib.monitoring.metrics.collect import Collected, Collector
from runtime_lib.monitoring.metrics.machine import Machine
from runtime_lib.server import listen
from runtime_lib.settings import Settings

__all__ = ["export_forever", "export_once"]

_HOST = "127.0.0.1"  # it says what the columns are called, and nobody has to log in
_SECONDS_TO_ASK = 10.0
_SUFFIX = ".prom"
_ROOT = b"The metrics are at /metrics.\n"


def export_forever(
    settings: Settings,
    *,
    port: int,
    on_ready: Callable[[str, Collected], None],
    machine: Machine | None = None,
) -> None:
    """Serve `/metrics` until Ctrl-C or SIGTERM.

    Args:
        port: to listen on; 0: a free one.
        on_ready: called with the address and a first page, once it answers.
        machine: default: this one.

    Raises:
        ServiceError: the port is in use.
    """
    fix = (
        "Is another exporter running? Choose another port: --port, or monitoring.metrics_port in mlops.toml."
    )
    with listen(_HOST, port, fix=fix) as listener, closing(Collector(settings, machine=machine)) as collector:
        server = _Server(listener.getsockname(), _handler(collector), bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            on_ready(f"http://{_HOST}:{listener.getsockname()[1]}/metrics", collector.collect())
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:  # how it ends
            return
        finally:
            signal.signal(signal.SIGTERM, before)


def export_once(settings: Settings, file: Path | None = None) -> Collected:
    """Collect a page, and write it to a file, whole or not at all, if one is named.

    Raises:
        SettingsError: the file's name is not one that node_exporter reads.
    """
    if file is not None and file.suffix != _SUFFIX:
        raise SettingsError(
            f"--file {file}: node_exporter's textfile collector reads files that end in {_SUFFIX} only. "
            f"Name it {file.with_suffix(_SUFFIX).name}."
        )
    with closing(Collector(settings)) as collector:
        found = collector.collect()
    if file is not None:
        with atomic_file(file) as new:
            new.write_text(found.text, encoding="utf-8")
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS_TO_ASK
        server_version, sys_version = "mlops", ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._reply(HTTPStatus.OK, CONTENT_TYPE, collector.collect().text.encode())
            else:
                status = HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND
                self._reply(status, "text/plain; charset=utf-8", _ROOT)

        do_HEAD = do_GET

        def _reply(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: a scrape is no news."""

    return Handler
