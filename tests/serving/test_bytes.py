"""What a binary model answers over HTTP is, byte for byte, what 0.6.0 answered: clients read it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from runtime_lib.data.columns import Column
from runtime_lib.serving.http import build_app
from runtime_lib.serving.predictor import Predictor
from runtime_lib.serving.service import Service
from runtime_lib.serving.traffic import Policy
from runtime_lib.serving.version import Version
from runtime_lib.task.kinds import BINARY
from runtime_lib.training.model import Model
from tests.support.servers import make_project

COLUMNS = (Column("hour", "number"), Column("carrier", "category", nullable=True))
# 0.5, which is not above the threshold; a long fraction, a tiny number and a certain one.
ANSWERS = np.array([0.5, 0.1 + 0.2, 1e-17, 1.0])
ROWS = {"hour": [6, 18.5, 23, 0], "carrier": ["UA", "DL", None, "é"]}
TENSORS = [
    {"name": "hour", "datatype": "FP64", "shape": [4], "data": ROWS["hour"]},
    {"name": "carrier", "datatype": "BYTES", "shape": [4], "data": ROWS["carrier"]},
]
IDS = ["a", "b", "7", "ü"]

# Written by 0.6.0 (commit 6e88cbe) for the requests below.
ANSWERED: dict[str, tuple[str, str, Any, bytes]] = {
    "MLflow": (
        "POST",
        "/invocations",
        {"inputs": ROWS, "ids": IDS},
        b'200 {"predictions":[0.5,0.30000000000000004,1e-17,1.0],"ids":["a","b","7","\xc3\xbc"],"model'
        b'":"flights","version":"7"}',
    ),
    "V2": (
        "POST",
        "/v2/models/flights/infer",
        {"id": "r1", "inputs": TENSORS},
        b'200 {"model_name":"flights","model_version":"7","id":"r1","outputs":[{"name":"probability","'
        b'shape":[4],"datatype":"FP64","data":[0.5,0.30000000000000004,1e-17,1.0]},{"name":"label","sh'
        b'ape":[4],"datatype":"INT64","data":[0,0,0,1]},{"name":"prediction_id","shape":[4],"datatype"'
        b':"BYTES","data":["r1/0","r1/1","r1/2","r1/3"]}]}',
    ),
    "V2, label alone": (
        "POST",
        "/v2/models/flights/versions/7/infer",
        {"inputs": TENSORS, "outputs": [{"name": "label"}]},
        b'200 {"model_name":"flights","model_version":"7","outputs":[{"name":"label","shape":[4],"data'
        b'type":"INT64","data":[0,0,0,1]}]}',
    ),
    "V2, an unknown output": (
        "POST",
        "/v2/models/flights/infer",
        {"inputs": TENSORS, "outputs": [{"name": "value"}]},
        b'400 {"error":"Unknown output \'value\'. Choose from probability, label, prediction_id."}',
    ),
    "V2, metadata": (
        "GET",
        "/v2/models/flights",
        None,
        b'200 {"name":"flights","versions":["7"],"platform":"torch_mlops","inputs":[{"name":"hour","da'
        b'tatype":"FP64","shape":[-1]},{"name":"carrier","datatype":"BYTES","shape":[-1]}],"outputs":['
        b'{"name":"probability","datatype":"FP64","shape":[-1]},{"name":"label","datatype":"INT64","sh'
        b'ape":[-1]},{"name":"prediction_id","datatype":"BYTES","shape":[-1]}]}',
    ),
}


class Fixed:
    """A fitted model that gives these answers."""

    trainer, framework, device = "network", "torch", "cpu"

    def answer(self, rows, *, at_once=None):
        return ANSWERS[: len(rows["hour"])]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    model = Model(BINARY, COLUMNS, {"threshold": 0.5}, Fixed())
    service = Service(make_project(tmp_path_factory.mktemp("project")), name="flights", log=None)
    service.versions["7"] = Version(Predictor(lambda: model, name="flights", version="7")).start()
    service.policy = Policy.all_to("7")
    yield build_app(service)
    service.stop()


def ask(app, method: str, path: str, body: Any) -> bytes:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(b"content-type", b"application/json")],
    }
    sent: list[dict[str, Any]] = []

    async def receive():
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    status, content = sent[0]["status"], sent[1]["body"]
    return b"%d %s" % (status, content)


@pytest.mark.parametrize("name", ANSWERED)
def test_a_binary_answer_has_the_bytes_of_0_6(app, name):
    method, path, body, answered = ANSWERED[name]
    assert ask(app, method, path, body) == answered
