"""The table of tools: every line can be read, asked for, and found by each of its signs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from runtime_lib.audit import tools
from runtime_lib.audit.index import index
from runtime_lib.audit.tools import ROLES, SIGNS, named, used

TABLE = tomllib.loads((Path(tools.__file__).parent / "tools.toml").read_text(encoding="utf-8"))
ALL = [tool for role in ROLES for tool in named(role)]


def test_the_table_has_the_roles_and_signs_that_are_asked_for():
    assert tuple(TABLE) == ROLES
    assert {sign for role in TABLE.values() for tool in role.values() for sign in tool} <= set(SIGNS)


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: f"{tool.role}:{tool.name}")
def test_patterns_are_well_formed(tool):
    assert tool.name == tool.name.lower()
    assert all(name == re.sub(r"[-_.]+", "-", name).lower() for name in tool.packages)
    assert all(re.fullmatch(r"\w+(\.\w+)*", name) for name in tool.imports)
    # A pattern without any letters of its own would match whatever is called.
    assert all(re.search(r"[a-z]{2}|h2o", pattern) and " " not in pattern for pattern in tool.calls)
    assert all(re.compile(pattern) for pattern in (*tool.actions, *tool.commands))
    assert all(key.partition(":")[2] for key in tool.keys)


def test_each_sign_is_found(tree):
    repo = index(
        tree(
            {
                "train.py": "import wandb\nwandb.init()\n",
                "steps/Snakefile": "rule all:\n    input: 'a'\n",
                "dvc.yaml": "stages:\n  train:\n    cmd: python train.py\n",
                "requirements.txt": "mlflow==2.0\n",
                ".github/workflows/ci.yml": """
                    on: [push]
                    jobs:
                      a:
                        runs-on: x
                        steps:
                          - run: az ml model create --name x
                    """,
            }
        )
    )
    assert [(name, one.line) for name, one in used(repo, "tracker")] == [("wandb", 2)]
    assert [(name, one.line) for name, one in used(repo, "tracker", by=["imports"])] == [("wandb", 1)]
    assert [name for name, _ in used(repo, "tracker", by=["packages"])] == ["mlflow"]
    assert used(repo, "tracker", within=["other.py"]) == []
    found = {name: (one.path, one.line) for name, one in used(repo, "pipeline")}
    assert found == {"dvc": ("dvc.yaml", 3), "snakemake": ("steps/Snakefile", 1)}
    assert [name for name, _ in used(repo, "registry")] == ["azureml"]


def test_the_source_of_a_tool_is_no_use_of_it(tree):
    source = {"wandb/__init__.py": "def init():\n    pass\n", "wandb/cli.py": "import wandb\nwandb.init()\n"}
    assert used(index(tree(source)), "tracker", by=["calls", "imports"]) == []
    # A folder may be called like a package that is used.
    declared = {**source, "requirements.txt": "wandb==0.17\n"}
    assert [name for name, _ in used(index(tree(declared)), "tracker")] == ["wandb"]
    # Its own name among what it declares is for its extras.
    own = {**declared, "pyproject.toml": '[project]\nname = "wandb"\nversion = "1"\n'}
    assert used(index(tree(own)), "tracker") == []
