"""The model folder inside MLflow: files as they are, loaded by this module, nothing pickled.

MLflow imports this module by the name in `MLmodel` and calls `_load_pyfunc`; neither may be renamed.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Sequence
from functools import reduce
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.columns import Array, Column, check_rows
from runtime_lib.secrets import without_secrets
from runtime_lib.tracking.lineage import library_version
from runtime_lib.training.model import Model, read_columns, read_task

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

    from runtime_lib.task.task import Task

__all__ = ["FILES", "TRUSTED", "requirement", "save", "signature"]

FILES = Path("data") / "model"  # where the model folder lies below the one that holds MLmodel
TRUSTED = "MLOPS_TRUSTED"  # packages, by comma, whose architectures may be imported; not the model's to say


class _Predictor:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, data: pd.DataFrame, params: object = None) -> Array | pd.DataFrame:
        """Answer for feature columns: numbers `(n,)`, or a table where the task has several outputs."""
        import pandas as pd

        answer = self.model.predict(check_rows(data, self.model.columns))
        if self.model.task.flat:
            return answer
        label = self.model.decide(answer)
        columns = self.model.task.columns(answer)
        return pd.DataFrame(columns if label is None else {"label": label, **columns})


def save(path: Path, folder: Path, *, model_id: str, run_id: str) -> None:
    """Write an MLflow model to the new folder `path`; `folder` is a model folder named `model`."""
    import mlflow.pyfunc
    from mlflow.models import Model as Described

    # MLflow warns that there is no input example (the signature comes from the model) and no pip next to uv.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        mlflow.pyfunc.save_model(
            path,
            loader_module=__name__,
            data_path=str(folder),
            mlflow_model=Described(model_id=model_id, run_id=run_id),
            signature=signature(read_columns(folder), read_task(folder)),
            pip_requirements=[requirement()],  # finding them out by importing the model takes seconds
        )


def signature(columns: Sequence[Column], task: Task) -> ModelSignature:
    """Numbers are doubles, categories and text strings, images nested arrays of doubles.

    A column that may be null is optional.

    A single output has no name, several have those of the task, with the label first.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array as Nested

    def kind(column: Column) -> Any:
        found: Any = DataType.double if column.kind in ("number", "image") else DataType.string
        return reduce(lambda inner, _: Nested(inner), column.shape, found)

    inputs = Schema([ColSpec(kind(column), column.name, not column.nullable) for column in columns])
    if task.flat:
        return ModelSignature(inputs, Schema([ColSpec(DataType.double)]))
    label = [ColSpec(DataType.string, "label")] if task.class_names else []
    return ModelSignature(
        inputs, Schema([*label, *(ColSpec(DataType.double, name) for name in task.outputs)])
    )


def requirement() -> str:
    """The library as pip takes it: the commit that it was installed from, or its version."""
    name = "runtime-lib[auto,tracking]"
    try:
        origin = json.loads(distribution("runtime-lib").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return f"{name} @ git+{without_secrets(origin['url'])}@{commit}"  # a token was used to install
    return f"{name}=={library_version()}"


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> _Predictor:
    trusted = [package.strip() for package in os.environ.get(TRUSTED, "").split(",") if package.strip()]
    return _Predictor(Model.load(Path(path), trusted=trusted))
