"""The `mlops` command: parses, calls, prints. Logic lives in the rooms that it calls."""

from __future__ import annotations

import sys

from runtime_lib.errors import MlopsError

__all__ = ["main"]


def main() -> None:
    """Run the command line; a known error is printed without a traceback and sets the exit code."""
    from runtime_lib.cli.app import app

    try:
        app(standalone_mode=False)
    except MlopsError as error:
        _tell(str(error))
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _tell("Interrupted. Nothing half-written is left; run the same command again to go on.")
        raise SystemExit(130) from error


def _tell(message: str) -> None:
    print(f"mlops: {message}", file=sys.stderr)
