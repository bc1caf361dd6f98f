"""`mlops run`: the stages through DVC, then the gate."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime_lib.errors import SettingsError
from runtime_lib.files import atomic_file
from runtime_lib.pipeline.dvc import reproduce
from runtime_lib.pipeline.graph import read_graph
from runtime_lib.pipeline.refresh import INGEST, Refresh
from runtime_lib.pipeline.run_lock import hold
from runtime_lib.settings import Settings
from runtime_lib.settings.read import FILE
from runtime_lib.task.kinds import gate_metric, read_task

__all__ = ["run", "set_params"]


def run(
    settings: Settings,
    *,
    stages: Sequence[str] = (),
    changes: Sequence[str] = (),
    force: bool = False,
    refresh: Sequence[str] = (),
) -> list[str]:
    """Run what is out of date and return the names of the stages that ran.

    Args:
        changes: of params.yaml, see `set_params`; made once no other run is under way, which would
            otherwise record the new values for what it trained with the old ones.
        stages: run just these, as a task of an orchestrator does (default: all, in order).
        force: run even what did not change; every month is read from the source again.
        refresh: months to read again although neither code nor parameters changed; also `late`, the months
            that were read before their labels were complete, and `all`.

    Raises:
        SettingsError: a parameter, stage or month is unknown, or this is another project's environment.
        PipelineError: a stage failed, or another run is under way.
    """
    _check_environment(settings.root)
    graph = read_graph(settings.root / "dvc.yaml")
    if unknown := [stage for stage in stages if stage not in graph.stages]:
        raise SettingsError(f"dvc.yaml has no stage '{unknown[0]}'. Known: {', '.join(graph.stages)}.")
    if refresh and INGEST not in (stages or graph.stages):
        raise SettingsError(
            f"--refresh reads months again in the stage {INGEST}, which is not to run. Name it as well, "
            f"or leave out --stage."
        )
    gate_metric(settings, read_task(settings))  # a wrong one is said before an hour of training, not after
    # dvc.yaml says `python`: it must be this one, even where no environment is activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with hold(settings.lock("run")):
        if changes:
            set_params(settings.root / "params.yaml", changes)
        if INGEST not in (stages or graph.stages):
            return reproduce(settings.root, stages, only=bool(stages), force=force)
        ingest = Refresh(settings)
        if force:
            return ingest.force(stages)
        first = ingest.run(refresh, upstream=() if stages else graph.upstream[INGEST])
        rest = [stage for stage in stages if stage != INGEST]
        if stages and not rest:
            return first
        return [*first, *reproduce(settings.root, rest, only=bool(stages))]


def _check_environment(root: Path) -> None:
    """Refuse the environment of the project that this one was copied from: it holds that one's code."""
    home = Path(sys.prefix).resolve()
    copied = home.name == ".venv" and home.parent != root and (home.parent / FILE).is_file()
    if copied and (root / ".venv").is_dir():
        raise SettingsError(
            f"This runs the code of {home.parent}: .venv was copied with the project and still points there. "
            f"Make its own with `rm -r .venv && uv sync`, then run again."
        )


def set_params(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    """Change values of a `params.yaml` in place, keeping its comments and order.

    Args:
        changes: `table.key=value`, the value in YAML.

    Raises:
        SettingsError: not of that form, or a key that the file does not have.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    document = yaml.load(path.read_text(encoding="utf-8"))
    done: dict[str, Any] = {}
    for change in changes:
        place, separator, text = change.partition("=")
        *tables, key = place.strip().split(".")
        try:
            value = yaml.load(text)
        except YAMLError as error:
            raise SettingsError(f"--set {change}: {text!r} is not a YAML value.") from error
        target = document
        for table in tables:
            target = target.get(table) if isinstance(target, Mapping) else None
        if not separator or not isinstance(target, Mapping) or key not in target:
            raise SettingsError(
                f"--set {change}: {path.name} has no '{place}'. Write table.key=value; "
                f"known: {_keys(document)}."
            )
        target[key] = done[place] = value  # type: ignore[index]
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)
    return done


def _keys(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{table}.{key}" for table, keys in document.items() if isinstance(keys, Mapping) for key in keys
    )
