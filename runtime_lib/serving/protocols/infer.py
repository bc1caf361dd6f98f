"""The Open Inference Protocol, V2 REST: https://github.com/kserve/open-inference-protocol"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import orjson

from runtime_lib import __version__
from runtime_lib.errors import RequestError, quoted
from runtime_lib.serving.protocols.batch import Batch, as_object, kind_of, parse_json
from runtime_lib.serving.protocols.tensors import as_bytes, read_tensors

if TYPE_CHECKING:
    from runtime_lib.serving.predictor import Prediction, Predictor
    from runtime_lib.task.task import Task

__all__ = ["LENGTH_HEADER", "answer", "encoded", "model_metadata", "parse", "server_metadata"]

LENGTH_HEADER = "inference-header-content-length"
"""Of a request and an answer with raw tensors: how many bytes of the body are JSON."""
_OF_KIND = {"number": "FP64", "image": "FP32"}
# Of a label, by the type that it is stored as.
_OF_LABEL = {"int8": "INT64", "str": "BYTES"}


def parse(body: bytes, task: Task, *, json_length: str | None = None) -> Batch:
    """Read a V2 inference request: one tensor of shape `[n]` or `[n, 1]` per column; null is a missing value.

    Of images the shape is `[n, h, w]` or `[n, h, w, c]`, with the data flat or nested. In raw bytes NaN is
    a missing value. Bytes of text have no such value: the request's parameter `missing_text` names the text
    that stands for it.

    With a request `id`, row `i` gets the id `<id>/<i>`.

    Args:
        task: of the model, for the names of the outputs.
        json_length: the header of a request with raw tensors, see `LENGTH_HEADER`.

    Raises:
        RequestError: the body is not JSON, a tensor's shape, datatype and data do not agree, or an output
            is not known.
    """
    length = _length(json_length, len(body))
    request = as_object(parse_json(body[:length]), "The body")
    tensors = request.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise RequestError("The body needs 'inputs', a list with one tensor per column.")
    parameters = as_object(request.get("parameters", {}), "'parameters'")
    missing_text = parameters.get("missing_text")
    if not isinstance(missing_text, str | None):
        raise RequestError(f"'missing_text' must be text, not {kind_of(missing_text)}.")
    rows = read_tensors(tensors, body[length:], missing_text=missing_text)
    request_id = request.get("id")
    if request_id is not None and not (isinstance(request_id, str) and request_id):
        raise RequestError(f"The request's 'id' must be non-empty text, not {quoted(request_id)}.")
    count = len(next(iter(rows.values()))) if request_id is not None else 0
    ids = [f"{request_id}/{row}" for row in range(count)] if request_id is not None else None
    outputs, raw = _wanted(request.get("outputs"), parameters.get("binary_data_output") is True, task)
    return Batch(rows, ids, request_id, outputs, raw)


def _length(text: str | None, most: int) -> int:
    if text is None:
        return most
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > most:
        raise RequestError(
            f"The header '{LENGTH_HEADER}' must be the length of the JSON in bytes, at most {most}, "
            f"not {quoted(text)}."
        )
    return int(text)


def _wanted(outputs: Any, raw: bool, task: Task) -> tuple[Sequence[str], Set[str]]:
    """The names of the outputs to answer with (none: all), and of those to send as raw bytes."""
    if outputs is None or outputs == []:
        return (), frozenset(_outputs(task) if raw else ())
    if not isinstance(outputs, list):
        raise RequestError(f"'outputs' must be a list of objects with a name, not {kind_of(outputs)}.")
    known, names, raws = _outputs(task), [], set()
    for output in outputs:
        name = as_object(output, "An entry of 'outputs'").get("name")
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"Unknown output {quoted(name)}. Choose from {', '.join(known)}.")
        parameters = as_object(output.get("parameters", {}), f"Output '{name}': 'parameters'")
        for key in ("classification", "shared_memory_region"):
            if parameters.get(key):
                raise RequestError(
                    f"Output '{name}': '{key}' is not offered. Choose from {', '.join(known)}."
                )
        names.append(name)
        if parameters.get("binary_data", raw) is True:
            raws.add(name)
    return names, raws


def answer(prediction: Prediction, batch: Batch) -> dict[str, Any]:
    """Return the body of the answer, with the outputs that the request asked for."""
    shape = [len(prediction.ids)]
    data = {name: values.tolist() for name, values in prediction.columns.items()}
    if prediction.label is not None:
        data["label"] = prediction.label.tolist()
    data["prediction_id"] = list(prediction.ids)
    outputs = [
        {"name": name, "shape": shape, "datatype": kind, "data": data[name]}
        for name, kind in _outputs(prediction.task).items()
    ]
    head: dict[str, Any] = {"model_name": prediction.model, "model_version": prediction.version}
    if batch.request_id is not None:
        head["id"] = batch.request_id
    return head | {"outputs": [o for o in outputs if not batch.outputs or o["name"] in batch.outputs]}


def encoded(prediction: Prediction, batch: Batch) -> tuple[bytes, int | None]:
    """Return `answer` as the request wants it sent, and the length of its JSON if raw tensors follow it."""
    body = answer(prediction, batch)
    raws = []
    for output in body["outputs"]:
        if output["name"] in batch.raw:
            raws.append(as_bytes(output["datatype"], output.pop("data")))
            output["parameters"] = {"binary_data_size": len(raws[-1])}
    head = orjson.dumps(body)
    return b"".join((head, *raws)), len(head) if raws else None


def server_metadata() -> dict[str, Any]:
    return {"name": "runtime-lib", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(predictor: Predictor, versions: Sequence[str]) -> dict[str, Any]:
    """Describe the model's inputs and outputs, next to the versions that can be asked.

    Raises:
        ServiceError: the model is not loaded.
    """

    def tensor(name: str, datatype: str, shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": [-1, *shape]}

    model = predictor.model
    return {
        "name": predictor.name,
        "versions": list(versions),
        "platform": f"{model.framework}_mlops",
        "inputs": [tensor(c.name, _OF_KIND.get(c.kind, "BYTES"), c.shape) for c in model.columns],
        "outputs": [tensor(name, kind) for name, kind in _outputs(model.task).items()],
    }


def _outputs(task: Task) -> dict[str, str]:
    """Name → datatype: the numbers of the answer, the label that follows from them, the row's id."""
    label = {"label": _OF_LABEL[task.stored]} if task.class_names else {}
    return {**dict.fromkeys(task.outputs, "FP64"), **label, "prediction_id": "BYTES"}
