"""What repositories declare and lock, in every dialect."""

from __future__ import annotations

import pytest

from runtime_lib.audit.index import index
from runtime_lib.audit.index.dependencies.requirement import is_exact, normalised, parse


def deps(tree, files):
    return index(tree(files)).dependencies


def named(found, path: str | None = None) -> dict[str, str]:
    return {one.name: one.spec for one in found.requirements if path in (None, one.path)}


def groups(found) -> dict[str, str]:
    return {one.name: one.group for one in found.requirements}


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("numpy", ("numpy", "")),
        ("Scikit_Learn[extra] >= 1.0, < 2 ; python_version > '3'", ("scikit-learn", ">=1.0,<2")),
        ("a==1.0 # why", ("a", "==1.0")),
        ("a==1.0 --hash=sha256:00", ("a", "==1.0")),
        ("a (>=1.0)", ("a", ">=1.0")),
        ("a @ https://x/a.zip", ("a", "@ https://x/a.zip")),
        ("git+https://github.com/o/Name.git@main", ("name", "@ git+https://github.com/o/Name.git@main")),
        ("git+https://x/y#egg=My_Name", ("my-name", "@ git+https://x/y#egg=My_Name")),
        ("https://x/torch-1.10.0+cpu-cp39-cp39-linux_x86_64.whl", ("torch", "==1.10.0+cpu")),
        ("https://x/y", None),
        ("./local", None),
        ("This is prose", None),
        ("", None),
    ],
)
def test_a_requirement(text, parsed):
    assert parse(text) == parsed


def test_what_allows_one_version():
    assert is_exact("==1.0")
    assert is_exact("==1.0,!=2")
    assert is_exact(f"@ git+https://x/y@{'a' * 40}")
    for loose in ("", ">=1", "==1.*", "~=1.0", "^1", "@ git+https://x/y@main"):
        assert not is_exact(loose)
    assert normalised("A__b.c") == "a-b-c"


def test_requirements_with_what_they_include(tree):
    found = deps(
        tree,
        {
            "requirements.txt": """
                -r deps/base.txt
                -c limits.txt
                --index-url https://x
                -e .
                torch \\
                  >=2  # two lines
                """,
            "deps/base.txt": "-r ../requirements.txt\nnumpy>1\n",
            "limits.txt": "numpy==1.0\n",
            "requirements-dev.txt": "pytest\n",
            "requirements/test.txt": "hypothesis\n",
            "docs/notes.txt": "numpy is used\nfor arrays\n",
            "requirements_of_users.txt": "We need a model.\nIt must be fast.\nOne\n",
        },
    )
    assert named(found) == {"torch": ">=2", "numpy": ">1", "pytest": "", "hypothesis": ""}
    assert groups(found) == {"torch": "", "numpy": "", "pytest": "dev", "hypothesis": "dev"}
    assert next(one.line for one in found.requirements if one.name == "torch") == 5
    assert set(found.manifests) == {
        "requirements.txt",
        "deps/base.txt",
        "requirements-dev.txt",
        "requirements/test.txt",
    }
    assert found.locks == ()


def test_pyproject_of_all_kinds(tree):
    found = deps(
        tree,
        {
            "a/pyproject.toml": """
                [project]
                requires-python = ">=3.10"
                dependencies = [
                  "numpy>=1",
                  "pandas==2.0",
                ]
                [project.optional-dependencies]
                gpu = ["torch"]
                [dependency-groups]
                test = ["pytest", {include-group = "lint"}]
                lint = ["ruff==0.1"]
                [build-system]
                requires = ["hatchling"]
                [tool.hatch.envs.docs]
                dependencies = ["sphinx"]
                [tool.uv]
                dev-dependencies = ["mypy"]
                """,
            "b/pyproject.toml": """
                [tool.poetry.dependencies]
                python = "^3.9"
                requests = "2.31.0"
                scipy = {version = "^1.0", extras = ["x"]}
                own = {path = "../own"}
                fork = {git = "https://x/fork.git", rev = "abc"}
                any = "*"
                [tool.poetry.dev-dependencies]
                black = "23.1"
                [tool.poetry.group.ci.dependencies]
                tox = "*"
                """,
            "c/pyproject.toml": """
                [tool.pdm.dev-dependencies]
                t = ["nox"]
                [tool.flit.metadata]
                requires = ["click"]
                """,
        },
    )
    assert named(found, "a/pyproject.toml") == {
        "numpy": ">=1",
        "pandas": "==2.0",
        "torch": "",
        "pytest": "",
        "ruff": "==0.1",
        "sphinx": "",
        "mypy": "",
    }
    assert named(found, "b/pyproject.toml") == {
        "requests": "==2.31.0",
        "scipy": "^1.0",
        "own": "@ ../own",
        "fork": "@ https://x/fork.git",
        "any": "",
        "black": "==23.1",
        "tox": "",
    }
    assert named(found, "c/pyproject.toml") == {"nox": "", "click": ""}
    assert groups(found)["torch"] == "gpu"
    assert groups(found)["tox"] == "ci"
    assert groups(found)["numpy"] == ""
    assert [(one.name, one.line) for one in found.requirements][:2] == [("numpy", 4), ("pandas", 5)]
    assert found.python == ((">=3.10", "a/pyproject.toml", 2), ("^3.9", "b/pyproject.toml", 2))


def test_setup_py_is_read_and_not_run(tree, tmp_path):
    found = deps(
        tree,
        {
            "setup.py": f"""
                from setuptools import setup
                open({str(tmp_path / "ran")!r}, "w")
                BASE = ["numpy>=1", "pandas"]
                EXTRAS = {{"gpu": ["torch==2.0"]}}
                setup(
                    install_requires=BASE + ["click"],
                    extras_require=EXTRAS,
                    tests_require="pytest",
                    python_requires=">=3.8",
                    entry_points={{"console_scripts": ["train = pkg.train:main"]}},
                )
                """,
            "old/setup.py": "import setuptools\nconfig = dict(x=1)\nconfig = {'install_requires': ['six']}\n"
            "setuptools.setup(**config)\n",
            "broken/setup.py": "print 'x'",
        },
    )
    assert not (tmp_path / "ran").exists()
    assert named(found, "setup.py") == {
        "numpy": ">=1",
        "pandas": "",
        "click": "",
        "torch": "==2.0",
        "pytest": "",
    }
    assert named(found, "old/setup.py") == {"six": ""}
    assert found.python == ((">=3.8", "setup.py", 9),)


def test_setup_cfg_pipfile_and_conda(tree):
    found = deps(
        tree,
        {
            "setup.cfg": """
                [options]
                python_requires = >=3.7
                install_requires =
                    numpy>=1,<2
                    pandas
                [options.extras_require]
                dev = pytest
                """,
            "Pipfile": """
                [packages]
                flask = "==2.0.1"
                other = {version = "*", extras = ["x"]}
                [dev-packages]
                black = "*"
                [requires]
                python_version = "3.9"
                """,
            "environment.yml": """
                name: x
                channels: [conda-forge]
                dependencies:
                  - python=3.8
                  - conda-forge::scipy=1.7
                  - pytorch=1.10.0
                  - cudatoolkit >=11
                  - joblib=1.0=py_0
                  - xgboost 1.5.0
                  - pip:
                    - mlflow==2.0
                """,
            "k8s/deployment.yaml": "dependencies: [a, b]\nname: x\n",
            "pixi.toml": """
                [dependencies]
                python = "3.11.*"
                lightgbm = ">=4"
                [pypi-dependencies]
                shap = "*"
                """,
        },
    )
    assert named(found, "setup.cfg") == {"numpy": ">=1,<2", "pandas": "", "pytest": ""}
    assert named(found, "Pipfile") == {"flask": "==2.0.1", "other": "", "black": ""}
    assert named(found, "environment.yml") == {
        "scipy": "==1.7.*",
        "pytorch": "==1.10.0",
        "cudatoolkit": ">=11",
        "joblib": "==1.0",
        "xgboost": "==1.5.0",
        "mlflow": "==2.0",
    }
    assert named(found, "pixi.toml") == {"lightgbm": ">=4", "shap": ""}
    assert named(found, "k8s/deployment.yaml") == {}
    assert {one[:2] for one in found.python} == {
        (">=3.7", "setup.cfg"),
        ("==3.9", "Pipfile"),
        ("==3.8.*", "environment.yml"),
        ("3.11.*", "pixi.toml"),
    }


TOML_LOCK = """
version = 1
[[package]]
name = "Numpy"
version = "1.26.0"
description = "arrays [and more]"
[package.optional-dependencies]
x = ["y"]
[[package]]
name = "own"
source = { editable = "." }
"""


@pytest.mark.parametrize(
    ("path", "text", "kind", "names"),
    [
        ("uv.lock", TOML_LOCK, "uv", {"numpy": "1.26.0", "own": ""}),
        ("poetry.lock", TOML_LOCK, "poetry", {"numpy": "1.26.0", "own": ""}),
        ("sub/pdm.lock", TOML_LOCK, "pdm", {"numpy": "1.26.0", "own": ""}),
        ("pylock.toml", TOML_LOCK.replace("package]", "packages]"), "pylock", {"numpy": "1.26.0", "own": ""}),
        (
            "Pipfile.lock",
            '{"default": {"a": {"version": "==1"}}, "develop": {"b": {"ref": "c"}}}',
            "pipenv",
            {"a": "1", "b": "c"},
        ),
        (
            "pixi.lock",
            "packages:\n- conda: https://c/linux-64/numpy-1.26.0-py311_0.conda\n"
            "- pypi: https://f/x/scikit_learn-1.4.0-cp311-cp311-linux_x86_64.whl\n",
            "pixi",
            {"numpy": "1.26.0", "scikit-learn": "1.4.0"},
        ),
        ("conda-lock.yml", "package:\n- name: numpy\n  version: 1.26.0\n", "conda-lock", {"numpy": "1.26.0"}),
        (
            "conda-linux-64.lock",
            "@EXPLICIT\nhttps://c/linux-64/numpy-1.26.0-py311_0.conda#aa\n",
            "conda-explicit",
            {"numpy": "1.26.0"},
        ),
        ("renv.lock", '{"Packages": {"dplyr": {"Version": "1.0"}}}', "renv", {"dplyr": "1.0"}),
    ],
)  # fmt: skip
def test_locks(tree, path, text, kind, names):
    (lock,) = deps(tree, {path: text}).locks
    assert (lock.kind, lock.path, dict(lock.names)) == (kind, path, names)


def test_an_empty_lock_fixes_nothing(tree):
    assert deps(tree, {"uv.lock": "version = 1\n", "Pipfile.lock": "{", "poetry.lock": ""}).locks == ()


def test_a_lock_knows_its_manifest(tree):
    found = deps(tree, {"s/uv.lock": TOML_LOCK, "s/pyproject.toml": '[project]\ndependencies = ["numpy"]\n'})
    assert found.locks[0].manifest == "s/pyproject.toml"


def test_which_requirements_are_a_lock(tree):
    pins = "numpy==1.26.0\npandas==2.0.0\nscikit-learn==1.4.0\nmatplotlib==3.8\nmlflow==2.9\n"
    freeze = pins + (
        "python-dateutil==2.8\nsix==1.16\npytz==2023.3\nscipy==1.11\njoblib==1.3\nthreadpoolctl==3.2\n"
        "pyparsing==3.1\ncycler==0.12\nkiwisolver==1.4\nclick==8.1\nsqlalchemy==2.0\ntyping-extensions==4.9\n"
        "greenlet==3.0\n"
    )
    compiled = "#\n# This file is autogenerated by pip-compile\n#\nnumpy==1.26.0\n    # via pandas\n"

    def kinds(text, **more):
        return [one.kind for one in deps(tree, {"requirements.txt": text, **more}).locks]

    assert kinds(pins) == []
    assert kinds(freeze) == ["freeze"]
    assert kinds(freeze.replace("scipy==1.11", "scipy>=1.11").replace("six==1.16", "six")) == []
    assert kinds(compiled) == ["pip-compile"]
    assert kinds(
        "# This file was autogenerated by uv via the following command:\n#    uv pip compile\na==1\n"
    ) == ["uv"]
    assert kinds("a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n") == ["hashes"]
    assert kinds("requests==2.31\nflask==3.0\n") == []
    # Deep packages alone are no freeze while those of others are missing.
    assert kinds(pins + "six==1.16\npytz==2023.3\njoblib==1.3\n") == []
    assert kinds(freeze + "tqdm\nrich\nattrs\n") == []
    assert kinds("certifi==2023\nidna==3\nurllib3==2\nrequests==2.31\ncharset-normalizer==3\n") == ["freeze"]
    found = deps(tree, {"requirements.in": "pandas\n", "requirements.txt": compiled})
    assert found.locks[0].manifest == "requirements.in"
    found = deps(tree, {"requirements.txt": "-c constraints.txt\npandas\n", "constraints.txt": freeze})
    assert [(one.kind, one.path) for one in found.locks] == [("freeze", "constraints.txt")]
    assert named(found) == {"pandas": ""}


def test_an_environment_that_conda_exported_is_a_lock(tree):
    export = "name: x\nchannels: [defaults]\ndependencies:\n" + "".join(
        f"  - {one}=1.0.0=h0_0\n" for one in ("openssl", "ca-certificates", "ncurses", "zlib", "xz", "numpy")
    )
    assert [one.kind for one in deps(tree, {"environment.yml": export}).locks] == ["conda-export"]
    pinned = "name: x\nchannels: [c]\ndependencies:\n  - python=3.8.1\n  - numpy=1.20.1\n  - pip=21.0.1\n"
    assert deps(tree, {"environment.yml": pinned}).locks == ()


def test_which_python(tree):
    found = deps(
        tree,
        {
            ".python-version": "3.11.4\n",
            "runtime.txt": "python-3.8.10\n",
            ".tool-versions": "nodejs 18\npython 3.10.1\n",
            "Dockerfile": "FROM --platform=linux/amd64 docker.io/library/python:3.9-slim AS x\nFROM cuda\n",
            "py/dockerfile.dev": "FROM python:3.12.1\n",
        },
    )
    assert {one[:2] for one in found.python} == {
        ("==3.11.4", ".python-version"),
        ("==3.8.10", "runtime.txt"),
        ("==3.10.1", ".tool-versions"),
        ("==3.9", "Dockerfile"),
        ("==3.12.1", "py/dockerfile.dev"),
    }


def test_commands_that_the_project_installs(tree):
    repo = index(
        tree(
            {
                "pyproject.toml": """
                    [project.scripts]
                    a = "p:main"
                    [tool.poetry.scripts]
                    b = {callable = "p:b"}
                    """,
                "setup.cfg": "[options.entry_points]\nconsole_scripts =\n    c = p.c:main\n",
                "setup.py": "setup(entry_points='''\n[console_scripts]\nd=p:d\n[x]\ne=p:e\n''')\n",
            }
        )
    )
    assert repo.entry_points == {"a": "p:main", "b": "p:b", "c": "p.c:main", "d": "p:d"}
