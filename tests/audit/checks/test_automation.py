"""A3 to A6: CI, its tests and training, delivery. Each with what counts and what only looks like it."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

TRAIN = "from sklearn.svm import SVC\n\n\ndef train(x, y):\n    return SVC().fit(x, y)\n\n\nif __name__ == '__main__':\n    train([[0], [1]], [0, 1])\n"
APP = "from fastapi import FastAPI\nimport uvicorn\nfrom train import train\napp = FastAPI()\n\n\n@app.post('/train')\ndef again(x: list):\n    train(x, x)\n\n\nif __name__ == '__main__':\n    uvicorn.run(app)\n"
AXOLOTL = "import subprocess\n\n\ndef train(folder):\n    subprocess.call('accelerate launch -m axolotl.cli.train c.yml'.split(), cwd=folder)\n\n\ndef main():\n    train('x')\n\n\nif __name__ == '__main__':\n    main()\n"
CODEPIPELINE = "Resources:\n  Deploy:\n    Type: AWS::CodePipeline::Pipeline\n    Properties:\n      Name: !Sub ${Model}\n      Stages:\n        - Name: %s\n          Actions:\n            - Name: Start\n              ActionTypeId: {Category: Invoke, Owner: AWS, Provider: %s}\n"
PUSH = "on: [push, pull_request]\n"


def workflow(*commands: str, on: str = PUSH, name: str = "a", more: str = "") -> str:
    steps = "".join(f"      - run: {command}\n" for command in commands)
    return (
        f"{on}jobs:\n  {name}:\n    runs-on: x\n{more}    steps:\n      - uses: actions/checkout@v4\n{steps}"
    )


def ci(*commands: str, path: str = ".github/workflows/a.yml", **settings: str) -> dict[str, str]:
    return {path: workflow(*commands, **settings), "train.py": TRAIN}


@pytest.mark.parametrize(
    ("files", "verdict", "value"),
    [
        (ci("pytest"), "pass", "github"),
        (ci("pytest", on="on: workflow_dispatch\n"), "partial", "github"),
        (ci("pytest", path="sub/.github/workflows/a.yml"), "fail", False),
        (ci("pytest", path="examples/workflow.yml"), "fail", False),
        ({"train.py": TRAIN}, "fail", False),
        ({**ci("pytest"), ".gitlab-ci.yml": "a:\n  stage: x\n  script: [pytest]\n"}, "pass", ["github", "gitlab"]),
        ({"Jenkinsfile": "pipeline { stages { stage('a') { steps { sh 'pytest' } } } }", "train.py": TRAIN}, "pass", "jenkins"),
        ({"k8s/w.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n", "train.py": TRAIN}, "fail", False),
    ],
)  # fmt: skip
def test_a3_a_provider_whose_configuration_is_read(ask, files, verdict, value):
    found = ask("A3", files)
    assert (found.verdict, found.value) == (verdict, value)


TEST = {
    "tests/test_train.py": "from train import train\n\n\ndef test_it():\n    assert train([[0], [1]], [0, 1])\n"
}
RUN = {
    "pytest": ci("pytest -q"),
    "by python": ci("python -m pytest tests"),
    "coverage": ci("coverage run -m pytest"),
    "unittest": ci("python -m unittest discover"),
    "setup.py": ci("python setup.py test"),
    "uv": ci("uv run --frozen pytest"),
    "make": {**ci("make check"), "Makefile": "check:\n\tpytest\n"},
    "R": ci("R CMD check ."),
    "testthat": ci("Rscript -e 'testthat::test_local()'"),
    "javascript": {**ci("npm test"), "package.json": '{"scripts": {"test": "jest"}}'},
    "a test file": ci("python tests/test_train.py"),
    "in the image": {**ci("docker build -t x ."), "Dockerfile": "FROM x\nRUN pip install pytest && pytest\n"},
    "an action": {".github/workflows/a.yml": PUSH + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: r-lib/actions/check-r-package@v2\n", "train.py": TRAIN},
}  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_a4_what_runs_tests(ask, name):
    found = ask("A4", RUN[name] | TEST)
    assert (found.verdict, found.value) == ("pass", True)


NOT_RUN = {
    "a job called test": ci("ruff check .", name="test"),
    "a button alone": ci("pytest", on="on: workflow_dispatch\n"),
    "time alone": ci("pytest", on="on:\n  schedule:\n    - cron: '0 0 * * *'\n"),
    "a tag alone": ci("pytest", on="on:\n  push:\n    tags: ['v*']\n"),
    "installed": ci("pip install pytest"),
    "said": ci("echo pytest"),
    "collected": ci("pytest --collect-only"),
    "commented": ci("|\n          # pytest\n          ls"),
    "switched off": ci("pytest", more="    if: false\n"),
    "for a person": ci("pytest", more="    if: github.event_name == 'workflow_dispatch'\n", on="on: [push, workflow_dispatch]\n"),
    "a script that tests a model": {**ci("python test.py"), "test.py": "from train import train\nprint(train([[0], [1]], [0, 1]).predict([[0]]))\n"},
    "nothing": {"train.py": TRAIN},
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_RUN)
def test_a4_what_only_looks_like_it(ask, name):
    found = ask("A4", NOT_RUN[name] | TEST)
    assert (found.verdict, found.value) == ("fail", False)


def test_a4_a_remote_workflow_cannot_be_told(ask):
    remote = PUSH + "jobs:\n  ci:\n    uses: org/x/.github/workflows/python-test.yml@main\n"
    assert ask("A4", {".github/workflows/a.yml": remote, "train.py": TRAIN}).verdict == "unknown"
    other = {
        ".github/workflows/b.yml": workflow("pytest"),
        ".github/workflows/a.yml": remote,
        "train.py": TRAIN,
    }
    assert ask("A4", other).verdict == "pass"


@pytest.mark.parametrize(
    "job",
    [
        "    runs-on: x\n    steps:\n      - uses: somebody/label-pull-requests@v1\n",
        "    runs-on: x\n    steps:\n      - uses: somebody/build-something@v1\n",
        "    uses: org/x/.github/workflows/codeql.yml@main\n",
        "    uses: org/x/.github/workflows/deploy.yml@main\n",
    ],
)
def test_a4_what_is_remote_and_surely_no_test(ask, job):
    files = {".github/workflows/a.yml": f"{PUSH}jobs:\n  a:\n{job}", "train.py": TRAIN}
    assert ask("A4", files).verdict == "fail"


@pytest.mark.parametrize(
    ("files", "verdict", "value"),
    [
        (ci("python train.py"), "pass", True),
        (ci("python -m train"), "pass", True),
        ({**ci("python main.py"), "main.py": "from train import train\n\n\ndef main():\n    train(1, 2)\n\n\nif __name__ == '__main__':\n    main()\n"}, "pass", True),
        ({**ci("dvc repro"), "dvc.yaml": "stages:\n  train:\n    cmd: python train.py\n"}, "pass", True),
        ({**ci("anyscale job submit j.yaml"), "j.yaml": "entrypoint: bash run.sh\n", "run.sh": "pytest\npython train.py\n"}, "pass", True),
        ({**ci("docker build ."), "Dockerfile": "FROM x\nRUN pip install . && python train.py\n"}, "pass", True),
        ({**ci("docker build ."), "Dockerfile": "FROM x\nCMD python train.py\n"}, "fail", False),
        ({**ci("make model"), "Makefile": "model:\n\tpython train.py\n"}, "pass", True),
        (ci("python train.py", on="on: workflow_dispatch\n"), "partial", True),
        (ci("python train.py", on="on:\n  schedule:\n    - cron: '0 0 * * 0'\n"), "partial", True),
        (ci("gcloud ai custom-jobs create --region=x"), "pass", True),
        ({**ci("modal run src.tune --config=c.yml"), "src/tune.py": AXOLOTL}, "pass", True),
        ({**ci("modal run src.tune --config=c.yml"), "src/tune.py": AXOLOTL.replace("cli.train", "cli.preprocess")}, "fail", False),
        ({"pipeline.yml": CODEPIPELINE % ("Train", "StepFunctions")}, "pass", True),
        ({"pipeline.yml": CODEPIPELINE % ("Check", "StepFunctions")}, "n/a", False),
        ({**ci("jupyter nbconvert --to notebook --execute n.ipynb"), "n.ipynb": '{"cells": [{"cell_type": "code", "metadata": {}, "source": ["from sklearn.svm import SVC\\n", "SVC().fit([[0], [1]], [0, 1])"], "outputs": [], "execution_count": 1}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'}, "pass", True),
        ({**ci("dvc repro"), "dvc.yaml": "stages:\n  load:\n    cmd: python load.py\n", "load.py": "print(1)\n"}, "fail", False),
        (ci("pytest"), "fail", False),
        (ci("python train.py --help"), "fail", False),
        (ci("python -m py_compile train.py"), "fail", False),
        (ci("ruff check train.py"), "fail", False),
        ({**ci("python app.py"), "app.py": APP}, "fail", False),
        ({**ci("python check_train.py"), "check_train.py": TRAIN}, "fail", False),
        ({**ci("python clean.py"), "clean.py": "from train import train\nprint(2)\n"}, "fail", False),
    ],
)  # fmt: skip
def test_a5_ci_trains(ask, files, verdict, value):
    found = ask("A5", files)
    assert (found.verdict, found.value) == (verdict, value)


RELEASE = "on:\n  release:\n    types: [published]\n"
BUILD = (
    PUSH
    + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: docker/build-push-action@v5\n        with: {push: %s}\n"
)
DELIVER = "from huggingface_hub import HfApi\n\n\ndef main():\n    HfApi().upload_folder(folder_path='m', repo_id='a/b')\n\n\nif __name__ == '__main__':\n    main()\n"
DELIVERED = {
    "twine": ci("twine upload dist/*", on=RELEASE),
    "an image": ci("docker push x:1"),
    "by a tag": ci("docker push x:1", on="on:\n  push:\n    tags: ['v*']\n"),
    "buildx": ci("docker buildx build --push -t x ."),
    "an action": {".github/workflows/a.yml": BUILD % "true", "train.py": TRAIN},
    "an action but for pull requests": {".github/workflows/a.yml": BUILD % "${{ github.event_name == 'push' }}", "train.py": TRAIN},
    "helm": ci("helm upgrade --install x ./chart"),
    "kubectl": ci("kubectl apply -f k8s/"),
    "terraform": ci("terraform -chdir=infra apply -auto-approve"),
    "cloud run": ci("gcloud run deploy x --image y"),
    "a model": ci("az ml model create --name x --path y"),
    "a space": ci("git push --force https://u:$T@huggingface.co/spaces/a/b main"),
    "a bundle": ci("databricks bundle deploy -t prod"),
    "a script": {**ci("python push.py"), "push.py": DELIVER},
    "over ssh": ci("ssh host 'cd app && docker compose up -d'"),
    "over ssh, by a text": ci("|\n          sshpass -p x ssh u@h << EOF\n          ls\n          EOF"),
    "a hook": ci("curl -X POST $RENDER_DEPLOY_HOOK"),
    "make": {**ci("make release"), "Makefile": "release:\n\ttwine upload dist/*\n"},
    "on its own machine": ci("docker compose up -d", name="deploy"),
    "somebody's action": {".github/workflows/a.yml": PUSH + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: some/model-deploy-action@v1\n", "train.py": TRAIN},
}  # fmt: skip


@pytest.mark.parametrize("name", DELIVERED)
def test_a6_what_delivers(ask, name):
    found = ask("A6", DELIVERED[name])
    assert (found.verdict, found.value) == ("pass", True)


NOT_DELIVERED = {
    "docs": ci("mkdocs gh-deploy --force"),
    "pages": {".github/workflows/a.yml": PUSH + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: peaceiris/actions-gh-pages@v3\n      - uses: actions/deploy-pages@v4\n", "train.py": TRAIN},
    "built only": ci("docker build -t x ."),
    "an action that does not push": {".github/workflows/a.yml": BUILD % "false", "train.py": TRAIN},
    "a button": ci("twine upload dist/*", on="on: workflow_dispatch\n"),
    "switched off": ci("docker push x", more="    if: false\n"),
    "a plan": ci("terraform plan"),
    "for tests": ci("kind create cluster", "kubectl apply -f k8s/"),
    "said": ci("echo twine upload"),
    "tests in a container": ci("docker compose up -d", "pytest"),
    "only a pull request": ci("docker push x", on="on: pull_request\n"),
    "release notes": {".github/workflows/a.yml": PUSH + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: release-drafter/release-drafter@v5\n", "train.py": TRAIN},
    "coverage": {".github/workflows/a.yml": PUSH + "jobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: codecov/codecov-action@v4\n      - uses: actions/upload-artifact@v4\n", "train.py": TRAIN},
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_DELIVERED)
def test_a6_what_does_not(ask, name):
    found = ask("A6", NOT_DELIVERED[name])
    assert found.verdict in ("fail", "partial")
    assert found.value is False


def test_a6_a_remote_release_cannot_be_told(ask):
    remote = "on: push\njobs:\n  publish:\n    uses: org/x/.github/workflows/wheels.yml@main\n"
    assert ask("A6", {".github/workflows/a.yml": remote, "train.py": TRAIN}).verdict == "unknown"
