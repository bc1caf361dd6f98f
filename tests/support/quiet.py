"""MLflow as the library has it: it reads while it is imported whether it may phone home."""

from __future__ import annotations

import os

from runtime_lib.tracking.store import QUIET


def quiet_mlflow() -> None:
    """Call before MLflow is imported, which no test module does at its top."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
