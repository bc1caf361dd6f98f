"""Images in the cells of a table.

An image is `(h, w)` or `(h, w, c)` pixels: an array, or nested lists. Where features are made it may also be
the path of a PNG or JPEG file; from then on its pixels are kept, so that neither training nor a server opens
a file. Tables of features keep

    {"shape": [h, w, c], "pixels": [...]}

since nested lists come back from Parquet as an array for each pixel, thirty times the size of what is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from runtime_lib.errors import DataError, require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["brightness", "digests", "opened", "pixels", "storable", "summaries"]

# As in `columns`, which imports this module.
Array = np.ndarray[Any, np.dtype[Any]]

# Of Pillow's: others would need to be converted, and how is not ours to choose.
_MODES = {"L": "L", "1": "L", "RGB": "RGB", "RGBA": "RGBA", "P": "RGB"}


def pixels(cell: Any) -> Array:
    """Return one image as `float32` `(h, w)` or `(h, w, c)`, unscaled.

    Raises:
        ValueError: it has other axes, rows of different lengths, or what is no number; says which.
    """
    array = _flat(cell) if isinstance(cell, Mapping) else _dense(cell)
    if array.dtype.kind not in "biuf":
        raise ValueError("a pixel is no number")
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(f"it has {array.ndim} axes, not (height, width) or (height, width, channels)")
    with np.errstate(over="ignore"):  # what is too large is infinite, and refused as that
        return array.astype(np.float32)


def opened(values: Iterable[Any], name: str, folder: Path) -> list[Any]:
    """Read the cells that are paths, relative to `folder`, as `uint8` arrays.

    Those of a table of features become arrays too; others stay as they are.

    Raises:
        DataError: a file cannot be read, or is of a mode without an obvious meaning; names row and path.
        MissingExtraError: Pillow is not installed.
    """
    found = []
    for row, value in enumerate(values):
        where = f"Column '{name}', row {row}"
        if isinstance(value, str):
            value = _open(folder / value, where)
        elif isinstance(value, Mapping):
            value = _pixels(value, where)
        found.append(value)
    return found


def storable(table: pd.DataFrame, names: Iterable[str], folder: Path) -> pd.DataFrame:
    """Return the table with these columns as tables of features keep them; a missing image is None.

    Raises:
        DataError: a cell is no image, or a file cannot be read; names column and row.
        MissingExtraError: as `opened`.
    """
    import pandas as pd

    new: dict[str, Any] = {}
    for name in names:
        cells = [
            _stored(cell, f"Column '{name}', row {row}")
            for row, cell in enumerate(opened(table[name], name, folder))
        ]
        new[name] = pd.Series(cells, index=table.index, dtype=object)
    return table.assign(**new)


def summaries(images: Array) -> list[str | None]:
    """Say in a few characters what each of `n` checked images is: size, mean brightness, sha256."""
    return [_summary(image) for image in images]


def brightness(values: Any) -> Array:
    """The mean of the pixels from 0 to 1, `(n,)`, of checked images or of their `summaries`; missing: NaN."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        found: Array = values.reshape(len(values), -1).mean(axis=1, dtype=np.float64)
        return found
    return np.array([float(each.split()[1]) if isinstance(each, str) else np.nan for each in values])


def digests(values: Iterable[Any]) -> list[str]:
    """Of unchecked cells, for a search of equal ones."""
    return [
        hashlib.sha256(cell.tobytes()).hexdigest() if (cell := _cell(value)) is not None else ""
        for value in values
    ]


def _summary(image: Array) -> str | None:
    if np.isnan(image).any():
        return None
    size = "x".join(map(str, image.shape))
    return f"{size} {image.mean(dtype=np.float64):.6f} sha256:{hashlib.sha256(image.tobytes()).hexdigest()}"


def _cell(value: Any) -> Array | None:
    return pixels(value) if isinstance(value, (list, np.ndarray, Mapping)) else None


def _dense(cell: Any) -> Array:
    """Parquet gives nested arrays of objects."""
    array = np.asarray(cell)
    if array.dtype != object:
        return array
    if not array.ndim:
        raise ValueError("a pixel is no number")
    return np.asarray([_dense(each) for each in array])


def _flat(cell: Mapping[str, Any]) -> Array:
    try:
        return np.asarray(cell["pixels"]).reshape([int(size) for size in cell["shape"]])
    except (KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"an object needs 'shape' and 'pixels' ({error!r})") from error


def _stored(cell: Any, where: str) -> Any:
    """With the pixels in their own type: those of a file are a byte each."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if not isinstance(cell, (list, np.ndarray)):
        _refuse(cell, where)
    _pixels(cell, where)
    array = _dense(cell)
    return {"shape": list(array.shape), "pixels": array.reshape(-1)}


def _pixels(cell: Any, where: str) -> Array:
    try:
        return pixels(cell)
    except ValueError as error:
        raise DataError(f"{where} is no image: {error}.") from None


def _refuse(cell: Any, where: str) -> NoReturn:
    raise DataError(f"{where}: {cell!r:.60} is no image. Return pixels, or the path of a PNG or JPEG file.")


def _open(path: Path, where: str) -> Array:
    image = require("PIL.Image", extra="images")
    try:
        with image.open(path, formats=("PNG", "JPEG")) as file:
            if file.mode not in _MODES:
                raise DataError(
                    f"{where}: {path} is of mode {file.mode}. Save it as greyscale, RGB or RGBA, 8 bits each."
                )
            return np.asarray(file.convert(_MODES[file.mode]))
    except (OSError, ValueError, image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: {path} cannot be read as PNG or JPEG ({error}).") from error
