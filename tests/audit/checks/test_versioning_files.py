"""V5 to V9: remotes, secrets, data in git, outputs of notebooks, origin of models."""

from __future__ import annotations

import json

import pytest

from tests.audit.checks.test_reproducibility_places import book

TRAIN = "from sklearn.svm import SVC\nSVC().fit(x, y)\n"
DVC = {"x.csv.dvc": "outs:\n- md5: aa\n  path: x.csv\n", "train.py": TRAIN}


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ("['remote \"a\"']\n    url = s3://bucket/x\n", "pass"),
        ("['remote \"a\"']\n    url = ../storage\n", "partial"),
        ("[core]\n", "fail"),
    ],
)
def test_a_remote_of_data(ask, config, verdict):
    assert ask("V5", {**DVC, ".dvc/config": config}).verdict == verdict
    assert ask("V5", {"train.py": TRAIN, ".dvc/config": config}).verdict == "n/a"


# Put together here, so that nobody takes them for keys.
AWS = "AKIA" + "Q3EGRIXKPLWMZCVB"
HUB = "hf_" + "kQzWvTrPnLmXcBdFgHjKsYuEiOaZxCvBnM"
KEY = "-----BEGIN " + "RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 40


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"a.py": f"KEY = '{AWS}'\n"}, "fail"),
        ({"a.py": "KEY = 'AKIAIOSFODNN7EXAMPLE'\n"}, "pass"),
        ({"a.yaml": f"token: {HUB}\n"}, "fail"),
        ({"run.sh": f"export TOKEN={HUB}\n"}, "fail"),
        ({"tests/test_a.py": f"KEY = '{AWS}'\n"}, "pass"),
        ({".env": "DB_PASSWORD=Tr0ub4dor3x\n"}, "fail"),
        ({".env": "# DB_PASSWORD=Tr0ub4dor3x\nDB_PASSWORD=\n"}, "pass"),
        ({".env": "DB_PASSWORD=${SECRET_FROM_VAULT}\n"}, "pass"),
        ({".env.example": "DB_PASSWORD=Tr0ub4dor3x\n"}, "pass"),
        ({"sa.json": json.dumps({"type": "service_account", "private_key": KEY})}, "fail"),
        ({"sa.json": json.dumps({"type": "service_account", "private_key": "…"})}, "pass"),
        ({".dvc/config.local": "['remote \"a\"']\n    secret_access_key = x\n"}, "fail"),
        ({"a.py": "PATTERN = r'-----BEGIN RSA PRIVATE KEY-----'\n"}, "pass"),
        ({}, "n/a"),
    ],
)
def test_passwords_and_keys(ask, files, verdict):
    assert ask("V6", files).verdict == verdict


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"model.pkl": b"\0" * 200_000}, "fail"),
        ({"model.pkl": b"\0" * 2_000}, "pass"),
        ({"data.csv": b"1\n" * 600_000}, "fail"),
        ({"data.csv": b"1\n"}, "pass"),
        ({"mlflow.db": b"\0" * 5_000}, "fail"),
        ({"big.md": b"x" * 2_000_000}, "pass"),
        ({}, "n/a"),
    ],
)
def test_data_in_git(ask, files, verdict):
    assert ask("V7", files).verdict == verdict


def test_outputs_of_notebooks(ask):
    clean, full = book(("a", None, False)), book(("a", 1, True))
    hook = {".pre-commit-config.yaml": "repos:\n- repo: x\n  hooks:\n  - id: nbstripout\n"}
    assert ask("V8", {"a.ipynb": clean}).verdict == "pass"
    assert ask("V8", {"a.ipynb": full}).verdict == "fail"
    assert ask("V8", {"a.ipynb": full, **hook}).verdict == "partial"
    assert ask("V8", {"a.ipynb": clean, **hook}).verdict == "pass"
    assert ask("V8", {"a.py": ""}).verdict == "n/a"


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"train.py": TRAIN}, "fail"),
        ({"train.py": "import mlflow\nmlflow.start_run()\nmlflow.log_metric('a', 1)\n" + TRAIN}, "partial"),
        ({"train.py": "import git\nsha = git.Repo('.').head.object.hexsha\n" + TRAIN}, "partial"),
        ({**DVC, "train.py": "import os\nos.system('git rev-parse HEAD')\n" + TRAIN}, "pass"),
        (DVC, "partial"),
        ({"a.py": "x = 1\n"}, "n/a"),
    ],
)
def test_origin_of_models(ask, files, verdict):
    assert ask("V9", files).verdict == verdict
