"""R6 to R9: images, paths of one machine, installs by hand, cells out of order."""

from __future__ import annotations

import json

import pytest

FREEZE = "requests==2.31\ncertifi==2023\nidna==3\nurllib3==2\ncharset-normalizer==3\n"
UV = '[[package]]\nname = "numpy"\nversion = "1.26.0"\n'


def book(*cells):
    """A notebook of (source, count, has an output)."""
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": {},
                    "source": source,
                    "execution_count": count,
                    "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}] if output else [],
                }
                for source, count, output in cells
            ],
        },
        indent=1,
    )


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"a.py": ""}, "n/a"),
        ({"Dockerfile": "FROM python:3.11\nCOPY . .\n"}, "n/a"),
        ({"Dockerfile": "RUN pip install -r requirements.txt", "requirements.txt": "numpy\n"}, "fail"),
        ({"Dockerfile": "RUN pip install \\\n  -r requirements.txt\n", "requirements.txt": FREEZE}, "pass"),
        ({"Dockerfile": "RUN pip install uv && uv sync --frozen\n", "uv.lock": UV}, "pass"),
        ({"Dockerfile": "RUN uv sync\n"}, "fail"),
        ({"Dockerfile": "# RUN uv sync\nRUN pip install numpy\n", "uv.lock": UV}, "fail"),
        ({"Dockerfile": "RUN uv sync\n", "b/Dockerfile": "RUN pip install x\n", "uv.lock": UV}, "partial"),
    ],
)
def test_images_from_a_lock(ask, files, verdict):
    assert ask("R6", files).verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("/home/anna/data/x.csv", "fail"),
        ("/Users/anna/x", "fail"),
        ("C:\\\\Users\\\\Anna B\\\\x", "fail"),
        ("D:/data/x.csv", "fail"),
        ("data/home/x", "pass"),
        ("/home/jovyan/work", "pass"),
        ("/home/user/x", "pass"),
        ("s3://home/anna/x", "pass"),
        ("/api/Users/anna/x", "pass"),
        ("T:/", "pass"),
    ],
)
def test_paths_of_one_machine(ask, text, verdict):
    assert ask("R7", {"a.py": f"x = '{text}'\n"}).verdict == verdict
    assert ask("R7", {"a.py": "x = 1\n", "tests/test_a.py": f"x = '{text}'\n"}).verdict == "pass"
    assert ask("R7", {"a.py": f"# {text}\nx = 1\n"}).verdict == "pass"


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("pip install numpy", "fail"),
        ("pip install -q -U numpy pandas==1", "fail"),
        ("pip install numpy==1.26", "pass"),
        ("pip install 'numpy>=1'", "pass"),
        ("pip install -r requirements.txt", "pass"),
        ("pip install --upgrade pip setuptools", "pass"),
        ("pip install .", "pass"),
        ("pip install -e .[dev]", "pass"),
        ("pip install ./lib", "pass"),
        ("pip install --index-url https://x torch==2.0", "pass"),
    ],
)
def test_installs_by_hand(ask, command, verdict):
    assert ask("R8", {"Dockerfile": f"FROM x\nRUN {command}\n"}).verdict == verdict
    assert ask("R8", {"a.ipynb": book((f"!{command}\nimport os", 1, False))}).verdict == verdict
    assert ask("R8", {"a.py": ""}).verdict == "n/a"


def test_cells_in_order(ask):
    good = book(("a", 1, False), ("b", 2, False), ("c", None, False))
    mixed = book(("a", 5, False), ("b", 2, False))
    assert ask("R9", {"a.ipynb": good}).verdict == "pass"
    assert ask("R9", {"a.ipynb": mixed}).verdict == "fail"
    assert ask("R9", {"a.ipynb": good, "b.ipynb": mixed}).verdict == "partial"
    assert ask("R9", {"a.ipynb": book(("a", None, False))}).verdict == "n/a"
