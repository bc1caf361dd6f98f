"""A8 and A9: gates before a new model, ways back from a release."""

# ruff: noqa: E501 (texts of a line each read best as a table)

from __future__ import annotations

import pytest

REGISTER = "import mlflow\nfrom sklearn.svm import SVC\n\n\ndef main():\n    model = SVC().fit([[0], [1]], [0, 1])\n    score = model.score([[0]], [0])\n%s\n\nif __name__ == '__main__':\n    main()\n"
GATE = "    if score > 0.9:\n        mlflow.register_model('runs:/x', 'm')\n"


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"train.py": REGISTER % GATE}, "pass"),
        ({"train.py": REGISTER % "    if score < 0.9:\n        raise SystemExit('worse')\n    mlflow.register_model('runs:/x', 'm')\n"}, "pass"),
        ({"train.py": REGISTER % "    mlflow.register_model('runs:/x', 'm')\n"}, "fail"),
        ({"train.py": REGISTER % "    if score > 0.9:\n        print('good')\n    mlflow.register_model('runs:/x', 'm')\n"}, "fail"),
        ({"train.py": REGISTER % "    pass\n", "p.py": "from sagemaker.workflow.condition_step import ConditionStep\nConditionStep(name='good')\n"}, "pass"),
        ({"a.py": "print(1)\n"}, "n/a"),
    ],
)  # fmt: skip
def test_a8_a_gate_stands_before_registration(ask, files, verdict):
    assert ask("A8", files).verdict == verdict


APP = {
    "app.py": "import joblib\nfrom fastapi import FastAPI\napp = FastAPI()\nmodel = joblib.load('m.pkl')\n\n\n@app.post('/predict')\ndef predict(x: list):\n    return model.predict(x).tolist()\n"
}


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"k.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec:\n  strategy:\n    canary:\n      steps:\n        - setWeight: 20\n"}, "pass"),
        ({"k.yaml": "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec:\n  predictor:\n    canaryTrafficPercent: 10\n"}, "pass"),
        ({".github/workflows/a.yml": "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [run: helm upgrade --install --atomic x .]\n"}, "pass"),
        ({"k.yaml": "apiVersion: apps/v1\nkind: Deployment\n"}, "fail"),
        ({"params.yaml": "train:\n  weight: 20\n"}, "fail"),
    ],
)  # fmt: skip
def test_a9_a_way_back(ask, files, verdict):
    assert ask("A9", APP | files).verdict == verdict
