"""The Open Inference Protocol, V2 REST: https://github.com/kserve/open-inference-protocol"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime_lib import __version__
from runtime_lib.errors import RequestError
from runtime_lib.serving.protocols.batch import Batch, as_object, kind_of

if TYPE_CHECKING:
    from runtime_lib.serving.predictor import Prediction, Predictor
    from runtime_lib.task.task import Task

__all__ = ["answer", "model_metadata", "parse", "server_metadata"]

_DATATYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "FP64": ((int, float), "numbers"),
    "FP32": ((int, float), "numbers"),
    "INT64": ((int,), "whole numbers"),
    "INT32": ((int,), "whole numbers"),
    "BOOL": ((bool,), "true or false"),
    "BYTES": ((str,), "text"),
}
_OF_KIND = {"number": "FP64", "image": "FP32"}
# Of a label, by the type that it is stored as.
_OF_LABEL = {"int8": "INT64", "str": "BYTES"}


def parse(body: Any, task: Task) -> Batch:
    """Read a V2 inference request: one tensor of shape `[n]` or `[n, 1]` per column; null is a missing value.

    Of images the shape is `[n, h, w]` or `[n, h, w, c]`, with the data flat or nested.

    With a request `id`, row `i` gets the id `<id>/<i>`. `task`: of the model, for the names of the outputs.

    Raises:
        RequestError: a tensor's shape, datatype and data do not agree, or an output is not known.
    """
    body = as_object(body, "The body")
    tensors = body.get("inputs")
    if not isinstance(tensors, list) or not tensors:
        raise RequestError("The body needs 'inputs', a list with one tensor per column.")
    rows: dict[str, list[Any]] = {}
    for tensor in tensors:
        name = as_object(tensor, "A tensor in 'inputs'").get("name")
        if not isinstance(name, str):
            raise RequestError(f"A tensor in 'inputs' needs a 'name', which is text, not {kind_of(name)}.")
        if name in rows:
            raise RequestError(f"Tensor '{name}' occurs twice in 'inputs'.")
        rows[name] = _tensor(name, tensor)
    request_id = body.get("id")
    if request_id is not None and not (isinstance(request_id, str) and request_id):
        raise RequestError(f"The request's 'id' must be non-empty text, not {request_id!r}.")
    count = len(next(iter(rows.values())))
    ids = [f"{request_id}/{row}" for row in range(count)] if request_id is not None else None
    return Batch(rows, ids, request_id, _wanted(body.get("outputs"), task))


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
    data = _flat(data, axes=len(shape) if isinstance(shape, list) else 1)
    images = datatype != "BYTES" and _is_of_images(shape, len(data))
    if not images and shape not in ([len(data)], [len(data), 1]):
        raise RequestError(
            f"Tensor '{name}': shape {shape!r} does not fit its {len(data)} values. "
            f"Send one tensor per column, of shape [n] or [n, 1], of images [n, h, w] or [n, h, w, c]."
        )
    kinds, words = _DATATYPES[datatype]
    for row, value in enumerate(data):
        if value is not None and type(value) not in kinds:  # not isinstance: True is no INT64
            raise RequestError(
                f"Tensor '{name}', row {row}: {value!r} is not of datatype {datatype} ({words})."
            )
    return list(np.array(data, dtype=np.float64).reshape(shape)) if images else data


def _is_of_images(shape: Any, count: int) -> bool:
    if not isinstance(shape, list) or len(shape) not in (3, 4):
        return False
    return all(type(size) is int and size > 0 for size in shape) and prod(shape) == count


def _flat(data: list[Any], *, axes: int) -> list[Any]:
    """Of a tensor with so many axes, or of a column of one value each."""
    for _ in range(max(axes - 1, 1)):
        if data and all(isinstance(value, list) for value in data):
            data = list(chain.from_iterable(data))
    return data


def _wanted(outputs: Any, task: Task) -> Sequence[str]:
    if outputs is None:
        return ()
    if not isinstance(outputs, list):
        raise RequestError(f"'outputs' must be a list of objects with a name, not {kind_of(outputs)}.")
    names = [as_object(output, "An entry of 'outputs'").get("name") for output in outputs]
    known = _outputs(task)
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise RequestError(f"Unknown output {name!r}. Choose from {', '.join(known)}.")
    return [str(name) for name in names]


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


def server_metadata() -> dict[str, Any]:
    return {"name": "runtime-lib", "version": __version__, "extensions": []}


def model_metadata(predictor: Predictor) -> dict[str, Any]:
    """Describe the model's inputs and outputs.

    Raises:
        ServiceError: the model is not loaded.
    """

    def tensor(name: str, datatype: str, shape: Sequence[int] = ()) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": [-1, *shape]}

    model = predictor.model
    return {
        "name": predictor.name,
        "versions": [predictor.version],
        "platform": f"{model.framework}_mlops",
        "inputs": [tensor(c.name, _OF_KIND.get(c.kind, "BYTES"), c.shape) for c in model.columns],
        "outputs": [tensor(name, kind) for name, kind in _outputs(model.task).items()],
    }


def _outputs(task: Task) -> dict[str, str]:
    """Name → datatype: the numbers of the answer, the label that follows from them, the row's id."""
    label = {"label": _OF_LABEL[task.stored]} if task.class_names else {}
    return {**dict.fromkeys(task.outputs, "FP64"), **label, "prediction_id": "BYTES"}
