"""`mlops audit`: what it prints, where it writes, its exit codes, and what it makes of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from runtime_lib.audit.report.render import FORMS
from tests.support.audited import report_errors, sarif_errors
from tests.support.releases import REPOSITORY
from tests.support.trees import git

START = "import sys; sys.argv[0] = 'mlops'; from runtime_lib.cli import main; main()"
PROJECT = {
    "README.md": "# Delays\n",
    "requirements.txt": "scikit-learn\npandas\n",
    "train.py": """
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        rows = pd.read_csv("rows.csv")
        LogisticRegression().fit(rows[["a"]], rows["b"])
    """,
}


def audit(*words, cwd=None, code=0):
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MLOPS_")}
    variables |= {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}
    command = [sys.executable, "-c", START, "audit", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=500)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def report(*words, **more):
    found = json.loads(audit(*words, "--json", **more).stdout)
    assert report_errors(found) == []
    return found


@pytest.fixture
def project(tree) -> Path:
    return tree(PROJECT)


def test_a_person_sees_level_principles_and_steps(project):
    said = audit(project).stdout
    assert said.startswith("Level 0 of 3, manual · ")
    names = ["Automation", "Versioning", "Tracking", "Testing", "Monitoring", "Reproducibility", "What to do"]
    places = [said.index(name) for name in names]
    assert places == sorted(places)
    assert "train.py:" in said


def test_a_program_reads_json(project):
    found = report(project)
    assert found["repository"]["name"] == project.name
    assert found["repository"]["commit"] == git(project, "rev-parse", "HEAD").strip()
    assert found["level"] == 0
    assert found["facts"]["environment"]["value"] == "ranges"
    assert "audit: " not in json.dumps(found["notes"])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_goes_to_a_file(project, tmp_path, form):
    out = tmp_path / "out"
    done = audit(project, "--format", form, "--output", out)
    assert done.stdout == ""
    assert out.read_text(encoding="utf-8").endswith("\n")
    if form == "sarif":
        log = json.loads(out.read_text())
        assert sarif_errors(log) == []
        for one in log["runs"][0]["results"]:
            uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            assert (project / uri).is_file()


def test_the_report_of_the_terminal_goes_to_a_file_without_colours(project, tmp_path):
    audit(project, "--output", tmp_path / "out")
    assert (tmp_path / "out").read_text().startswith("Level 0 of 3")
    assert "\x1b" not in (tmp_path / "out").read_text()


def test_nothing_is_written_into_the_folder_and_nothing_is_run(tree):
    root = tree({**PROJECT, "conftest.py": "import pathlib; pathlib.Path(__file__).with_name('ran').touch()"})
    before = sorted(root.rglob("*"))
    audit(root)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "options",
    [("--fail-on", "low"), ("--min-level", "1"), ("--min-score", "5"), ("--min-level", "3", "--json")],
)
def test_it_fails_where_it_is_asked_to(project, options):
    done = audit(project, *options, code=4)
    assert options[0] in done.stderr
    assert done.stdout


@pytest.mark.parametrize("options", [(), ("--min-level", "0"), ("--min-score", "0")])
def test_else_it_does_not_fail(project, options):
    audit(project, *options)


def test_a_library_has_no_level_to_be_below(tree):
    packaging = "[project]\nname = 'small'\nversion = '1'\n"
    root = tree({"pyproject.toml": packaging, "small/__init__.py": "def one(): return 1\n"})
    assert report(root)["level"] is None
    audit(root, "--min-level", "3")


def test_only_new_gaps_count_beside_a_baseline(project, tmp_path):
    baseline = tmp_path / "before.json"
    audit(project, "--json", "--output", baseline)
    audit(project, "--baseline", baseline, "--fail-on", "low")
    first = report(project, "--baseline", baseline)
    assert first["baseline"]["new"] == []
    assert first["baseline"]["known"]
    content = json.loads(baseline.read_text())
    content["checks"] = [one for one in content["checks"] if one["id"] != first["baseline"]["known"][0]]
    baseline.write_text(json.dumps(content))
    assert report(project, "--baseline", baseline)["baseline"]["new"] == first["baseline"]["known"][:1]
    assert "is damaged" in audit(project, "--baseline", project / "requirements.txt", code=1).stderr


def test_an_accepted_gap_is_shown_and_does_not_fail(tree):
    gaps = [one["id"] for one in report(tree(PROJECT))["recommendations"]]
    lines = "\n".join(f'{id} = "known, number {place}"' for place, id in enumerate(gaps))
    root = tree({**PROJECT, ".mlops-audit.toml": f"[accept]\n{lines}\n"})
    done = audit(root, "--fail-on", "low")
    assert f"Accepted {gaps[0]}: known, number 0" in done.stdout
    assert "Nothing to recommend" in done.stdout
    (root / ".mlops-audit.toml").write_text('[accept]\nA1 = ""\n')
    assert "needs a reason" in audit(root, code=2).stderr


def test_a_check_is_explained(tmp_path):
    said = audit("--explain", "a4", cwd=tmp_path).stdout
    assert said.startswith("A4 ")
    assert "Looks for: " in said
    assert json.loads(audit("--explain", "A4", "--json").stdout)["id"] == "A4"
    assert "There is no check 'Z9'" in audit("--explain", "Z9", code=2).stderr


def test_what_is_no_folder_is_refused(tmp_path, project):
    assert "does not exist" in audit(tmp_path / "none", code=2).stderr
    assert "is a file" in audit(project / "train.py", code=2).stderr
    audit(project, "--json", "--format", "html", code=2)
    audit(project, "--format", "pdf", code=2)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": "# Words\n"},
        {"main.go": "package main\n"},
        {"train.py": b"\xff\xfe\x00i\x00m", "broken.py": "def (:\n", "x.ipynb": "{", "dvc.yaml": "a: [\n"},
        {"loop": PurePosixPath("."), "out": PurePosixPath("/etc"), "gone": PurePosixPath("nowhere")},
        {"deep.yaml": "[" * 20_000, "deep.json": "[" * 20_000, "deep.py": "(" * 20_000},
        {"bomb.yaml": "- &a0 [x, x]\n" + "".join(f"- &a{n + 1} [*a{n}, *a{n}]\n" for n in range(24))},
    ],
    ids=["empty", "words", "go", "damaged", "links", "deep", "bomb"],
)
@pytest.mark.parametrize("commit", [True, False])
def test_bad_input_gives_a_report(tree, files, commit):
    found = report(tree(files, commit=commit))
    assert found["level"] in (None, 0)
    assert "the check failed" not in json.dumps(found["checks"])


def test_a_damaged_git_folder_gives_a_report(project):
    for name in ("index", "HEAD"):
        (project / ".git" / name).write_bytes(b"\x00damaged")
        assert report(project)["level"] == 0


def test_the_light_core_is_enough(project):
    heavy = ("jinja2", "numpy", "pandas", "mlflow", "dvc", "torch", "sklearn")
    code = (
        "import sys, atexit\n"
        f"for name in {heavy!r}: sys.modules[name] = None\n"
        f"sys.argv = ['mlops', 'audit', {str(project)!r}, '--format', 'html']\n"
        "from runtime_lib.cli import main\nmain()"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<!doctype html>")
