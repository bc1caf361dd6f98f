"""The C library inside a package of boosted trees, without the package.

Importing LightGBM or XGBoost imports pandas, scipy and scikit-learn: three seconds and 150 MB that no answer
needs. Both packages call the same functions of the same file.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from ctypes import CDLL
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from runtime_lib.training.trainers.boosting import library

__all__ = ["c_library"]


@cache
def c_library(package: str, name: str, *, owner: str) -> CDLL:
    """Load the library.

    Args:
        name: of its file, without the suffix.
        owner: the module that has it loaded as `_LIB`, for where the file is elsewhere or cannot be loaded.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: it is, and cannot be loaded.
    """
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    with suppress(ModuleNotFoundError, OSError):
        spec = find_spec(package)
        if spec and spec.origin:
            return CDLL(str(Path(spec.origin).parent / "lib" / f"{name}{suffix}"))
    library(package)
    return CDLL(import_module(owner)._LIB._name)
