"""Clients that are slow, silent or many, straight at a worker: without HAProxy, which has its own tests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.depth import DEEP
from tests.support.projects import free_port
from tests.support.servers import ROWS, Server, eventually, make_project, running
from tests.support.traffic import Clients

BODY = json.dumps({"inputs": ROWS}).encode()
HEAD = (
    b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def worker(server: Server) -> psutil.Process:
    return psutil.Process(server.ask("/status")[1]["workers"][0]["pid"])


def connected(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.fixture
def server(tmp_path: Path, model_folder: Path) -> Iterator[Server]:
    settings = make_project(tmp_path, framework="auto", engine="local", workers=1, timeout=2)
    with running(settings, model_folder, free_port()) as server:
        yield server


@pytest.fixture
def crowded(tmp_path: Path, model_folder: Path) -> Iterator[Server]:
    """A server that may have 256 files."""
    settings = make_project(tmp_path, framework="auto", engine="local", workers=1)
    with running(settings, model_folder, free_port(), most_files=256) as server:
        yield server


def test_a_body_that_does_not_arrive_in_time_is_refused_in_words(server: Server) -> None:
    with connected(server) as slow:
        slow.sendall(HEAD % len(BODY) + BODY[:10])
        said = b""
        while part := slow.recv(4096):
            said += part
            if b"smaller batches" in said:
                break
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 2 s" in said
    assert server.ask("/invocations", BODY)[0] == 200


def test_bodies_that_are_sent_slowly_hold_no_more_than_they_may_together(server: Server) -> None:
    size = 15 << 20
    before = worker(server).memory_info().rss
    answers: list[bytes] = []

    def send() -> None:
        with connected(server) as slow:
            slow.sendall(HEAD % size)
            try:
                for _ in range(14):
                    slow.sendall(b" " * (1 << 20))
                answers.append(slow.recv(300))
            except OSError as error:  # refused before all was sent
                answers.append(repr(error).encode())

    threads = [threading.Thread(target=send) for _ in range(40 if DEEP else 16)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, worker(server).memory_info().rss - before)
        assert server.ask("/health")[0] == 200
    assert most < 400 << 20
    assert any(b"503" in answer or b"408" in answer for answer in answers)
    assert server.ask("/invocations", BODY)[0] == 200


def test_health_answers_while_silent_connections_hold_all_the_files(crowded: Server) -> None:
    held = [connected(crowded) for _ in range(240)]
    begun = time.monotonic()
    assert eventually(lambda: _healthy(crowded), 10)
    assert time.monotonic() - begun < 5
    for each in held:
        each.close()


def _healthy(server: Server) -> bool:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_memory_stays_flat_over_many_requests(server: Server) -> None:
    wanted = 200_000 if DEEP else 2_000
    with Clients(server, rate=1e9) as clients:
        clients.wait_for(wanted // 4)
        process = worker(server)
        before = process.memory_info().rss
        clients.wait_for(wanted)
        after = process.memory_info().rss
    assert not clients.failures
    assert after - before < 20 << 20


def test_request_ids_come_back_and_are_made_up_where_none_is_sent(server: Server) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    found = []
    for headers in ({"X-Request-Id": "mine"}, {}, {}, {"X-Request-Id": "x" * 500}):
        connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json", **headers})
        reply = connection.getresponse()
        reply.read()
        found.append(reply.headers["X-Request-Id"])
        assert reply.headers["X-Mlops-Version"] == "7"
    assert found[0] == "mine"
    assert len({*found}) == 4
    assert len(found[3]) < 100


def test_nothing_listens_beyond_this_machine(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    family = [process, *process.children(recursive=True)]
    listening = {
        (each.laddr.ip, each.laddr.port)
        for member in family
        for each in member.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", int(server.url.rpartition(":")[2]))}


def test_threads_of_a_worker_wait_asleep(server: Server) -> None:
    assert worker(server).environ()["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="this system does not count writes")
def test_an_answer_is_one_write(server: Server) -> None:
    process = worker(server)
    with connected(server) as connection:
        before = process.io_counters().write_count
        for _ in range(100):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).endswith(b'{"status":"ok"}')
    assert process.io_counters().write_count - before < 150  # and some reports to the supervisor


def test_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    requests = [b"GET /health", b"HEAD /health", b"GET /v2/health/live"]
    with connected(server) as connection:
        connection.sendall(b"".join(request + b" HTTP/1.1\r\nHost: x\r\n\r\n" for request in requests))
        received = b""
        while not received.endswith(b'{"live":true}'):
            received += connection.recv(65_536)
    assert received.count(b"HTTP/1.1 200 OK\r\ndate: ") == 3
    assert received.count(b"{") == 2
    assert received.index(b'"status"') < received.index(b'"live"')
