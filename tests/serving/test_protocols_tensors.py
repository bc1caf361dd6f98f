"""Tensors as JSON and as raw bytes say the same."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.data.columns import Column
from runtime_lib.data.rows import Checker, Rows
from runtime_lib.errors import DataError, RequestError
from runtime_lib.serving.protocols.tensors import as_bytes, read_tensors
from tests.support.depth import DEEP

CODES = {"FP64": "d", "FP32": "f", "FP16": "e", "INT64": "q", "INT32": "i", "UINT8": "B", "BOOL": "?"}


def value(datatype):
    if datatype == "BYTES":
        return st.text(max_size=3)
    if datatype == "BOOL":
        return st.booleans()
    if datatype.startswith("FP"):
        return st.floats(width=int(datatype[2:]), allow_infinity=False)
    size = 8 * struct.calcsize(CODES[datatype])
    return (
        st.integers(0, 2**size - 1)
        if datatype[0] == "U"
        else st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1)
    )


def raw_of(tensor):
    data = as_bytes(tensor["datatype"], tensor["data"])
    head = {key: tensor[key] for key in ("name", "shape", "datatype")}
    return {**head, "parameters": {"binary_data_size": len(data)}}, data


def listed(rows):
    return {name: [None if cell != cell else cell for cell in rows[name]] for name in rows}


@settings(max_examples=5_000 if DEEP else 150, deadline=None)
@given(st.data())
def test_raw_bytes_say_what_the_json_says(data):
    kinds = st.sampled_from([*CODES, "BYTES"])
    one = data.draw(st.none() | kinds)
    count = data.draw(st.integers(0, 4))
    tensors = [
        {"name": name, "shape": [count, 1] if data.draw(st.booleans()) else [count], "datatype": kind}
        | {"data": data.draw(st.lists(value(kind), min_size=count, max_size=count))}
        for name in "abc"
        for kind in [one or data.draw(kinds)]
    ]
    which = data.draw(st.sets(st.sampled_from("abc")))
    raws = {t["name"]: raw_of(t) for t in tensors if t["name"] in which}
    mixed = [raws[t["name"]][0] if t["name"] in which else t for t in tensors]
    behind = b"".join(data for _, data in raws.values())
    wanted = {t["name"]: t["data"] for t in tensors}
    assert listed(read_tensors(tensors, b"")) == listed(wanted)
    assert listed(read_tensors(mixed, behind)) == listed(wanted)
    if behind:
        with pytest.raises(RequestError):
            read_tensors(mixed, behind[:-1])
        with pytest.raises(RequestError, match="behind its JSON"):
            read_tensors(mixed, behind + b"\0")


@pytest.mark.parametrize("count", [1, 3])
def test_plain_tensors_are_read_all_at_once(count):
    """Else the quick way may be lost and nobody notices."""
    tensors = [
        {"name": n, "shape": [count], "datatype": "FP32", "data": [1.5] * count} for n in ("a", "b", "c")
    ]
    raws, data = zip(*map(raw_of, tensors), strict=True)
    for rows in (read_tensors(tensors, b""), read_tensors(list(raws), b"".join(data))):
        assert isinstance(rows, Rows)
        assert rows.rows == [(1.5, 1.5, 1.5)] * count


@pytest.mark.parametrize("raw", [True, False])
def test_an_image_without_any_pixel_is_missing(raw):
    pixels = np.array([[[0, 51], [102, 255]], [[math.nan] * 2] * 2], dtype=np.float32)
    tensor = {"name": "photo", "shape": [2, 2, 2], "datatype": "FP32", "data": pixels.ravel().tolist()}
    head, data = raw_of(tensor)
    rows = read_tensors([head], data) if raw else read_tensors([tensor], b"")
    column = Column("photo", "image", nullable=True, shape=(2, 2))
    checker = Checker([column])
    found = checker.stack([checker.check(rows)])["photo"]
    np.testing.assert_array_equal(found, pixels / np.float32(255))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", ["number", "category"])
def test_an_image_for_another_column_is_refused_in_words(raw, kind):
    tensor = {"name": "a", "shape": [1, 2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}
    head, data = raw_of(tensor)
    rows = read_tensors([head], data) if raw else read_tensors([tensor], b"")
    with pytest.raises(DataError, match=r"(?s)Column 'a', row 0: array.* is not "):
        Checker([Column("a", kind)]).check(rows)


def test_a_missing_text_has_a_word_that_the_request_names():
    tensor = {"name": "t", "shape": [3], "datatype": "BYTES", "data": ["", "None", "UA"]}
    head, data = raw_of(tensor)
    for word, wanted in (("None", ["", None, "UA"]), ("", [None, "None", "UA"]), (None, tensor["data"])):
        assert read_tensors([head], data, missing_text=word)["t"] == wanted
        assert read_tensors([tensor], b"", missing_text=word)["t"] == wanted
