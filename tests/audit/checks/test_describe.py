"""P1 to P4: what the repository is, with what shows it."""

from __future__ import annotations

import pytest

TRAIN = "from sklearn.svm import SVC\nSVC().fit(1, 2)\n"


@pytest.mark.parametrize(
    ("id", "files", "verdict", "value"),
    [
        ("P1", {"train.py": TRAIN}, "pass", ["scikit-learn"]),
        ("P1", {"a.py": "x = 1\n"}, "n/a", None),
        ("P2", {"a.py": "x = 1\n"}, "n/a", 0.0),
        ("P3", {"app.py": "import flask\nmodel.predict(1)\n"}, "pass", ["api"]),
        ("P3", {"train.py": TRAIN}, "n/a", ["none"]),
        ("P4", {"cookiecutter.json": "{}", "a.py": "x = 1\n"}, "pass", "template"),
        ("P4", {"train.py": TRAIN}, "pass", "project"),
    ],
)
def test_what_it_is(ask, id, files, verdict, value):
    found = ask(id, files)
    assert (found.verdict, found.value) == (verdict, value)


def test_it_says_what_shows_it(ask):
    found = ask("P1", {"lib/a.py": "import os\n\n" + TRAIN})
    assert [(one.path, one.line) for one in found.evidence] == [("lib/a.py", 4)]
