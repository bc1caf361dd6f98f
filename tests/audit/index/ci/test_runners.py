"""Commands that are written elsewhere: make, nox, tox, tasks, scripts."""

# ruff: noqa: E501 (files of a line each read best as a table)

from __future__ import annotations

import pytest

from tests.audit.index.ci.conftest import run

FOLLOWED = {
    "make": ("make test", {"Makefile": "PY = python\ntest: build\n\t@$(PY) -m pytest\nbuild:\n\tpip install .\n"}),
    "make without a target": ("make", {"Makefile": ".PHONY: all\nall: a\na:\n\tpytest\n"}),
    "make in a folder": ("make -C sub test", {"sub/Makefile": "test:\n\tpytest\n"}),
    "make by cd": ("cd sub && make test", {"sub/Makefile": "test:\n\tpytest\n"}),
    "make that calls make": ("make ci", {"Makefile": "ci:\n\t$(MAKE) test\ntest:\n\tpytest\n"}),
    "make with an include": ("make t", {"Makefile": "include x.mk\n", "x.mk": "t:\n\tpytest\n"}),
    "make with a variable": ("make t W=pytest", {"Makefile": "W ?= ls\nt:\n\t$(W)\n"}),
    "a variable that the job sets": ("export T=1\nmake t", {"Makefile": "t:\n\tpytest\n"}),
    "nox": (
        "nox -s tests-3.11",
        {"noxfile.py": "import nox\n@nox.session(python=['3.11'])\ndef tests(session):\n    session.run('pytest', *session.posargs)\n"},
    ),
    "nox by name": (
        "uvx nox --session=unit",
        {"noxfile.py": "import nox\n@nox.session(name='unit')\ndef f(session):\n    helper(session)\ndef helper(session):\n    session.run('pytest')\n"},
    ),
    "tox": ("tox -e py311", {"tox.ini": "[tox]\nenvlist = py311\n[testenv]\ncommands =\n    pytest {posargs}\n"}),
    "tox by factor": ("tox -e unit-a", {"tox.ini": "[testenv]\ncommands =\n    unit: pytest\n    lint: ruff\n"}),
    "tox by reference": ("tox -e x", {"tox.ini": "[testenv]\ncommands = pytest\n[testenv:x]\ncommands = {[testenv]commands}\n"}),
    "tox in pyproject": ("tox", {"pyproject.toml": "[tool.tox]\nenv_list = ['x']\n[tool.tox.env.x]\ncommands = [['pytest', 'tests']]\n"}),
    "tox as text in pyproject": ("tox", {"pyproject.toml": "[tool.tox]\nlegacy_tox_ini = '''\n[tox]\nenvlist = a\n[testenv]\ncommands = pytest\n'''\n"}),
    "tox in setup.cfg": ("tox", {"setup.cfg": "[tox:tox]\nenvlist = a\n[testenv]\ncommands = pytest\n"}),
    "just": ("just test", {"justfile": "cmd := 'pytest'\ntest: build\n    @{{cmd}}\nbuild:\n    ls\n"}),
    "task": ("task test", {"Taskfile.yml": "tasks:\n  test:\n    cmds:\n      - task: inner\n  inner: pytest\n"}),
    "mise": ("mise run test", {"mise.toml": "[tasks.test]\ndepends = ['b']\nrun = 'pytest'\n[tasks]\nb = 'ls'\n"}),
    "mise by file": ("mise run test", {"mise-tasks/test": "#!/bin/bash\npytest\n"}),
    "npm": ("npm test", {"package.json": '{"scripts": {"test": "pytest"}}'}),
    "yarn": ("yarn unit", {"package.json": '{"scripts": {"unit": "pytest"}}'}),
    "hatch": ("hatch run test:cov", {"pyproject.toml": "[tool.hatch.envs.test.scripts]\ncov = ['run']\nrun = 'pytest'\n"}),
    "hatch with a command": ("hatch run pytest", {}),
    "pdm": ("pdm run t", {"pyproject.toml": "[tool.pdm.scripts]\nt = {composite = ['u']}\nu = {cmd = 'pytest'}\n"}),
    "poe": ("poetry run poe t", {"pyproject.toml": "[tool.poe.tasks]\nt = ['a', 'b']\na = 'ls'\nb = {shell = 'pytest'}\n"}),
    "rye": ("rye run t", {"pyproject.toml": "[tool.rye.scripts]\nt = {chain = ['u']}\nu = 'pytest'\n"}),
    "pixi": ("pixi run -e dev t", {"pixi.toml": "[feature.dev.tasks]\nt = 'pytest'\n"}),
    "pipenv": ("pipenv run t", {"Pipfile": "[scripts]\nt = 'pytest'\n"}),
    "taskipy": ("task t", {"pyproject.toml": "[tool.taskipy.tasks]\nt = 'pytest'\n"}),
    "invoke": ("inv run-tests", {"tasks.py": "from invoke import task\n@task\ndef run_tests(c):\n    c.run('pytest')\n"}),
    "a script": ("./ci/run.sh", {"ci/run.sh": "#!/bin/bash\nset -e\npytest\n"}),
    "a script by bash": ("bash ci/run.sh x", {"ci/run.sh": "pytest\n"}),
    "a command whose answer is kept": ("answer=$(make test)", {"Makefile": "test:\n\tpytest\n"}),
    "bash -c": ('bash -lc "cd x && pytest"', {}),
    "pre-commit": (
        "pre-commit run --all-files",
        {".pre-commit-config.yaml": "repos:\n  - repo: local\n    hooks:\n      - id: t\n        entry: pytest\n"},
    ),
    "compose": (
        "docker compose run app",
        {"docker-compose.yml": "services:\n  app:\n    build: .\n    command: pytest\n"},
    ),
}  # fmt: skip


def workflow(command: str) -> str:
    lines = "".join(f"          {line}\n" for line in command.split("\n"))
    return f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n{lines}"


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_command_is_followed_to_what_it_runs(ci, name):
    command, files = FOLLOWED[name]
    found = run(ci({".github/workflows/a.yml": workflow(command), **files}))
    assert any(one.startswith(("pytest", "python -m pytest")) for one in found), found


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("make lint", {"Makefile": "test:\n\tpytest\nlint:\n\truff\n"}),
        ("nox -s lint", {"noxfile.py": "import nox\n@nox.session\ndef lint(session):\n    session.run('ruff')\n@nox.session\ndef tests(session):\n    session.run('pytest')\n"}),
        ("nox", {"noxfile.py": "import nox\nnox.options.sessions = ['lint']\n@nox.session\ndef lint(session):\n    session.run('ruff')\n@nox.session(name='tests')\ndef t(session):\n    session.run('pytest')\n"}),
        ("tox -e lint", {"tox.ini": "[testenv]\ncommands = pytest\n[testenv:lint]\ncommands = ruff\n"}),
        ("npm run lint", {"package.json": '{"scripts": {"lint": "eslint", "test": "pytest"}}'}),
        ("npm install", {"package.json": '{"scripts": {"install": "pytest", "test": "pytest"}}'}),
        ("pre-commit run", {".pre-commit-config.yaml": "repos:\n  - repo: local\n    hooks:\n      - id: t\n        entry: pytest\n        stages: [manual]\n"}),
        ("pre-commit run ruff", {".pre-commit-config.yaml": "repos:\n  - hooks: [{id: ruff}, {id: t, entry: pytest}]\n"}),
        ("echo make test", {"Makefile": "test:\n\tpytest\n"}),
        ("./run.sh", {"run.sh": "#!/bin/bash\n# pytest\nls\n"}),
    ],
)  # fmt: skip
def test_what_is_beside_is_not_run(ci, command, files):
    found = run(ci({".github/workflows/a.yml": workflow(command), **files}))
    assert found
    assert not any("pytest" in one for one in found), found


def test_a_command_says_where_it_stands_and_what_led_there(ci):
    files = {"Makefile": "test: a\n\t-tox -e x\na:\n", "tox.ini": "[testenv]\ncommands =\n    pytest\n"}
    job = ci({".github/workflows/a.yml": workflow("ls\nmake test"), **files})[0].jobs[0]
    first, second = job.commands
    assert (first.path, first.line) == (".github/workflows/a.yml", 7)
    assert (second.text, second.path, second.by) == ("pytest", "tox.ini", ("make test", "tox -e x"))
    assert second.may_fail


def test_what_calls_itself_ends(ci):
    found = run(
        ci(
            {
                ".github/workflows/a.yml": workflow("make a"),
                "Makefile": "a:\n\tmake b\nb:\n\tmake a\n\tmake b\n",
            }
        )
    )
    assert 0 < len(found) < 10


def test_a_script_without_e_hides_failures(ci):
    def failing(script: str) -> bool:
        job = ci({".github/workflows/a.yml": workflow("bash t.sh"), "t.sh": script})[0].jobs[0]
        return next(one for one in job.commands if one.text == "pytest").may_fail

    assert failing("pytest\necho done\n")
    assert not failing("set -e\npytest\necho done\n")
    assert not failing("echo first\npytest\n")
