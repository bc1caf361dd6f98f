"""Work on files that is killed before each of its steps, every time on another copy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.releases import REPOSITORY

__all__ = ["killed_at_each_step"]

# A process that forks has one thread and has imported what the work needs.
_KILL = """
import os, signal, sys
from pathlib import Path
from shutil import copytree
import pandas, pyarrow.parquet

def work_until(deadly):
    steps = 0

    def step(event, arguments):
        nonlocal steps
        if event in ("os.rename", "os.remove", "open") and ".pyc" not in str(arguments[0]):
            steps += 1
            if steps == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    work(copy)

folder, deadly, status = Path(sys.argv[1]), 0, 1
while status:
    deadly += 1
    copy = copytree(folder, folder.with_name(str(deadly)))
    if (child := os.fork()) == 0:
        work_until(deadly)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
"""


def killed_at_each_step(folder: Path, work: str) -> list[Path]:
    """Work on copies of a folder, killed before the first step, the second and so on until it is done.

    A step is a file that is opened, renamed or removed.

    Args:
        work: Python code that imports or defines `work(folder)`.

    Returns:
        The copies, which stand beside the folder.
    """
    subprocess.run([sys.executable, "-c", work + _KILL, str(folder)], cwd=REPOSITORY, check=True)
    return [path for path in folder.parent.iterdir() if path.name.isdigit()]
