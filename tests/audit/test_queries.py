"""Questions to the index: calls by pattern, imports, what is reached, commands, keys, files."""

from __future__ import annotations

import pytest

from runtime_lib.audit import queries
from runtime_lib.audit.index import index


@pytest.fixture
def repo(tree):
    return index(
        tree(
            {
                "a.py": """
                    import mlflow
                    from sklearn.ensemble import RandomForestClassifier as Forest

                    from lib.steps import prepare

                    model = Forest().fit(*prepare())
                    mlflow.log_metric("a", 1)
                    if False:
                        mlflow.log_param("b", 2)
                    """,
                "lib/__init__.py": "",
                "lib/steps.py": "from lib import deep\n\n\ndef prepare():\n    return deep.load()\n",
                "lib/deep.py": "def load():\n    return 1\n",
                "other/deep.py": "import torch\n",
                "models/torch.py": "x = 1\n",
                "book.py": "import other.deep\n",
                "conf/dvc.yaml": "stages:\n  train:\n    cmd: python a.py\n  other:\n    cmd: ls\n",
                "Dockerfile": "FROM python:3.11\nHEALTHCHECK CMD curl localhost\n",
                ".github/workflows/ci.yml": """
                    on: [push]
                    jobs:
                      one:
                        runs-on: x
                        steps:
                          - uses: actions/checkout@v4
                          - run: pytest -q
                    """,
                ".github/workflows/night.yml": """
                    on:
                      schedule:
                        - cron: "0 0 * * *"
                    jobs:
                      two:
                        runs-on: x
                        steps:
                          - run: python a.py
                      off:
                        if: false
                        runs-on: x
                        steps:
                          - run: python a.py --off
                    """,
            }
        )
    )


def named(repo, *patterns, **more):
    return [call.name for _, call in queries.calls(repo, *patterns, **more)]


def test_a_star_stands_for_any_text_and_a_question_mark_for_itself(repo):
    fit = "sklearn.ensemble.RandomForestClassifier().fit"
    assert named(repo, "*.fit") == named(repo, "sklearn.*().fit") == named(repo, "*Forest*.fit") == [fit]
    assert named(repo, "sklearn.*") == [fit, fit.removesuffix("().fit")]
    assert named(repo, "?.fit", "fit", "sklearn") == []
    assert named(repo, "mlflow.log_*") == ["mlflow.log_metric"]
    assert named(repo, "mlflow.log_*", live=False) == ["mlflow.log_metric", "mlflow.log_param"]
    assert named(repo, "mlflow.*", within=["lib/deep.py"]) == []


def test_an_import_counts_for_the_package_and_what_is_in_it(repo):
    found = {module.path: one.what for module, one in queries.imports(repo, "sklearn.ensemble", "torch")}
    assert found == {
        "a.py": "import sklearn.ensemble.RandomForestClassifier",
        "other/deep.py": "import torch",
    }
    assert not [*queries.imports(repo, "sklearn.ens", "torch", within=["a.py"])]


def test_what_is_imported_by_way_of_others_is_reached(repo):
    assert queries.reached(repo, ["a.py"]) == {"a.py", "lib/steps.py", "lib/deep.py"}
    # A module that is called like a package does not stand in for it elsewhere.
    assert queries.reached(repo, ["book.py"]) == {"book.py", "other/deep.py"}
    assert queries.reached(repo, ["no such.py"]) == set()


def test_of_several_modules_with_a_name_the_nearest_is_meant(tree):
    files = {f"{team}/src/{name}.py": "import utils\n" for team in "ab" for name in ("train", "utils")}
    repo = index(tree(files))
    assert queries.reached(repo, ["a/src/train.py"]) == {"a/src/train.py", "a/src/utils.py"}


def test_commands_are_those_of_jobs_that_run(repo):
    assert [one.text for *_, one in queries.commands(repo)] == ["pytest -q", "python a.py"]
    assert [job.name for _, job, _ in queries.commands(repo, "python", kinds=["schedule"])] == ["two"]
    assert not [*queries.commands(repo, "python", kinds=["push"])]
    assert [(name, line) for _, _, name, line in queries.uses(repo, "checkout")] == [
        ("actions/checkout@v4", 6)
    ]


def test_keys_are_found_in_documents_with_their_lines(repo):
    found = [(doc.path, one.value, one.line) for doc, one in queries.entries(repo, "stages.*.cmd")]
    assert found == [("conf/dvc.yaml", "python a.py", 3), ("conf/dvc.yaml", "ls", 5)]
    assert [one.value for _, one in queries.entries(repo, "*cmd", within="dvc.yaml")] == ["python a.py", "ls"]
    assert not [*queries.entries(repo, "*cmd", within="/dvc.yaml")]


def test_files_and_lines_by_pattern(repo):
    assert queries.files(repo, "DVC.yaml", "/a.py", "/steps.py") == ["a.py", "conf/dvc.yaml"]
    assert [(line, text) for _, line, text in queries.lines(repo, "^HEALTH", within="dockerfile*")] == [
        (2, "HEALTHCHECK CMD curl localhost")
    ]


def test_evidence_is_short_and_has_a_line():
    one = queries.at("a.py", 0, "x\n  y" + "z" * 200)
    assert (one.line, len(one.what), one.what[:5]) == (1, 120, "x yzz")


def test_what_is_found_of_a_repository_is_kept_with_it(tree):
    asked = []
    ask = queries.once(lambda repo: asked.append(repo.name) or len(asked))
    one, other = index(tree({"a.py": "x = 1\n"})), index(tree({"a.py": "x = 1\n"}))
    assert [ask(one), ask(other), ask(one)] == [1, 2, 1]
