"""Who alerts are sent to: a web server that keeps what it receives and answers as asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import eventually

__all__ = ["Receiver", "Request", "listening", "receiving"]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Request `i` gets the status `answers[i]`, later ones the last; 0: none while the server runs."""

    answers: list[int]
    reply: Mapping[str, str] = field(default_factory=dict)
    text: bytes = b"ok"
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[Any]:
        return [request.json for request in self.requests]

    def wait_for(self, count: int, seconds: float = 60) -> None:
        eventually(lambda: len(self.requests) >= count, seconds)


@contextmanager
def receiving(*answers: int, text: bytes = b"ok", port: int = 0, **reply: str) -> Iterator[Receiver]:
    """Run it on 127.0.0.1; `reply` are headers of each answer (`retry_after="1"`)."""
    receiver = Receiver(list(answers) or [200], {k.replace("_", "-"): v for k, v in reply.items()}, text)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            if len(body := self.rfile.read(length)) < length:
                return  # its sender was killed
            answer = receiver.answers[min(len(receiver.requests), len(receiver.answers) - 1)]
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            if not answer:
                receiver.closed.wait()
                return
            self.send_response(answer)
            for name, value in receiver.reply.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.text)))
            self.end_headers()
            self.wfile.write(receiver.text)

        def log_message(self, *args: Any) -> None:
            pass

    with listening(Handler, port) as receiver.url:
        try:
            yield receiver
        finally:
            receiver.closed.set()


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Let it answer on 127.0.0.1; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
