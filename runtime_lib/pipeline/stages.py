"""What a stage of `dvc.yaml` runs: a function of the project's own `stages.py`, by name."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime_lib import settings as settings_file
from runtime_lib.data.columns import Kind
from runtime_lib.data.inputs import inputs_of
from runtime_lib.errors import MlopsError, PipelineError
from runtime_lib.pipeline.run_lock import die_with_the_run
from runtime_lib.secrets import guard, without_secrets
from runtime_lib.settings.params import read_params
from runtime_lib.task.kinds import task_of
from runtime_lib.task.task import Task

__all__ = ["Project", "Stages", "unwritten"]

# How a stage ends on Ctrl-C: 128 + SIGINT, as shells count.
_INTERRUPTED = 130


@dataclass(frozen=True)
class Project:
    """What a stage is given: the settings, and `params.yaml` as tables."""

    settings: settings_file.Settings
    params: Mapping[str, Any]

    @property
    def root(self) -> Path:
        return self.settings.root

    @property
    def task(self) -> Task:
        """What is predicted: the table `task` of params.yaml.

        Raises:
            SettingsError: the table names no known kind, or holds what a kind does not take.
        """
        return task_of(self.params)

    @property
    def inputs(self) -> dict[str, Kind]:
        """Which inputs are text or images: the table `inputs` of params.yaml.

        Raises:
            SettingsError: the table names an unknown kind, or a column twice.
        """
        return inputs_of(self.params)

    @classmethod
    def load(cls) -> Project:
        settings = settings_file.load()
        return cls(settings, read_params(settings.root))


class Stages(dict[str, Callable[[Project], None]]):
    """The project's stages by name; used as a decorator, and run from the command line."""

    def __call__(self, stage: Callable[[Project], None]) -> Callable[[Project], None]:
        self[stage.__name__] = stage
        return stage

    def main(self, argv: list[str] | None = None) -> None:
        """Run the stage named on the command line; a known error is printed without a traceback."""
        guard()
        names = sys.argv[1:] if argv is None else argv
        try:
            if len(names) != 1 or names[0] not in self:
                raise PipelineError(f"Name one stage of {', '.join(self)}; got {' '.join(names) or 'none'}.")
            die_with_the_run(os.environ)
            self[names[0]](Project.load())
        except MlopsError as error:
            print(without_secrets(f"Stage {' '.join(names)}: {error}"), file=sys.stderr)
            raise SystemExit(error.exit_code) from error
        except NotImplementedError as error:
            if not (sentence := unwritten(error)):
                raise
            print(f"Stage {' '.join(names)}: {sentence}", file=sys.stderr)
            raise SystemExit(MlopsError.exit_code) from error
        except KeyboardInterrupt as error:
            raise SystemExit(_INTERRUPTED) from error


def unwritten(error: NotImplementedError) -> str:
    """Say which function of the project is still to be written, and what it returns.

    Empty if `error` was raised by a package and not by a function below the `src/` of this project.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    try:
        path = Path(frame.f_code.co_filename).resolve().relative_to(settings_file.load().root.resolve())
    except ValueError:
        return ""
    if path.parts[0] != "src":
        return ""
    return f"write {frame.f_code.co_name}() in {path.as_posix()}: {error}."
