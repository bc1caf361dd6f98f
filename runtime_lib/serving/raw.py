"""Raw rows in a server: the project's own `features` makes of them what the model takes."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.features import Features, left_out
from runtime_lib.data.functions import find_features
from runtime_lib.data.raw import RawTypes
from runtime_lib.errors import DataError, MlopsError, RequestError
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RawRows", "open_raw"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawRows:
    """What turns the raw rows of a request into `id`, `time` and inputs."""

    types: RawTypes
    features: Features

    def inputs(self, rows: Mapping[str, Any]) -> pd.DataFrame:
        """Apply the project's `features` to values of JSON, and return a row for each.

        Raises:
            DataError: a value is of another type than in the raw months.
            RequestError: a raw column is missing that `features` reads (400), or `features` failed on
                these rows or left one out (422).
        """
        raw = self.types.parse(rows)
        try:
            table = self.features.inputs(raw, "the request")
        except MlopsError:
            raise
        except Exception as error:  # whatever the project's function does
            raise self._refused(error, raw) from error
        if missing := left_out(raw, table):
            raise RequestError(missing, status=422)
        if (empty := table["id"].isna()).any():
            raise RequestError(
                f"features() made no id for row {int(empty.to_numpy().argmax())}. Is a value missing "
                f"of which it is made?"
            )
        return table

    def _refused(self, error: Exception, raw: pd.DataFrame) -> RequestError:
        where = self._where(error)
        if isinstance(error, (KeyError, AttributeError)):
            absent = [name for name in self.types.columns if name not in raw.columns]
            if named := [name for name in absent if error.args[:1] == (name,) or repr(name) in str(error)]:
                return RequestError(f"Raw column '{named[0]}' is missing: features() reads it ({where}).")
        _log.error("features() failed on a request", exc_info=error)
        return RequestError(
            f"features() failed on these rows: {type(error).__name__} ({where}). "
            f"The server's log has the rest.",
            status=422,
        )

    def _where(self, error: Exception) -> str:
        """The line of the project's file in which it happened."""
        code = getattr(self.features.features, "__code__", None)
        home = Path(code.co_filename).parent if code else Path()
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).parent == home] or frames[-1:]
        return f"{Path(own[-1].filename).name}, line {own[-1].lineno}"


def open_raw(settings: Settings, folder: Path) -> RawRows:
    """Find what makes features of raw rows for the model in `folder`.

    Raises:
        DataError: the model does not know the raw columns' types, or the project's package is not here.
    """
    from runtime_lib.training.model import read_raw_types

    types = read_raw_types(folder)
    if types is None:
        raise DataError(
            "This model was trained without the types of the raw columns, so it takes features only. Train "
            "again: `mlops run --stage featurize --force`, then `mlops run`."
        )
    return RawRows(types, find_features(settings))
