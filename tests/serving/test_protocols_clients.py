"""Clients that others wrote, unmodified: MLflow's and Triton's."""

from __future__ import annotations

import http.client
import json
import struct
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runtime_lib.serving.log import read_predictions
from tests.support.quiet import quiet_mlflow
from tests.support.servers import ROWS, Server, expected

# What tritonclient[http] 2.73.0 sends for ROWS: `set_data_from_numpy(array)`, no outputs named. A missing
# text is the word None to it. It names no content type.
RAW_HEAD = (
    b'{"id":"call","inputs":[{"name":"hour","shape":[3],"datatype":"FP64","parameters":{"binary_data_size":24}'
    b'},{"name":"wind","shape":[3,1],"datatype":"FP32","parameters":{"binary_data_size":12}},{"name":"carrier"'
    b',"shape":[3],"datatype":"BYTES","parameters":{"binary_data_size":20}}],"parameters":{"binary_data_output'
    b'":true,"missing_text":"None"}}'
)
RAW_DATA = (
    b"\x00\x00\x00\x00\x00\x00\x18@\x00\x00\x00\x00\x00\x802@\x00\x00\x00\x00\x00\x007@"
    b'\x00\x00@@\x00\x00\xc0\x7f\x00\x00"B'
    b"\x02\x00\x00\x00UA\x02\x00\x00\x00DL\x04\x00\x00\x00None"
)
# The same with `binary_data=False`, and with outputs chosen.
AS_JSON = (
    b'{"inputs":[{"name":"hour","shape":[3],"datatype":"FP64","data":[6.0,18.5,23.0]},{"name":"wind","shape":'
    b'[3,1],"datatype":"FP32","data":[3.0,NaN,40.5]},{"name":"carrier","shape":[3],"datatype":"BYTES","data":['
    b'"UA","DL","None"]}],"parameters":{"binary_data_output":true,"missing_text":"None"}}'
)
CHOSEN_HEAD = RAW_HEAD.replace(
    b'"parameters":{"binary_data_output":true,"missing_text":"None"}}',
    b'"parameters":{"missing_text":"None"},"outputs":[{"name":"label","parameters":{"binary_data":true}},'
    b'{"name":"probability","parameters":{"binary_data":false}}]}',
)


def post(server: Server, body: bytes, **headers: Any) -> tuple[int, int | None, bytes]:
    """Status, length of the answer's JSON and the answer, without any header but these."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest("POST", "/v2/models/flights/infer", skip_accept_encoding=True)
        for name, value in {"Content-Length": len(body), **headers}.items():
            connection.putheader(name, str(value))
        connection.endheaders(body)
        reply = connection.getresponse()
        length = reply.getheader("Inference-Header-Content-Length")
        return reply.status, int(length) if length else None, reply.read()
    finally:
        connection.close()


def post_raw(server: Server, head: bytes, data: bytes) -> tuple[int, int | None, bytes]:
    return post(server, head + data, **{"Inference-Header-Content-Length": len(head)})


def test_what_tritonclient_sends_is_answered_in_raw_bytes(server: Server, model_folder: Path) -> None:
    status, length, body = post_raw(server, RAW_HEAD, RAW_DATA)
    assert status == 200, body
    answer, raw = json.loads(body[:length]), body[length:]
    sizes = [output["parameters"]["binary_data_size"] for output in answer["outputs"]]
    assert (answer["id"], sizes, "data" in answer["outputs"][0]) == ("call", [24, 24, 30], False)
    wanted = expected(model_folder)
    assert struct.unpack("<3d", raw[:24]) == pytest.approx(wanted, abs=1e-6)
    assert struct.unpack("<3q", raw[24:48]) == tuple(int(value > 0.5) for value in wanted)
    assert raw[48:] == b"".join(b"\x06\x00\x00\x00call/%d" % row for row in range(3))


def test_what_it_sends_as_json_is_answered_in_raw_bytes_too(server: Server, model_folder: Path) -> None:
    status, length, body = post(server, AS_JSON)
    assert status == 200, body
    assert length is not None
    assert struct.unpack("<3d", body[length:][:24]) == pytest.approx(expected(model_folder), abs=1e-6)


def test_each_output_is_sent_as_it_is_asked_for(server: Server, model_folder: Path) -> None:
    status, length, body = post_raw(server, CHOSEN_HEAD, RAW_DATA)
    assert status == 200, body
    answer = json.loads(body[:length])
    probability, label = answer["outputs"]
    assert probability["data"] == pytest.approx(expected(model_folder), abs=1e-6)
    assert label["parameters"] == {"binary_data_size": 24}
    assert len(body[length:]) == 24


def test_without_missing_text_the_word_is_text(server: Server) -> None:
    head = RAW_HEAD.replace(b',"missing_text":"None"', b"").replace(b'"call"', b'"word"')
    assert post_raw(server, head, RAW_DATA)[0] == 200
    assert post_raw(server, RAW_HEAD, RAW_DATA)[0] == 200
    logged = read_predictions(server.settings.var / "predictions").set_index("id")["carrier"]
    assert logged["word/2"] == "None"
    assert pd.isna(logged["call/2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b'"binary_data_output":true', b'"binary_data_output":true'), None),
        ((b'{"binary_data_size":24}', b'{"binary_data_size":25}'), "does not fit its 25 bytes of FP64"),
        ((b'{"binary_data_size":20}', b'{"binary_data_size":19}'), "the text ends after its tensor's bytes"),
        ((b'{"binary_data_size":20}', b'{"binary_data_size":21}'), "ends after 20 of its 21 bytes"),
        ((b'{"binary_data_size":20}', b'{"binary_data_size":12}'), "does not fit its 2 texts"),
        ((b'{"binary_data_size":20}', b'{"binary_data_size":-1}'), "must be a number of bytes"),
        ((b'{"binary_data_size":20}', b'{"shared_memory_region":"x"}'), "shared memory is not offered"),
        ((b'{"binary_data_size":20}', b'{"binary_data_size":20},"data":[]'), "without 'data' next to it"),
        ((b'"shape":[3,1]', b'"shape":[4,1]'), "'wind': shape [4, 1] does not fit"),
        ((b'"shape":[3,1]', b'"shape":[3.0,1]'), "'wind': shape [3.0, 1] is no list of whole numbers"),
        ((b'"FP32"', b'"BF16"'), "datatype 'BF16' is not taken"),
        ((b'"missing_text":"None"', b'"missing_text":0'), "'missing_text' must be text"),
    ],
)
def test_raw_tensors_that_do_not_agree_are_refused_in_words(
    server: Server, change: tuple[bytes, bytes], message: str | None
) -> None:
    status, _, body = post_raw(server, RAW_HEAD.replace(*change, 1), RAW_DATA)
    assert status == (400 if message else 200)
    assert message is None or message in json.loads(body)["error"]


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "99999", "9" * 5_000, "²"])
def test_a_wrong_length_of_the_json_is_refused_in_words(server: Server, length: str) -> None:
    header = {"Inference-Header-Content-Length": length}
    status, _, body = post(server, RAW_HEAD + RAW_DATA, **header)
    assert (status, "must be the length of the JSON" in json.loads(body)["error"]) == (400, True)


def test_an_infinite_number_in_raw_bytes_is_named_by_its_row(server: Server) -> None:
    data = struct.pack("<3d", 1, 2, float("inf")) + RAW_DATA[24:]
    status, _, body = post_raw(server, RAW_HEAD, data)
    assert status == 400
    assert "'hour', row 2: inf is not a finite number" in json.loads(body)["error"]


def test_classification_is_refused_in_words(server: Server) -> None:
    head = CHOSEN_HEAD.replace(b'"binary_data":true', b'"classification":2')
    status, _, body = post_raw(server, head, RAW_DATA)
    assert (status, "'classification' is not offered" in json.loads(body)["error"]) == (400, True)


def test_only_tensors_need_no_content_type(server: Server) -> None:
    """A page in a browser may send what names no type to this machine unasked."""
    for kind, wanted in (("application/octet-stream", 415), ("application/json; Charset=UTF-8", 200)):
        assert server.ask("/invocations", {"inputs": ROWS}, kind=kind)[0] == wanted
    assert post(server, AS_JSON, **{"Content-Type": "application/octet-stream"})[0] == 200
    assert post(server, AS_JSON, **{"Content-Type": "text/plain"})[0] == 415


TRITON = """
import sys
import numpy as np
import tritonclient.http as triton
client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("flights")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
hour, wind = np.array([6, 18.5, 23]), np.array([[3], [np.nan], [40.5]], dtype=np.float32)
columns = {"hour": (hour, "FP64"), "wind": (wind, "FP32"),
           "carrier": (np.array(["UA", "DL", None], dtype=object), "BYTES")}
for raw in (True, False):
    inputs = []
    for name, (array, datatype) in columns.items():
        inputs.append(triton.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array, binary_data=raw)
    for raw_output in (True, False):
        outputs = [triton.InferRequestedOutput("probability", binary_data=raw_output)]
        for asked in (None, outputs):
            found = client.infer("flights", inputs, outputs=asked, parameters={"missing_text": "None"})
            print(*found.as_numpy("probability").tolist())
"""


@pytest.mark.slow
def test_tritonclient_itself_gets_the_models_answers(server: Server, model_folder: Path) -> None:
    address = server.url.removeprefix("http://")
    command = (
        "uv",
        "run",
        "--no-project",
        "--quiet",
        "--with",
        "tritonclient[http]>=2.73,<3",
        "--with",
        "numpy",
    )
    done = subprocess.run([*command, "python", "-c", TRITON, address], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [list(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(lines) == 8
    assert all(line == pytest.approx(expected(model_folder), abs=1e-6) for line in lines)


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    quiet_mlflow()
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    return ScoringServerClient(*server.url.removeprefix("http://").split(":"))


def test_mlflows_client_finds_a_server_of_its_kind(client: Any) -> None:
    client.wait_server_ready(timeout=5)
    assert client.get_version() == version("mlflow")


@pytest.mark.parametrize("params", [None, {}])
def test_mlflows_client_writes_nan_for_missing(
    client: Any, model_folder: Path, params: dict[str, Any] | None
) -> None:
    frame = pd.DataFrame({**ROWS, "carrier": np.array(["UA", "DL", np.nan], dtype=object)})
    assert frame["wind"].isna().any()
    found = client.invoke(frame, params=params).get_predictions()
    assert found[0].tolist() == pytest.approx(expected(model_folder), abs=1e-6)


def test_mlflows_client_is_told_what_is_wrong(client: Any) -> None:
    with pytest.raises(Exception, match="'wind', row 1: inf is not a finite number"):
        client.invoke(pd.DataFrame({**ROWS, "wind": [1, np.inf, np.nan]}))
    with pytest.raises(Exception, match="'hour', row 0: a value is missing"):
        client.invoke(pd.DataFrame({**ROWS, "hour": [np.nan, 1, 2]}))
    with pytest.raises(Exception, match="'params' must be left out or empty"):
        client.invoke(pd.DataFrame(ROWS), params={"threshold": 0.2})
