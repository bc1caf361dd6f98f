"""The endpoints of a server as an OpenAPI 3.1 document, made from the signature of its model.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import msgspec

from runtime_lib import __version__
from runtime_lib.serving.page import schemas
from runtime_lib.serving.page.examples import example_row, raw_example, shown
from runtime_lib.serving.status import Status

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column
    from runtime_lib.task.task import Task

__all__ = ["ERRORS", "openapi"]

Document = dict[str, Any]

_AT = "#/components/schemas/{name}"

ERRORS = {
    400: "The body is not JSON; a column is missing, unknown or of the wrong kind; a null where training saw "
    "none; rows of different lengths; too few ids, or one twice.",
    404: "No such model or version.",
    413: "More rows than are taken in one request, or a body too large for that many. Send them in batches.",
    415: "The body is not application/json in UTF-8, or it is compressed.",
    422: "features() failed on these raw rows; the answer names the line of the file.",
    500: "The server failed; its log says why.",
    501: "This server takes no raw rows; the answer says why.",
    503: "Starting, stopping or overloaded: try again in a moment.",
}
"""Status → why. The answer is always `{"error": "…"}`, and no row of such a request is predicted."""

_ASK = (400, 404, 413, 415, 500, 503)


def openapi(
    columns: Sequence[Column],
    task: Task,
    name: str,
    versions: Sequence[str],
    max_rows: int,
    raw_types: Mapping[str, str] | None = None,
    *,
    profile: Mapping[str, Any] | None = None,
    raw_row: Mapping[str, Any] | None = None,
) -> Document:
    """Return the document.

    Args:
        columns: what the model takes. name: of the model.
        versions: that can be asked, at least one.
        max_rows: that are taken in one request.
        raw_types: raw column → its type, see `data/raw.py`; None where raw rows are not taken.
        profile: of the model, for examples like its training rows.
        raw_row: an example of a raw row; made up if not given.
    """
    row = {column: shown(value) for column, value in example_row(columns, profile).items()}
    many = "versions" if len(versions) > 1 else "version"
    told = f"Predictions of the model {name} ({task.kind}), {many} {', '.join(versions)}."
    paths = {**_about(), **_health(), "/invocations": _invocations("Predict", "Request", row)}
    if raw_types is not None:
        paths |= _raw_paths(
            {name: shown(value) for name, value in (raw_row or raw_example(raw_types)).items()}
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__, "description": told},
        "servers": [{"url": "/"}],
        "paths": {**paths, **_inference(name, versions, columns, row)},
        "components": {
            "schemas": _schemas(columns, task, name, versions, max_rows, raw_types, row),
            "responses": {f"Error{status}": _error(why) for status, why in ERRORS.items()},
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
        },
    }


def _schemas(
    columns: Sequence[Column],
    task: Task,
    name: str,
    versions: Sequence[str],
    max_rows: int,
    raw_types: Mapping[str, str] | None,
    row: Mapping[str, Any],
) -> Document:
    names = [column.name for column in columns]
    answer, example = schemas.answers(task, versions)
    ask, told = schemas.tensors(columns, task)
    found = {
        "Row": schemas.row_of(columns, row),
        "Request": schemas.requests(_AT.format(name="Row"), names, max_rows),
        "Answer": {**answer, "examples": [{**example, "model": name}]},
        "InferenceRequest": ask,
        "InferenceAnswer": told,
        "Error": {
            "type": "object",
            "properties": {"error": {"type": "string", "description": "What is wrong, and what to do."}},
            "required": ["error"],
        },
        **_status(),
    }
    if raw_types is not None:
        found["RawRow"] = schemas.row_of_raw(raw_types)
        at, names = _AT.format(name="RawRow"), [*raw_types]
        found["RawRequest"] = schemas.requests(at, names, max_rows, complete=False)
    return found


def _status() -> Document:
    _, described = msgspec.json.schema_components([Status], ref_template=_AT)
    found = msgspec.json.decode(msgspec.json.encode(described))  # its defaults are tuples
    return {name: {**each, "description": cleandoc(each["description"])} for name, each in found.items()}


def _about() -> Document:
    html, text = ({kind: {"schema": {"type": "string"}}} for kind in ("text/html", "text/plain"))
    return {
        "/": {"get": _get("The state of this server, to read", html)},
        "/docs": {"get": _get("How to ask this server", html)},
        "/openapi.json": {"get": _get("This document", _json({"type": "object"}))},
        "/status": {"get": _get("The state of this server", _json(_ref("Status")))},
        "/metrics": {"get": _get("Counters for Prometheus", text, {"503": _ref("Error503", "responses")})},
    }


def _health() -> Document:
    ok, ready, live = (
        _json({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
        for name, kind in (("status", "string"), ("ready", "boolean"), ("live", "boolean"))
    )
    server = {"type": "object", "required": ["name", "version", "extensions"]}
    return {
        "/health": {"get": _get("Whether the process answers", ok)},
        "/ping": {"get": _get("The same, under MLflow's name", ok)},
        "/ready": {"get": _get("Whether predictions are given", ready, {"503": _content("Not yet.", ready)})},
        "/v2": {"get": _get("The server, as the Open Inference Protocol asks", _json(server))},
        "/v2/health/live": {"get": _get("Whether the process answers", live)},
        "/v2/health/ready": {
            "get": _get("Whether predictions are given", ready, {"503": _content("Not yet.", ready)})
        },
    }


def _invocations(summary: str, request: str, row: Mapping[str, Any], *statuses: int) -> Document:
    body = {
        "schema": _ref(request),
        "examples": {
            "records": {
                "summary": "rows as objects",
                "value": {"dataframe_records": [row], "ids": ["row-1"]},
            },
            "columns": {
                "summary": "columns of values",
                "value": {"inputs": {name: [row[name]] for name in row}},
            },
            "split": {
                "summary": "names once, then rows",
                "value": {"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}},
            },
        },
    }
    return {"post": _post(summary, body, "Answer", statuses)}


def _raw_paths(row: Mapping[str, Any]) -> Document:
    columns = {"type": "object", "additionalProperties": {"type": "string"}}
    listed = {"type": "object", "properties": {"columns": columns}, "required": ["columns"]}
    return {
        "/raw": {"get": _get("The columns of raw rows, and their types", _json(listed))},
        "/raw/invocations": _invocations("Predict on raw rows", "RawRequest", row, 422, 501),
    }


def _inference(
    name: str, versions: Sequence[str], columns: Sequence[Column], row: Mapping[str, Any]
) -> Document:
    kinds = {"number": "FP64", "image": "FP32"}
    inputs = [
        {
            "name": c.name,
            "shape": [1, *c.shape],
            "datatype": kinds.get(c.kind, "BYTES"),
            "data": [row[c.name]],
        }
        for c in columns
    ]
    body = {
        "schema": _ref("InferenceRequest"),
        "examples": {"one row": {"summary": "one row", "value": {"id": "call-1", "inputs": inputs}}},
    }
    described = _json({"type": "object", "required": ["name", "versions", "platform", "inputs", "outputs"]})
    state = {"name": {"type": "string"}, "ready": {"type": "boolean"}}
    ready = _json({"type": "object", "properties": state, "required": ["name", "ready"]})
    found: Document = {}
    model, version = _path_parameter("name", [name]), _path_parameter("version", versions)
    for path, parameters in (
        ("/v2/models/{name}", [model]),
        ("/v2/models/{name}/versions/{version}", [model, version]),
    ):
        absent = {"404": _ref("Error404", "responses")}
        not_yet = {"503": _content("Not yet.", ready)}
        failed = {"503": _ref("Error503", "responses")}
        operations = {
            "": {"get": _get("What the model takes and answers", described, absent | failed)},
            "/ready": {"get": _get("Whether the model is loaded", ready, absent | not_yet)},
            "/infer": {"post": _post("Predict by the Open Inference Protocol", body, "InferenceAnswer")},
        }
        found |= {f"{path}{end}": {"parameters": parameters, **each} for end, each in operations.items()}
    return found


def _get(summary: str, content: Document, others: Mapping[str, Any] | None = None) -> Document:
    return {"summary": summary, "responses": {"200": _content("As asked.", content), **(others or {})}}


def _post(summary: str, body: Document, answer: str, statuses: Sequence[int] = ()) -> Document:
    answered = {**_content("One answer for each row.", _json(_ref(answer))), "headers": _answered_headers()}
    refused = {str(status): _ref(f"Error{status}", "responses") for status in sorted({*_ASK, *statuses})}
    return {
        "summary": summary,
        "parameters": [_ref(name, "parameters") for name in _PARAMETERS],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": answered, **refused},
    }


def _json(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}


def _content(words: str, content: Document) -> Document:
    return {"description": words, "content": content}


def _error(why: str) -> Document:
    return {
        **_content(why, _json(_ref("Error"))),
        "headers": {"X-Request-Id": _ref("X-Request-Id", "headers")},
    }


def _answered_headers() -> Document:
    return {name: _ref(name, "headers") for name in _HEADERS}


def _ref(name: str, kind: str = "schemas") -> Document:
    return {"$ref": f"#/components/{kind}/{name}"}


def _path_parameter(name: str, values: Sequence[str]) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"enum": [*values]}}


def _header(name: str, words: str) -> Document:
    return {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


_PARAMETERS = {
    "RequestId": _header("X-Request-Id", "A name for the request; it comes back, and stands in the log."),
    "Version": _header("X-Mlops-Version", "Ask this version, whatever share of the traffic it has."),
    "Key": _header("X-Mlops-Key", "Requests with the same key are answered by the same version."),
}
_HEADERS = {
    "X-Request-Id": {"description": "That of the request, or one made up.", "schema": {"type": "string"}},
    "X-Mlops-Version": {"description": "The version that answered.", "schema": {"type": "string"}},
}
