"""`mlflow models serve` of a model of Python. `python mlflow_server.py PORT FOLDER`"""

import os
import sys
from pathlib import Path

import mlflow

HERE = Path(__file__).parent


class Tiny(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        from tiny import predict

        return predict(model_input)


if __name__ == "__main__":
    if not Path(sys.argv[2]).exists():
        mlflow.pyfunc.save_model(sys.argv[2], python_model=Tiny(), code_paths=[str(HERE / "tiny.py")])
    options = ["--model-uri", sys.argv[2], "--env-manager", "local", "--workers", "1", "--port", sys.argv[1]]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", *options])
