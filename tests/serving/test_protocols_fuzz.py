"""No body, however odd, is answered with an error of the server's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime_lib.data.columns import check_rows
from runtime_lib.data.rows import Checker
from runtime_lib.errors import DataError, RequestError
from runtime_lib.serving.http import App, build_app
from runtime_lib.serving.predictor import Predictor
from runtime_lib.serving.protocols import infer, invocations
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.serving.version import Version
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.model import Model
from tests.serving.test_protocols_clients import RAW_DATA, RAW_HEAD
from tests.support.depth import DEEP
from tests.support.servers import COLUMNS, ROWS, make_project

NAMES = list(ROWS)
TABLE = [list(values) for values in zip(*ROWS.values(), strict=True)]
RECORDS = [dict(zip(NAMES, values, strict=True)) for values in TABLE]
KINDS = {"hour": "FP64", "wind": "FP32", "carrier": "BYTES"}
TENSORS = [{"name": n, "shape": [3], "datatype": KINDS[n], "data": ROWS[n]} for n in NAMES]
GOOD: list[dict[str, Any]] = [
    {"dataframe_split": {"index": [0, 1, 2], "columns": NAMES, "data": TABLE}},
    {"dataframe_records": RECORDS, "ids": ["a", "b", "c"]},
    {"instances": RECORDS[:1]},
    {"instances": TABLE, "params": {}},
    {"inputs": ROWS},
    {"inputs": TENSORS},
    {
        "id": "call",
        "inputs": TENSORS,
        "parameters": {"missing_text": "UA", "binary_data_output": True},
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}],
    },
    json.loads(RAW_HEAD),
]
WORDS = sorted({*NAMES, *KINDS.values(), "inputs", "instances", "data", "shape", "label", "parameters", "é"})
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([*WORDS, -1, 2**63, 10**40, 1e308, "\ud800", "\0"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def nested(depth: int) -> Any:
    value: Any = 1.0
    for level in range(depth):
        value = [value] if level % 3 else {"a": value}
    return value


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Somewhere in it another value, one less, or one twice."""
    if not isinstance(value, dict | list) or not value or not draw(st.integers(0, 5)):
        return draw(VALUES | st.sampled_from([10, 80, 300, 900]).map(nested))
    copy = value.copy()
    key = (
        draw(st.sampled_from(sorted(copy))) if isinstance(copy, dict) else draw(st.integers(0, len(copy) - 1))
    )
    what = draw(st.integers(0, 9))
    if what == 0:
        del copy[key]
    elif what == 1 and isinstance(copy, list):
        copy.append(copy[key])
    else:
        copy[key] = draw(changed(copy[key]))
    return copy


BODIES = st.sampled_from(GOOD).flatmap(changed) | st.sampled_from(GOOD).flatmap(changed).flatmap(changed)


class Hours:
    """A fitted model whose answer is the hour."""

    trainer, framework, device = "network", "torch", "cpu"

    def answer(self, rows: Any, *, at_once: int | None = None) -> Any:
        return np.asarray(rows["hour"]) / 24


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    model = Model(BINARY, COLUMNS, {"threshold": 0.5}, Hours())  # type: ignore[arg-type]
    service = Service(make_project(tmp_path_factory.mktemp("project")), name="flights", log=None)
    service.versions["7"] = Version(Predictor(lambda: model, name="flights", version="7")).start()
    service.policy = Policy.all_to("7")
    yield build_app(service)
    service.stop()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def ask(app: App, path: str, body: bytes, length: int | None = None) -> tuple[int, bytes]:
    headers = [(b"content-type", b"application/json")]
    headers += [(b"inference-header-content-length", b"%d" % length)] if length is not None else []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"]


def check_answer(status: int, body: bytes) -> None:
    assert status in (200, 400, 413), body
    if status != 200:
        error = json.loads(body)["error"]
        assert 10 < len(error) <= 1_001


@settings(max_examples=10_000 if DEEP else 300, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES, path=st.sampled_from(["/invocations", "/v2/models/flights/infer"]))
def test_no_json_is_a_fault_of_the_servers(app: App, runner: asyncio.Runner, body: Any, path: str) -> None:
    check_answer(*runner.run(ask(app, path, json.dumps(body).encode())))


@settings(max_examples=5_000 if DEEP else 150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    head=st.just(RAW_HEAD) | changed(json.loads(RAW_HEAD)).map(lambda body: json.dumps(body).encode()),
    cut=st.integers(0, len(RAW_DATA)),
    more=st.binary(max_size=9),
    at=st.sampled_from([0, 0, 0, 1, -1, 5]),
)
def test_no_bytes_behind_it_are_either(
    app: App, runner: asyncio.Runner, head: bytes, cut: int, more: bytes, at: int
) -> None:
    body = head + RAW_DATA[:cut] + more + RAW_DATA[cut + len(more) :]
    check_answer(*runner.run(ask(app, "/v2/models/flights/infer", body, max(len(head) + at, 0))))


@pytest.mark.parametrize("depth", [100, 250, 500, 900, 1_020, 1_100, 100_000])
@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": %s}',
        b'{"inputs": {"hour": %s, "wind": [1], "carrier": ["UA"]}}',
        b'{"inputs": {"hour": [1], "wind": [1], "carrier": [%s]}}',
        b'{"instances": [%s]}',
        b'{"inputs": {"hour": [1], "wind": [1], "carrier": ["UA"]}, "ids": [%s]}',
        b'{"inputs": [{"name": "hour", "datatype": "FP64", "shape": [1], "data": %s}]}',
        b'{"inputs": [{"name": "hour", "datatype": "FP64", "shape": [%s], "data": [1]}]}',
        b'{"inputs": [{"name": "hour", "datatype": %s, "shape": [1], "data": [1]}]}',
        b'{"id": %s, "inputs": [{"name": "hour", "datatype": "FP64", "shape": [1], "data": [1]}]}',
        b'{"a": NaN, "inputs": %s}',
    ],
)
def test_however_deep_a_body_is_nested_it_is_refused_in_words(
    app: App, runner: asyncio.Runner, body: bytes, depth: int
) -> None:
    deep = body % (b"[" * depth + b"]" * depth)
    for path in ("/invocations", "/v2/models/flights/infer"):
        status, answer = runner.run(ask(app, path, deep))
        assert (status, bool(json.loads(answer)["error"])) == (400, True)


@settings(max_examples=5_000 if DEEP else 200, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES)
def test_what_is_parsed_is_checked_as_its_columns_are(body: Any) -> None:
    """The quick shape of a request says what its columns of values say."""
    checker = Checker(COLUMNS)
    content = json.dumps(body).encode()
    for parse in (partial(invocations.parse, columns=NAMES), partial(infer.parse, task=BINARY)):
        try:
            rows = parse(content).rows
        except RequestError:
            continue
        by_column = dict(rows)
        assert _outcome(_stacked, checker, rows) == _outcome(check_rows, by_column, COLUMNS)


def _stacked(checker: Checker, rows: Any) -> Any:
    return checker.stack([checker.check(rows)])


def _outcome(work: Any, *args: Any) -> Any:
    try:
        return {name: repr(values.tolist()) for name, values in work(*args).items()}
    except DataError as error:
        return str(error)
