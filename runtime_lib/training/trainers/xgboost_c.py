"""Answers of an XGBoost model by its C interface: https://xgboost.readthedocs.io/en/stable/c.html."""

from __future__ import annotations

import ctypes
import json
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.training.trainers.c_library import c_library

__all__ = ["Scorer"]

_MARGIN = {"type": 1, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": True}
_HOW = json.dumps(_MARGIN).encode()


class Scorer:
    """A booster that answers and does nothing else.

    Args:
        content: the stored model. types: of its columns, `q` for a number and `c` for a category.

    Raises:
        ModelError: XGBoost cannot read it.
        MissingExtraError: XGBoost is not installed.
    """

    def __init__(self, content: bytes, types: Sequence[str]) -> None:
        self._library = c_library("xgboost", "libxgboost", owner="xgboost.core")
        self._library.XGBGetLastError.restype = ctypes.c_char_p
        self._types = (ctypes.c_char_p * len(types))(*(each.encode() for each in types))
        # The number of threads is the booster's, not the call's; so is the room that an answer is in.
        self._lock = threading.Lock()
        self._handle = ctypes.c_void_p()
        self._call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self._handle))
        weakref.finalize(self, self._library.XGBoosterFree, self._handle)
        size = ctypes.c_uint64(len(content))
        self._call("XGBoosterLoadModelFromBuffer", self._handle, content, size)
        self._call("XGBoosterSetParam", self._handle, b"verbosity", b"0")

    def raw(self, matrix: Array, *, threads: int) -> Array:
        """Margins `(n, outputs)` for a `float64` matrix; 0 threads: as many as XGBoost takes."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        table = self._table(matrix, threads)
        try:
            with self._lock:
                self._call("XGBoosterSetParam", self._handle, b"nthread", str(threads).encode())
                return self._margins(table)
        finally:
            self._library.XGDMatrixFree(table)

    def _table(self, matrix: Array, threads: int) -> ctypes.c_void_p:
        table, how = ctypes.c_void_p(), json.dumps({"missing": float("nan"), "nthread": threads})
        # numpy's array interface, version 3.
        place: dict[str, Any] = {"data": [matrix.ctypes.data, True], "shape": list(matrix.shape)}
        where = json.dumps({**place, "strides": None, "typestr": "<f8", "version": 3}).encode()
        self._call("XGDMatrixCreateFromDense", where, how.encode(), ctypes.byref(table))
        try:
            count = ctypes.c_uint64(len(self._types))
            self._call("XGDMatrixSetStrFeatureInfo", table, b"feature_type", self._types, count)
        except ModelError:
            self._library.XGDMatrixFree(table)
            raise
        return table

    def _margins(self, table: ctypes.c_void_p) -> Array:
        shape, axes = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        found = ctypes.POINTER(ctypes.c_float)()
        results = (ctypes.byref(each) for each in (shape, axes, found))
        self._call("XGBoosterPredictFromDMatrix", self._handle, table, _HOW, *results)
        sizes = tuple(shape[axis] for axis in range(axes.value))
        return np.ctypeslib.as_array(found, shape=sizes).astype(np.float64)

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            told = self._library.XGBGetLastError().decode(errors="replace")
            raise ModelError(
                f"XGBoost cannot read the model: {told.partition('Stack trace')[0].strip()}. Train it again."
            )
