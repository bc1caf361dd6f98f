"""The `mlops` command: parses, calls, prints. Logic is in the rooms that it calls."""

from __future__ import annotations

import os
import sys

from runtime_lib.errors import MlopsError
from runtime_lib.secrets import guard

__all__ = ["main"]


def main() -> None:
    """Run the command line; a known error is printed without a traceback and sets the exit code."""
    from runtime_lib.cli.app import app
    from runtime_lib.cli.output import INTERRUPTED, complain

    guard()
    try:
        app()
    except MlopsError as error:
        complain(str(error))
        raise SystemExit(error.exit_code) from error
    except OSError as error:
        if error.errno is None:  # a library's own error that only inherits from it
            raise
        complain(f"The system refuses it: {error}.")
        _let_go_of_stdout()
        raise SystemExit(1) from error
    except SystemExit as end:
        if end.code == INTERRUPTED:
            complain("Interrupted. Nothing half-written is left; run the same command again to go on.")
        raise


def _let_go_of_stdout() -> None:
    """Forget what cannot be written: Python would try once more when it ends, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
