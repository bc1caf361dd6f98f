"""Processes that ask for leases: what they say, and when they hold or end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from runtime_lib.hardware.share.lease import holders

# Holds a lease until its stdin ends; says "got" once it has it.
WORK = """
import json, sys
from runtime_lib.hardware.share.lease import lease
with lease(**json.loads(sys.argv[1])):
    print("got", flush=True)
    sys.stdin.read()
"""
Ask = Callable[..., "subprocess.Popen[str]"]


def got(process: subprocess.Popen[str]) -> float:
    """Wait until it holds its lease; return when that was."""
    assert process.stdout
    assert process.stdout.readline() == "got\n", process.communicate()[1]
    return time.monotonic()


def why(process: subprocess.Popen[str]) -> str:
    """Wait for its next line on stderr."""
    assert process.stderr
    return process.stderr.readline()


def end(process: subprocess.Popen[str]) -> float:
    assert process.stdin
    process.stdin.close()
    return time.monotonic()


def projects() -> list[str]:
    return [found.project for found in holders()]


def in_child(work: Callable[[], None]) -> int:
    """Fork, work, and return how it ended (negative: the signal)."""
    child = os.fork()
    if not child:
        code = 99
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
