"""The tensors of the Open Inference Protocol: one column each, as JSON or as raw bytes behind it.

Raw bytes are the extension `binary_tensor_data`:
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, compress
from math import prod
from operator import itemgetter
from struct import calcsize, pack, unpack
from typing import Any, NamedTuple

import numpy as np

from runtime_lib.data.rows import Rows
from runtime_lib.errors import RequestError, quoted
from runtime_lib.serving.protocols.batch import as_object, kind_of

__all__ = ["as_bytes", "read_tensors"]


class _Datatype(NamedTuple):
    types: tuple[type, ...]
    words: str
    code: str
    """Of `struct`; empty: each element is its length as 4 bytes, then so many bytes of UTF-8."""


_WHOLE = {"INT64": "q", "INT32": "i", "INT16": "h", "INT8": "b"}
_DATATYPES = {
    "FP64": _Datatype((int, float), "numbers", "d"),
    "FP32": _Datatype((int, float), "numbers", "f"),
    "FP16": _Datatype((int, float), "numbers", "e"),
    **{name: _Datatype((int,), "whole numbers", code) for name, code in _WHOLE.items()},
    **{f"U{name}": _Datatype((int,), "whole numbers", code.upper()) for name, code in _WHOLE.items()},
    "BOOL": _Datatype((bool,), "true or false", "?"),
    "BYTES": _Datatype((str,), "text", ""),
}
_FIELDS = itemgetter("name", "shape", "datatype", "data")
_RAW_FIELDS = itemgetter("name", "shape", "datatype", "parameters")


def read_tensors(tensors: list[Any], raw: bytes, *, missing_text: str | None = None) -> Mapping[str, Any]:
    """Return column → values; a missing value is None or NaN, an image that is all NaN is None.

    Args:
        tensors: of JSON, at least one.
        raw: the bytes behind the JSON, of the tensors that have a `binary_data_size`, in their order.
        missing_text: the text that stands for a missing one, as bytes cannot be missing.

    Raises:
        RequestError: a tensor's shape, datatype and data do not agree.
    """
    if missing_text is None and (rows := _raw_at_once(tensors, raw) if raw else _at_once(tensors)):
        return rows
    found: dict[str, list[Any]] = {}
    start = 0
    for tensor in tensors:
        name = as_object(tensor, "A tensor in 'inputs'").get("name")
        if not isinstance(name, str):
            raise RequestError(f"A tensor in 'inputs' needs a 'name', which is text, not {kind_of(name)}.")
        if name in found:
            raise RequestError(f"Tensor '{name}' occurs twice in 'inputs'.")
        datatype, size = _datatype(name, tensor.get("datatype")), _raw_size(name, tensor)
        if size is None:
            found[name] = _of_json(name, tensor, datatype)
        else:
            found[name] = _of_bytes(name, tensor, datatype, raw[start : start + size])
            start += size
        if missing_text is not None and not datatype.code:
            found[name] = [None if value == missing_text else value for value in found[name]]
    if start != len(raw):
        raise RequestError(
            f"The body holds {len(raw)} bytes behind its JSON; "
            f"the tensors' 'binary_data_size' add up to {start}."
        )
    columns = list(found.values())
    if any(len(tensor["shape"]) > 2 for tensor in tensors) or len({*map(len, columns)}) > 1:
        return found
    return Rows(tuple(found), list(zip(*columns, strict=True)))


def _at_once(tensors: list[Any]) -> Rows | None:
    """Rows of tensors with one plain value a row; None if anything is unusual."""
    try:
        names, shapes, datatypes, columns = zip(*map(_FIELDS, tensors), strict=True)
        if {*map(type, columns)} != {list} or {*map(len, columns)} != {len(columns[0])}:
            return None
        if not _are_columns(names, shapes, len(columns[0])):
            return None
        for datatype in {*datatypes}:
            those = compress(columns, map(datatype.__eq__, datatypes))
            if {*map(type, chain.from_iterable(those))} - {*_DATATYPES[datatype].types, type(None)}:
                return None
    except (KeyError, TypeError):
        return None
    return Rows(names, list(zip(*columns, strict=True)))


def _raw_at_once(tensors: list[Any], raw: bytes) -> Rows | None:
    """Rows of tensors of one datatype, all as bytes; None if anything is unusual."""
    try:
        names, shapes, datatypes, parameters = zip(*map(_RAW_FIELDS, tensors), strict=True)
        code, count = _DATATYPES[datatypes[0]].code, shapes[0][0]
        if not code or datatypes.count(datatypes[0]) < len(names) or type(count) is not int or count < 1:
            return None
        size = count * calcsize(code)
        if parameters[0] != {"binary_data_size": size} or parameters.count(parameters[0]) < len(names):
            return None
        if any("data" in tensor for tensor in tensors) or not _are_columns(names, shapes, count):
            return None
    except (KeyError, IndexError, TypeError):
        return None
    if len(raw) != size * len(names):
        return None
    values = unpack(f"<{count * len(names)}{code}", raw)
    return Rows(
        names, list(zip(*(values[at : at + count] for at in range(0, len(values), count)), strict=True))
    )


def _are_columns(names: Sequence[Any], shapes: Sequence[Any], count: int) -> bool:
    if {*map(type, names)} != {str} or len({*names}) < len(names):
        return False
    return shapes[0] in ([count], [count, 1]) and shapes.count(shapes[0]) == len(shapes)


def _datatype(name: str, datatype: Any) -> _Datatype:
    if not isinstance(datatype, str) or datatype not in _DATATYPES:
        raise RequestError(
            f"Tensor '{name}': datatype {quoted(datatype)} is not taken. Choose from {', '.join(_DATATYPES)}."
        )
    return _DATATYPES[datatype]


def _raw_size(name: str, tensor: Mapping[str, Any]) -> int | None:
    """How many bytes hold the tensor; None if its data is in the JSON."""
    if "parameters" not in tensor:
        return None
    parameters = as_object(tensor["parameters"], f"Tensor '{name}': 'parameters'")
    if "shared_memory_region" in parameters:
        raise RequestError(f"Tensor '{name}': shared memory is not offered. Send its data in the request.")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0 or "data" in tensor:
        raise RequestError(
            f"Tensor '{name}': 'binary_data_size' must be a number of bytes, without 'data' next to it."
        )
    return size


def _of_json(name: str, tensor: Mapping[str, Any], datatype: _Datatype) -> list[Any]:
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(data, list):
        raise RequestError(f"Tensor '{name}' needs 'data', a list, or bytes and their 'binary_data_size'.")
    data = _flat(data, axes=len(shape) if isinstance(shape, list) else 1)
    images = datatype.code and _is_of_images(shape, len(data))
    if not images and shape not in ([len(data)], [len(data), 1]):
        raise _unfit(name, shape, f"its {len(data)} values")
    for row, value in enumerate(data):
        if value is not None and type(value) not in datatype.types:  # not isinstance: True is no INT64
            raise RequestError(
                f"Tensor '{name}', row {row}: {quoted(value)} is not of datatype {tensor['datatype']} "
                f"({datatype.words})."
            )
    return _images(np.array(data, dtype=np.float64).reshape(shape)) if images else data


def _of_bytes(name: str, tensor: Mapping[str, Any], datatype: _Datatype, raw: bytes) -> list[Any]:
    shape, size = tensor.get("shape"), tensor["parameters"]["binary_data_size"]
    if not isinstance(shape, list) or not all(type(axis) is int and axis >= 0 for axis in shape):
        raise RequestError(f"Tensor '{name}': shape {quoted(shape)} is no list of whole numbers.")
    count = prod(shape)
    if len(raw) < size:
        raise RequestError(f"Tensor '{name}' ends after {len(raw)} of its {size} bytes.")
    if not datatype.code:
        values = _texts(name, raw)
        if shape not in ([len(values)], [len(values), 1]):
            raise _unfit(name, shape, f"its {len(values)} texts")
        return values
    if size != count * calcsize(datatype.code):
        raise _unfit(name, shape, f"its {size} bytes of {tensor['datatype']}")
    if _is_of_images(shape, count):
        return _images(np.frombuffer(raw, dtype=f"<{datatype.code}").reshape(shape))
    if shape not in ([count], [count, 1]):
        raise _unfit(name, shape, f"a column of {count} values")
    return list(unpack(f"<{count}{datatype.code}", raw))


def _texts(name: str, raw: bytes) -> list[str]:
    found: list[str] = []
    start = 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
        if start + 4 > len(raw) or end > len(raw):
            raise RequestError(f"Tensor '{name}', row {len(found)}: the text ends after its tensor's bytes.")
        try:
            found.append(raw[start + 4 : end].decode())
        except UnicodeDecodeError:
            raise RequestError(f"Tensor '{name}', row {len(found)}: the text is not UTF-8.") from None
        start = end
    return found


def _unfit(name: str, shape: Any, what: str) -> RequestError:
    return RequestError(
        f"Tensor '{name}': shape {quoted(shape)} does not fit {what}. "
        f"Send one tensor per column, of shape [n] or [n, 1], of images [n, h, w] or [n, h, w, c]."
    )


def _is_of_images(shape: Any, count: int) -> bool:
    if not isinstance(shape, list) or len(shape) not in (3, 4):
        return False
    return all(type(size) is int and size > 0 for size in shape) and prod(shape) == count


def _images(pixels: np.ndarray[Any, np.dtype[Any]]) -> list[Any]:
    """A tensor has no place for a missing image but its pixels."""
    missing = np.isnan(pixels).reshape(len(pixels), -1).all(axis=1)
    return [None if gone else image for image, gone in zip(pixels, missing, strict=True)]


def _flat(data: list[Any], *, axes: int) -> list[Any]:
    """Of a tensor with so many axes, or of a column of one value each."""
    for _ in range(max(axes - 1, 1)):
        if data and all(isinstance(value, list) for value in data):
            data = list(chain.from_iterable(data))
    return data


def as_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """Return the raw bytes of an answer's values."""
    if code := _DATATYPES[datatype].code:
        return pack(f"<{len(values)}{code}", *values)
    texts = [value.encode() for value in values]
    return b"".join(chain.from_iterable((len(text).to_bytes(4, "little"), text) for text in texts))
