"""What a model takes and answers, as JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime_lib.serving.page.examples import size_of

if TYPE_CHECKING:
    from runtime_lib.data.columns import Column
    from runtime_lib.task.task import Task

__all__ = ["Schema", "answers", "requests", "row_of", "row_of_raw", "tensors"]

Schema = dict[str, Any]


def row_of(columns: Sequence[Column], example: Mapping[str, Any]) -> Schema:
    """A row as an object of column → value."""
    return _object({column.name: _column(column, example[column.name]) for column in columns})


def _column(column: Column, example: Any) -> Schema:
    missing = " Send null where it is missing." if column.nullable else ""
    if column.is_image:
        size = f"{size_of(column.shape)} pixels" if column.shape else "pixels"
        words = f"An image as nested lists: {size}, 0 to {column.largest}."
        # Or as it is in the features: one flat list, and its shape.
        found: Schema = {"type": ["array", "object", *(["null"] if column.nullable else [])]}
        return {**found, "description": words + missing}
    types, words = _OF_KIND[column.kind]
    found = {"type": [*types, *(["null"] if column.nullable else [])], "examples": [example]}
    return {**found, "description": words + missing}


# A feature may well be a yes or no: true is 1.
_OF_KIND = {
    "number": (("number", "boolean"), "A number."),
    "category": (("string",), "A category, as text."),
    "text": (("string",), "Text."),
}


def row_of_raw(types: Mapping[str, str]) -> Schema:
    """A raw row; which columns may be left out only `features` knows.

    Args:
        types: column → its type in the raw months, see `data/raw.py`.
    """
    return {**_object({name: _raw(kind) for name, kind in types.items()}), "required": []}


def _raw(kind: str) -> Schema:
    zone = "" if "," in kind else " without an offset"
    kinds: dict[str, tuple[Sequence[str], str]] = {
        "datetime64": (("string",), f"A time as ISO 8601 writes it{zone}."),
        "timedelta64": (("string",), "A span of time."),
        "date": (("string",), "A date as ISO 8601 writes it."),
        "decimal": (("string", "number"), "A decimal number, as text."),
        "bool": (("boolean",), "True or false."),
        "int": (("integer",), "A whole number."),
        "uint": (("integer",), "A whole number."),
        "float": (("number",), "A number."),
        "str": (("string",), "Text."),
    }
    found = next((told for start, told in kinds.items() if kind.lower().startswith(start)), None)
    return {"type": [*found[0], "null"], "description": found[1]} if found else {"description": "A value."}


def requests(row: str, names: Sequence[str], max_rows: int, *, complete: bool = True) -> Schema:
    """The four bodies of MLflow's scoring protocol.

    Args:
        row: the reference of a row's schema. names: of its columns, in the model's order.
        complete: whether every column must be sent.
    """
    many = {"minItems": 1, "maxItems": max_rows}
    width = {"minItems": len(names), "maxItems": len(names)}
    some = width if complete else {**width, "minItems": 1}
    records = {"type": "array", "items": {"$ref": row}, **many}
    lists = {"type": "array", "items": {"type": "array", **width}, **many}
    split = _object(
        {
            "columns": {"type": "array", "items": {"enum": [*names]}, "uniqueItems": True, **some},
            "data": {"type": "array", "items": {"type": "array", **some}, **many},
            "index": {"description": "Ignored."},
        }
    )
    columns = _object({name: {"type": "array", **many} for name in names})
    if not complete:
        columns = {**columns, "required": [], "minProperties": 1}
    forms = {
        "dataframe_records": records,
        "dataframe_split": {**split, "required": ["columns", "data"]},
        "instances": {"anyOf": [records, lists]},
        "inputs": {"anyOf": [columns, records, lists]},
    }
    beside = {
        "ids": {
            "description": "A name for each row, to join its label by later. Made up if not sent.",
            "type": ["array", "null"],
            "items": {"type": "string", "minLength": 1},
            "uniqueItems": True,
            **many,
        },
        "params": {"description": "No parameters are taken.", "type": ["object", "null"], "maxProperties": 0},
    }
    return {
        "oneOf": [{**_object({form: each, **beside}), "required": [form]} for form, each in forms.items()]
    }


def answers(task: Task, versions: Sequence[str]) -> tuple[Schema, dict[str, Any]]:
    """The answer to each of those bodies, and an example."""
    record = _record(task)
    example = {"predictions": [record], "ids": ["row-1"], "model": "", "version": versions[0]}
    words = {
        "predictions": "One for each row, in the order of the rows.",
        "ids": "The rows' names in the prediction log.",
        "model": "Its name.",
        "version": "The version that answered.",
    }
    schema = _object(
        {
            "predictions": {"type": "array", "items": {**_like(record, task), **_meaning(task)}},
            "ids": {"type": "array", "items": {"type": "string"}},
            "model": {"type": "string"},
            "version": {"type": "string"},
        },
        closed=False,
    )
    for name, told in words.items():
        schema["properties"][name]["description"] = told
    return schema, example


def _record(task: Task) -> Any:
    """What the task itself makes of an answer: no kind of task has to be known here."""
    import numpy as np

    outputs = len(task.outputs)
    answer = np.full(1 if task.flat else (1, outputs), 0.25 if task.flat else round(1 / outputs, 4))
    return task.records(answer, None)[0]


def _meaning(task: Task) -> Schema:
    if not task.flat:
        return {}
    what = task.outputs[0] + (f" of label {task.class_names[-1]}" if task.class_names else "")
    return {"description": f"It is the {what}."}


def _like(value: Any, task: Task) -> Schema:
    """The schema of values that are made as this one is."""
    if isinstance(value, dict):
        return _object({name: _like(each, task) for name, each in value.items()}, closed=False)
    if isinstance(value, str):
        return {"enum": [*task.class_names]} if value in task.class_names else {"type": "string"}
    # Of a task with classes every number is a probability.
    return {"type": "number", **({"minimum": 0, "maximum": 1} if task.class_names else {})}


def tensors(columns: Sequence[Column], task: Task) -> tuple[Schema, Schema]:
    """The request and the answer of the Open Inference Protocol."""
    datatypes = {"enum": ["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"]}
    shape = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 4}
    names = [column.name for column in columns]
    outputs = [*task.outputs, *(["label"] if task.class_names else []), "prediction_id"]
    tensor = {"shape": shape, "datatype": datatypes, "data": {"type": "array"}}
    wanted = _object({"name": {"enum": outputs}}, closed=False)
    ask = _object(
        {
            "id": {"description": "Row i is named <id>/i.", "type": ["string", "null"], "minLength": 1},
            "inputs": {
                "description": "One tensor for each column, of shape [n] or [n, 1].",
                "type": "array",
                "items": _object({"name": {"enum": names}, **tensor}, closed=False),
                "minItems": len(names),
                "maxItems": len(names),
            },
            "outputs": {
                "description": "Those that are wanted; all, if left out.",
                "type": ["array", "null"],
                "items": wanted,
            },
        },
        closed=False,
    )
    told = _object(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {
                "type": "array",
                "items": _object({"name": {"enum": outputs}, **tensor}, closed=False),
            },
        },
        closed=False,
    )
    return {**ask, "required": ["inputs"]}, {**told, "required": ["model_name", "model_version", "outputs"]}


def _object(properties: Mapping[str, Any], *, closed: bool = True) -> Schema:
    """An object that has all of these; only these, if it is closed."""
    found = {"type": "object", "properties": dict(properties), "required": [*properties]}
    return {**found, "additionalProperties": False} if closed else found
