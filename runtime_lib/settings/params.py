"""The parameters of the pipeline: `params.yaml` in the project's folder, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_lib.errors import SettingsError

__all__ = ["read_params"]


def read_params(root: Path) -> dict[str, Any]:
    """Read `params.yaml` in the project's folder as tables.

    Raises:
        SettingsError: it cannot be read, or holds no tables.
    """
    import yaml

    path = root / "params.yaml"
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not isinstance(params, dict):
        raise SettingsError(f"{path} must hold tables of parameters, not {params!r}.")
    return params
