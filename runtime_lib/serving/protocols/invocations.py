"""MLflow's scoring protocol, its JSON bodies.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from runtime_lib.data.rows import Rows
from runtime_lib.errors import RequestError
from runtime_lib.serving.protocols.batch import Batch, as_object, kind_of, parse_json

if TYPE_CHECKING:
    from runtime_lib.serving.predictor import Prediction

__all__ = ["answer", "mlflow_version", "parse"]

_SPOKEN = "3.17.0"
"""The MLflow whose protocol this is, where none is installed."""


def parse(body: bytes, columns: Sequence[str]) -> Batch:
    """Read one of the four JSON bodies of MLflow's `/invocations`, with optional `ids` next to it.

    `columns`: the order in which rows that are lists hold their values.

    Raises:
        RequestError: the body is not JSON, has not exactly one known form, or its rows are ragged.
    """
    request = as_object(parse_json(body), "The body")
    if len(request) == 1:  # as nearly every request
        form, content = next(iter(request.items()))
        if form in _FORMS:
            return Batch(_FORMS[form](content, form, columns))
    found = [form for form in _FORMS if form in request]
    if len(found) != 1:
        raise RequestError(
            f"The body must hold exactly one of {', '.join(_FORMS)}; "
            f"it holds {', '.join(map(repr, request)) or 'nothing'}."
        )
    if request.get("params") not in (None, {}):
        raise RequestError("'params' must be left out or empty: the model takes no parameters.")
    others = [key for key, value in request.items() if key not in (*found, "ids") and value not in (None, {})]
    if others:
        raise RequestError(
            f"Unknown key '{others[0]}' in the request. Next to '{found[0]}' only 'ids' is taken."
        )
    ids = request.get("ids")
    if ids is not None and not isinstance(ids, list):
        raise RequestError(f"'ids' must be a list of text, one per row, not {kind_of(ids)}.")
    return Batch(_FORMS[found[0]](request[found[0]], found[0], columns), ids)


def _split(content: Any, form: str, names: Sequence[str]) -> Rows:
    content = as_object(content, f"'{form}'")
    if unknown := [key for key in content if key not in ("columns", "data", "index")]:
        raise RequestError(f"Unknown key '{unknown[0]}' in '{form}'. It takes 'columns', 'data' and 'index'.")
    columns, data = content.get("columns"), content.get("data")
    if not isinstance(columns, list) or set(map(type, columns)) - {str}:
        raise RequestError(f"'{form}' needs 'columns', a list of names.")
    if not isinstance(data, list):
        raise RequestError(f"'{form}' needs 'data', a list of rows.")
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise RequestError(f"Column '{twice}' occurs twice.")
    return _by_position(data, columns)


def _records(content: Any, form: str, names: Sequence[str]) -> Rows:
    if not isinstance(content, list):
        raise RequestError(f"'{form}' must be a list of objects, not {kind_of(content)}.")
    if not content:
        raise RequestError(f"'{form}' has no rows; send at least one.")
    if set(map(type, content)) == {dict} and (rows := _of_objects(content)):
        return rows
    for row, record in enumerate(content):
        as_object(record, f"'{form}', row {row}:", hint=" of column → value")
        if record.keys() != content[0].keys():
            name = next(iter(record.keys() ^ content[0].keys()))
            raise RequestError(
                f"'{form}', row {row}: column '{name}' is in some rows and not in others. "
                f"Send null where a value is missing."
            )
    return Rows(tuple(content[0]), [tuple(record[name] for name in content[0]) for record in content])


def _of_objects(records: list[dict[str, Any]]) -> Rows | None:
    """None if they have not all the same keys, or so few that they cannot be got at once."""
    names = tuple(records[0])
    if len(records) == 1:
        return Rows(names, [tuple(records[0].values())])
    if len(names) < 2 or set(map(len, records)) != {len(names)}:
        return None
    try:
        return Rows(names, list(map(itemgetter(*names), records)))
    except KeyError:
        return None


def _instances(content: Any, form: str, names: Sequence[str]) -> Rows:
    """A list of objects, or of lists in the order of the model's columns."""
    if isinstance(content, list) and content and isinstance(content[0], list):
        return _by_position(content, names)
    return _records(content, form, names)


def _inputs(content: Any, form: str, names: Sequence[str]) -> Mapping[str, list[Any]]:
    """An object of column → values; else as `instances`."""
    if not isinstance(content, dict):
        return _instances(content, form, names)
    for name, values in content.items():
        if not isinstance(values, list):
            raise RequestError(f"'{form}': column '{name}' must be a list of values, not {kind_of(values)}.")
    if len(set(map(len, content.values()))) != 1:
        return content
    return Rows(tuple(content), list(zip(*content.values(), strict=True)))


_FORMS: dict[str, Callable[[Any, str, Sequence[str]], Mapping[str, list[Any]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _by_position(data: list[Any], columns: Sequence[str]) -> Rows:
    if set(map(type, data)) != {list} or set(map(len, data)) != {len(columns)}:
        for row, values in enumerate(data):
            if not isinstance(values, list):
                raise RequestError(f"Row {row} must be a list of values, not {kind_of(values)}.")
            if len(values) != len(columns):
                raise RequestError(
                    f"Row {row} has {len(values)} values for {len(columns)} columns: {', '.join(columns)}."
                )
    return Rows(tuple(columns), data)


def answer(prediction: Prediction) -> dict[str, Any]:
    """Return the body of the answer: a number for each row, or an object of a task with several outputs."""
    return {
        "predictions": prediction.task.records(prediction.answer, prediction.label),
        "ids": list(prediction.ids),
        "model": prediction.model,
        "version": prediction.version,
    }


@cache
def mlflow_version() -> str:
    """Return the version of MLflow, as its own server does on `/version`."""
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return _SPOKEN
