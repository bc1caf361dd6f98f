"""Two public protocols, translated to columns of values and back; nothing here knows HTTP.

- MLflow's scoring protocol: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (JSON bodies)
- Open Inference Protocol, V2 REST: https://github.com/kserve/open-inference-protocol

Both hand over columns as they came. Whether they fit the model is `check_rows`' to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from runtime_lib import __version__
from runtime_lib.errors import RequestError

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column
    from runtime_lib.serving.predictor import Answer, Service

__all__ = [
    "Batch",
    "infer_answer",
    "invocations_answer",
    "model_metadata",
    "parse_infer",
    "parse_invocations",
    "server_metadata",
]


@dataclass(frozen=True)
class Batch:
    """A request as columns."""

    rows: Mapping[str, Sequence[Any]]
    ids: Sequence[str] | None = None
    request_id: str | None = None
    outputs: Sequence[str] = ()
    """Which of the answer's outputs are wanted; empty means all."""


# MLflow


def parse_invocations(body: Any, columns: Sequence[Column]) -> Batch:
    """Read one of the four JSON bodies of MLflow's `/invocations`, with optional `ids` beside it.

    Raises:
        RequestError: the body has not exactly one known form, or its rows are ragged.
    """
    body = _object(body, "The body")
    found = [form for form in _FORMS if form in body]
    if len(found) != 1:
        raise RequestError(
            f"The body must hold exactly one of {', '.join(_FORMS)}; "
            f"it holds {', '.join(map(repr, body)) or 'nothing'}."
        )
    others = [key for key, value in body.items() if key not in (*found, "ids") and value not in (None, {})]
    if others:
        raise RequestError(f"Unknown key '{others[0]}' in the body. Beside '{found[0]}' only 'ids' is taken.")
    ids = body.get("ids")
    if ids is not None and not isinstance(ids, list):
        raise RequestError(f"'ids' must be a list of text, one per row, not {_kind(ids)}.")
    return Batch(_FORMS[found[0]](body[found[0]], found[0], [column.name for column in columns]), ids)


def _split(content: Any, form: str, names: Sequence[str]) -> dict[str, list[Any]]:
    content = _object(content, f"'{form}'")
    if unknown := [key for key in content if key not in ("columns", "data", "index")]:
        raise RequestError(f"Unknown key '{unknown[0]}' in '{form}'. It takes 'columns', 'data' and 'index'.")
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise RequestError(f"'{form}' needs 'columns', a list of names.")
    if not isinstance(data, list):
        raise RequestError(f"'{form}' needs 'data', a list of rows.")
    return _by_position(data, columns)


def _records(content: Any, form: str, names: Sequence[str]) -> dict[str, list[Any]]:
    if not isinstance(content, list):
        raise RequestError(f"'{form}' must be a list of objects, not {_kind(content)}.")
    if not content:
        raise RequestError(f"'{form}' has no rows; send at least one.")
    for row, record in enumerate(content):
        _object(record, f"'{form}', row {row}:", hint=" of column → value")
        if record.keys() != content[0].keys():
            name = next(iter(record.keys() ^ content[0].keys()))
            raise RequestError(
                f"'{form}', row {row}: column '{name}' is in some rows and not in others. "
                f"Send null where a value is missing."
            )
    return {name: [record[name] for record in content] for name in content[0]}


def _instances(content: Any, form: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """A list of objects, or of lists in the order of the model's columns."""
    if isinstance(content, list) and content and isinstance(content[0], list):
        return _by_position(content, names)
    return _records(content, form, names)


def _inputs(content: Any, form: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """An object of column → values; else as `instances`."""
    if not isinstance(content, dict):
        return _instances(content, form, names)
    for name, values in content.items():
        if not isinstance(values, list):
            raise RequestError(f"'{form}': column '{name}' must be a list of values, not {_kind(values)}.")
    return content


_FORMS: dict[str, Callable[[Any, str, Sequence[str]], dict[str, list[Any]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _by_position(data: Sequence[Any], columns: Sequence[str]) -> dict[str, list[Any]]:
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise RequestError(f"Column '{twice}' occurs twice.")
    for row, values in enumerate(data):
        if not isinstance(values, list):
            raise RequestError(f"Row {row} must be a list of values, not {_kind(values)}.")
        if len(values) != len(columns):
            raise RequestError(
                f"Row {row} has {len(values)} values for {len(columns)} columns: {', '.join(columns)}."
            )
    return {name: [values[place] for values in data] for place, name in enumerate(columns)}


def invocations_answer(answer: Answer, service: Service) -> dict[str, Any]:
    return {
        "predictions": answer.probability.tolist(),
        "ids": list(answer.ids),
        "model": service.name,
        "version": service.version,
    }


# Open Inference Protocol V2

_DATATYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "FP64": ((int, float), "numbers"),
    "FP32": ((int, float), "numbers"),
    "INT64": ((int,), "whole numbers"),
    "INT32": ((int,), "whole numbers"),
    "BOOL": ((bool,), "true or false"),
    "BYTES": ((str,), "text"),
}
_OUTPUTS = ("probability", "label", "prediction_id")


def parse_infer(body: Any) -> Batch:
    """Read a V2 inference request: one tensor of shape `[n]` or `[n, 1]` per column; null is a missing value.

    With a request `id`, row `i` gets the id `<id>/<i>`.

    Raises:
        RequestError: a tensor's shape, datatype and data do not agree, or an output is not known.
    """
    body = _object(body, "The body")
    tensors = body.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise RequestError("The body needs 'inputs', a list with one tensor per column.")
    rows: dict[str, list[Any]] = {}
    for tensor in tensors:
        name = _object(tensor, "A tensor in 'inputs'").get("name")
        if not isinstance(name, str):
            raise RequestError(f"A tensor in 'inputs' needs a 'name', which is text, not {_kind(name)}.")
        if name in rows:
            raise RequestError(f"Tensor '{name}' occurs twice in 'inputs'.")
        rows[name] = _tensor(name, tensor)
    request_id = body.get("id")
    if request_id is not None and not (isinstance(request_id, str) and request_id):
        raise RequestError(f"The request's 'id' must be non-empty text, not {request_id!r}.")
    count = len(next(iter(rows.values())))
    ids = [f"{request_id}/{row}" for row in range(count)] if request_id is not None else None
    return Batch(rows, ids, request_id, _wanted(body.get("outputs")))


def _tensor(name: str, tensor: Mapping[str, Any]) -> list[Any]:
    datatype, shape, data = tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if not isinstance(datatype, str) or datatype not in _DATATYPES:
        raise RequestError(
            f"Tensor '{name}': datatype {datatype!r} is not taken. Choose from {', '.join(_DATATYPES)}."
        )
    if not isinstance(data, list):
        raise RequestError(
            f"Tensor '{name}' needs 'data', a list (JSON only; the binary extension is not offered)."
        )
    if len(data) and all(isinstance(value, list) for value in data):
        data = list(chain.from_iterable(data))
    if shape not in ([len(data)], [len(data), 1]):
        raise RequestError(
            f"Tensor '{name}': shape {shape!r} does not fit its {len(data)} values. "
            f"Send one tensor per column, of shape [n] or [n, 1]."
        )
    kinds, words = _DATATYPES[datatype]
    for row, value in enumerate(data):
        if value is not None and type(value) not in kinds:  # not isinstance: True is no INT64
            raise RequestError(
                f"Tensor '{name}', row {row}: {value!r} is not of datatype {datatype} ({words})."
            )
    return data


def _wanted(outputs: Any) -> Sequence[str]:
    if outputs is None:
        return ()
    if not isinstance(outputs, list):
        raise RequestError(f"'outputs' must be a list of objects with a name, not {_kind(outputs)}.")
    names = [_object(output, "An entry of 'outputs'").get("name") for output in outputs]
    for name in names:
        if name not in _OUTPUTS:
            raise RequestError(f"Unknown output {name!r}. Choose from {', '.join(_OUTPUTS)}.")
    return [str(name) for name in names]


def infer_answer(answer: Answer, service: Service, batch: Batch) -> dict[str, Any]:
    shape = [len(answer.ids)]
    outputs = [
        {"name": "probability", "shape": shape, "datatype": "FP64", "data": answer.probability.tolist()},
        {"name": "label", "shape": shape, "datatype": "INT64", "data": answer.label.tolist()},
        {"name": "prediction_id", "shape": shape, "datatype": "BYTES", "data": list(answer.ids)},
    ]
    head: dict[str, Any] = {"model_name": service.name, "model_version": service.version}
    if batch.request_id is not None:
        head["id"] = batch.request_id
    return head | {"outputs": [o for o in outputs if not batch.outputs or o["name"] in batch.outputs]}


def server_metadata() -> dict[str, Any]:
    return {"name": "runtime-lib", "version": __version__, "extensions": []}


def model_metadata(service: Service) -> dict[str, Any]:
    def tensor(name: str, datatype: str) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": [-1]}

    return {
        "name": service.name,
        "versions": [service.version],
        "platform": f"{service.framework}_mlops",
        "inputs": [tensor(c.name, "FP64" if c.kind == "number" else "BYTES") for c in service.columns],
        "outputs": [
            tensor("probability", "FP64"),
            tensor("label", "INT64"),
            tensor("prediction_id", "BYTES"),
        ],
    }


def _object(value: Any, what: str, hint: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(f"{what} must be a JSON object{hint}, not {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    """A JSON value's kind in words, as its sender knows it."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
