"""Answers of a LightGBM model by its C interface: https://lightgbm.readthedocs.io/en/stable/C-API.html."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.training.trainers.c_library import c_library

__all__ = ["Scorer"]

_FLOAT64, _ROWS_FIRST, _RAW_SCORE = 1, 1, 1
_ALL = -1  # iterations


class Scorer:
    """A booster that answers and does nothing else. `text`: the stored model.

    Raises:
        ModelError: LightGBM cannot read it.
        MissingExtraError: LightGBM is not installed.
    """

    def __init__(self, text: str) -> None:
        self._library = c_library("lightgbm", "lib_lightgbm", owner="lightgbm.basic")
        self._library.LGBM_GetLastError.restype = ctypes.c_char_p
        self._handle, number = ctypes.c_void_p(), ctypes.c_int()
        load = self._library.LGBM_BoosterLoadModelFromString
        self._check(load(text.encode(), ctypes.byref(number), ctypes.byref(self._handle)))
        weakref.finalize(self, self._library.LGBM_BoosterFree, self._handle)
        self._check(self._library.LGBM_BoosterGetNumClasses(self._handle, ctypes.byref(number)))
        self._outputs = number.value

    def raw(self, matrix: Array, *, threads: int) -> Array:
        """Margins `(n, outputs)` for a `float64` matrix; 0 threads: as many as LightGBM takes."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        rows, columns = matrix.shape
        found, written = np.empty((rows, self._outputs)), ctypes.c_int64()
        done = self._library.LGBM_BoosterPredictForMat(
            self._handle,
            ctypes.c_void_p(matrix.ctypes.data),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(rows),
            ctypes.c_int32(columns),
            ctypes.c_int(_ROWS_FIRST),
            ctypes.c_int(_RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(_ALL),
            f"num_threads={threads}".encode(),
            ctypes.byref(written),
            ctypes.c_void_p(found.ctypes.data),
        )
        self._check(done)
        return found

    def _check(self, done: Any) -> None:
        if done != 0:
            told = self._library.LGBM_GetLastError().decode(errors="replace")
            raise ModelError(f"LightGBM cannot read the model: {told}. Train it again.")
