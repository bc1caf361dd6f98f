"""Source archives of packages, brought as they are: nothing of them is built or run."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["NoIndex", "bring"]

# pip finds and downloads; its `download` would run the package's own setup to learn its dependencies.
PIP = "pip==25.3"
FIND = """
import pathlib, sys
from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet

command = create_command("download")
options, _ = command.parse_args(["--no-binary", ":all:", "any"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    for wanted in sys.argv[2:]:
        name, _, version = wanted.partition("==")
        link = finder.find_best_candidate(name, SpecifierSet("==" + version)).best_candidate.link
        answer = session.get(link.url_without_fragment)
        answer.raise_for_status()
        (pathlib.Path(sys.argv[1]) / f"{name}.tar.gz").write_bytes(answer.content)
"""


class NoIndex(Exception):
    """No index of packages can be reached from here."""


def bring(wanted: Sequence[tuple[str, str, str]], folder: Path) -> dict[str, Path]:
    """Download and unpack archives into `folder`; return name → the archive's own folder.

    Args:
        wanted: (name, version, SHA-256 of the archive).

    Raises:
        NoIndex: they cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pins = [f"{name}=={version}" for name, version, _ in wanted]
    run = ["uv", "run", "--isolated", "--no-project", "--with", PIP, "python", "-c", FIND, str(folder), *pins]
    done = subprocess.run(run, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise NoIndex(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word")
    return {name: _unpack(folder, name, digest) for name, _, digest in wanted}


def _unpack(folder: Path, name: str, digest: str) -> Path:
    archive = folder / f"{name}.tar.gz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == digest, f"{name}: the archive is not the one that was labelled"
    target = folder / name
    with tarfile.open(archive) as packed:
        packed.extractall(target, filter="data")
    archive.unlink()
    return next(path for path in target.iterdir() if path.is_dir())
