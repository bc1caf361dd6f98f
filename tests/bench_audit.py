"""The audit of a generated repository: CPU seconds and peak memory, as the repository grows.

`nox -s bench` runs it last. By itself: `python tests/bench_audit.py [--turns N]`. Each turn is a process of
its own, from its start to its end. The best one counts: a machine that is shared gives few seconds at once.
Exits with 1 where a limit of the project is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.trees import plant

MOST_MB = 150


@dataclass(frozen=True)
class Size:
    """A repository: how many files, about how many lines of Python, and the CPU seconds that it may take."""

    files: int
    lines: int
    most: float


SIZES = (Size(1_000, 30_000, 1.0), Size(7_000, 180_000, 5.0))
# Of a thousand files; the others are data: one short line each.
SHARES = {
    ".py": 560,
    ".ipynb": 40,
    ".yaml": 90,
    ".json": 50,
    ".toml": 10,
    ".md": 120,
    ".sh": 30,
    "Dockerfile": 20,
}
AUDIT = """
import os, resource, sys
from pathlib import Path
from runtime_lib.audit.run import audit
audit(Path(sys.argv[1]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
"""
# About 5 nodes of syntax and 0.3 calls a line, as packages on PyPI have 4 to 6 and 0.2 to 0.35.
FUNCTION = '''
def {name}(frame, target, depth={number}, rate=0.1):
    """Fit a model and tell how good it is.

    Args:
        frame: rows of customers, a column for each of what is known of them.
        target: name of the column that is predicted.
        depth: of each tree; deeper ones learn more, and more by heart.
        rate: how much each step counts.

    Returns:
        the fitted pipeline, its scores on rows it has not seen, and the settings that it was made with.
    """
    # What is held out must not be seen by the scaler either.
    train, test = train_test_split(
        frame,
        test_size=0.2,
        random_state={number},
    )
    pipeline = make_pipeline(
        StandardScaler(),
        RandomForestClassifier(max_depth=depth, random_state=SEED),
    )
    pipeline.fit(train.drop(columns=target), train[target])

    scores = {{
        "roc_auc": roc_auc_score(test[target], pipeline.predict(test)),
        "rows": len(frame),
    }}
    # A model that is no better than a coin is not worth keeping.
    if scores["roc_auc"] < 0.{number}:
        raise ValueError(f"only {{scores['roc_auc']:.3f}} on {{len(test)}} rows")

    for key, value in scores.items():
        mlflow.log_metric(f"{name}_{{key}}", value)
    settings = {{
        "depth": depth,
        "rate": rate,
        "columns": [name for name in frame.columns if name != target],
    }}
    return pipeline, scores, settings

'''
HEAD = """from __future__ import annotations

import mlflow
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
{imports}
SEED = {number}
"""
CHART = """apiVersion: apps/v1
kind: Deployment
metadata: {name: model, labels: {app: model}}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: model
          image: acme/model:1.0
          ports: [{containerPort: 8000}]
          livenessProbe: {httpGet: {path: /health, port: 8000}}
"""
WORKFLOW = """on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy: {matrix: {python: ["3.11", "3.12"]}}
    steps:
      - uses: actions/checkout@v4
      - run: |
          pip install -r requirements.txt
          make test
      - run: bash scripts/deploy.sh
        if: github.ref == 'refs/heads/main'
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="processes of which the best counts")
    turns = parser.parse_args().turns
    table = Table("files", "lines of Python", "CPU seconds", "at most", "peak MB", "at most")
    kept = True
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            files = dict(generated(size))
            lines = sum(text.count("\n") for path, text in files.items() if path.endswith(".py"))
            root = plant(Path(folder) / "repository", files)
            measured = [measure(root) for _ in range(turns)]
        seconds, peak = (min(values) for values in zip(*measured, strict=True))
        kept = kept and seconds <= size.most and peak <= MOST_MB
        figures = (
            f"{len(files):,}",
            f"{lines:,}",
            f"{seconds:.2f}",
            f"{size.most:g}",
            f"{peak:.0f}",
            f"{MOST_MB}",
        )
        table.add_row(*figures)
    Console().print(table)
    if not kept:
        raise SystemExit(1)


def measure(root: Path) -> tuple[float, float]:
    """CPU seconds of an audit in a process of its own, and its peak of memory in MB."""
    shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]  # a process begins with the peak of whoever started it
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [*shell, sys.executable, "-c", AUDIT, str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def generated(size: Size) -> Iterator[tuple[str, str]]:
    """Files by path: packages of modules that import each other, tests, notebooks, charts, texts, data."""
    draw = random.Random(0)
    modules = size.files * SHARES[".py"] // 1_000
    functions = (size.lines / modules - HEAD.count("\n")) / FUNCTION.count("\n")
    for suffix, share in SHARES.items():
        for number in range(size.files * share // 1_000):
            folder = f"team{number % 40}/part{number % 7}"
            text = _text(suffix, number, draw, int((number + 1) * functions) - int(number * functions))
            test = suffix == ".py" and number % 6 == 0
            name = suffix if suffix == "Dockerfile" else f"{'test_' if test else 'item'}{number}{suffix}"
            path = (
                f"tests/{name}"
                if test
                else f"{folder}/{number}/{name}"
                if "." not in name
                else f"{folder}/{name}"
            )
            yield path, text
    yield "requirements.txt", "scikit-learn==1.5.1\nmlflow==2.14.0\npandas==2.2.2\n"
    yield "Makefile", "test:\n\tpytest -q tests\n"
    yield ".github/workflows/ci.yml", WORKFLOW
    written = sum(size.files * share // 1_000 for share in SHARES.values()) + 3
    yield from ((f"data/{number}.csv", "a,b,c\n1,2,3\n") for number in range(size.files - written))


def _text(suffix: str, number: int, draw: random.Random, functions: int) -> str:
    if suffix == ".py":
        imports = "\n".join(f"from team{n}.part{n % 7} import item{n}" for n in draw.sample(range(40), 3))
        body = "".join(FUNCTION.format(name=f"fit_{n}", number=draw.randint(2, 9)) for n in range(functions))
        return HEAD.format(imports=imports, number=number) + body
    if suffix == ".ipynb":
        fit = FUNCTION.format(name="fit", number=3)
        sources = [
            HEAD.format(imports="", number=number),
            fit,
            "frame = pd.read_csv('a.csv')\nframe.head()\n",
        ]
        sources += [f"frame['x{n}'].hist(bins=20)\n" for n in range(8)]
        output = {"output_type": "stream", "name": "stdout", "text": ["0.123456789\n"] * 400}
        cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [output]}
        cells = [{**cell, "source": source.splitlines(True)} for source in sources]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)
    if suffix == ".json":
        return json.dumps(
            [{"id": n, "name": f"row {n}", "value": draw.random()} for n in range(60)], indent=1
        )
    if suffix == ".toml":
        return f'[project]\nname = "part{number}"\nversion = "1.0"\ndependencies = ["pandas>=2"]\n'
    texts = {
        ".yaml": CHART,
        ".md": "# A part\n\nWhat it does, and how to run it.\n" * 20,
        ".sh": "#!/bin/sh\nset -e\npython train.py\n",
        "Dockerfile": "FROM python:3.12\nCOPY . .\nRUN pip install -r requirements.txt\nCMD python app.py\n",
    }
    return texts[suffix]


if __name__ == "__main__":
    main()
