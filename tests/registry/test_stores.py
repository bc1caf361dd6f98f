"""Growing up is a change of settings: MLflow on PostgreSQL with its files in S3, both servers real."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.abc import MetaPathFinder

import pytest

from runtime_lib.errors import MissingExtraError, ServiceError
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.settings import load
from runtime_lib.tracking.store import ask_artifacts, ask_store, connect
from runtime_lib.training.model import digest
from tests.conftest import REPOSITORY
from tests.support.depth import DEEP
from tests.support.projects import free_port
from tests.support.stores import ENCODED, PASSWORD, postgres, s3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database():
    with postgres() as port:
        yield port


@pytest.fixture(scope="module")
def files():
    with s3() as variables:
        yield variables


@pytest.fixture
def grown(project, database, files, monkeypatch):
    """The variables alone; nothing of the project's own files changes."""
    for name, value in files.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(
        "MLOPS_TRACKING__URI", f"postgresql+psycopg://me:{ENCODED}@127.0.0.1:{database}/mlflow"
    )
    monkeypatch.setenv("MLOPS_TRACKING__ARTIFACTS", "s3://bucket/some path/ü")
    return load(project.root)


def test_register_promote_and_fetch(grown, monkeypatch, capfd):
    ask_store(grown)
    ask_artifacts(grown)
    registered = register(grown)
    assert register(grown) == registered
    assert promote(grown).promoted
    held = champion(grown)
    assert digest(held.folder) == registered["digest"]
    assert not (grown.var / "artifacts").exists(), "the files are in the bucket"
    run = connect(grown).get_run(held.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("s3://bucket/")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)  # instead of in the address
    monkeypatch.setenv("MLOPS_TRACKING__URI", grown.tracking.uri.replace(f":{ENCODED}@", "@"))
    bare = load(grown.root)
    assert ENCODED not in bare.tracking.uri
    assert champion(bare) == held
    assert "SECRET" not in "".join(capfd.readouterr())


# Whoever comes next must not get the client of these keys.
@pytest.fixture(autouse=True)
def no_client_left():
    yield
    forget_clients()


def test_a_wrong_password_bucket_or_key_is_one_line_without_it(grown, monkeypatch):
    monkeypatch.setenv("MLOPS_TRACKING__URI", grown.tracking.uri.replace(ENCODED, f"wrong{ENCODED}"))
    with pytest.raises(ServiceError, match="password authentication failed") as caught:
        connect(load(grown.root))
    assert "SECRET" not in str(caught.value)
    monkeypatch.setenv("MLOPS_TRACKING__ARTIFACTS", "s3://no-such-bucket/a")
    with pytest.raises(ServiceError, match=r"s3://no-such-bucket/a: .*bucket does not exist"):
        ask_artifacts(load(grown.root))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pw-SECRET-of-another")
    forget_clients()
    with pytest.raises(ServiceError, match=r"s3://bucket/.*signature") as caught:
        ask_artifacts(grown)
    assert "SECRET" not in str(caught.value)


def forget_clients() -> None:
    """MLflow keeps its clients for minutes, boto3 its credentials, also past a change of the variables."""
    import boto3
    from mlflow.store.artifact.s3_artifact_repo import _cached_get_s3_client

    _cached_get_s3_client.cache_clear()
    boto3.setup_default_session()


def test_a_store_that_is_down_is_named_in_seconds(grown, monkeypatch):
    begin = time.monotonic()
    port = free_port()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(ServiceError, match=r"s3://bucket/some path/ü: .*Connection refused"):
        ask_artifacts(grown)
    monkeypatch.setenv("MLOPS_TRACKING__URI", f"postgresql+psycopg://me:{ENCODED}@127.0.0.1:{port}/mlflow")
    with pytest.raises(ServiceError, match=rf"postgresql\+psycopg://127.0.0.1:{port}/mlflow"):
        ask_store(load(grown.root))
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(("module", "extra"), [("psycopg", "postgres"), ("boto3", "s3")])
def test_a_missing_driver_is_one_line_with_its_extra(grown, monkeypatch, module, extra):
    class Absent(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == module:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    forget_clients()
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=rf'write the line "runtime-lib\[{extra}\]"'):
        register(grown)


@pytest.mark.skipif(not DEEP, reason="the whole demo takes minutes: `nox -s deep`")
def test_the_whole_demo_by_settings_alone(database, files, tmp_path):
    """Run, serve, monitor and retrain an installed project; nothing in it names the stores but one line."""
    uri = f"postgresql+psycopg://me:{ENCODED}@127.0.0.1:{database}/mlflow"
    variables = {"MLOPS_TRACKING__URI": uri, "MLOPS_TRACKING__ARTIFACTS": "s3://bucket/demo", **files}
    script = "import sys; from pathlib import Path; from tests import demo\n"
    script += "demo.main(Path(sys.argv[1]), extras='postgres,s3')"
    command = [sys.executable, "-c", script, str(tmp_path / "late flights")]
    env = {**os.environ, **variables, "MLOPS_SERVING__PORT": str(free_port())}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "The webhook received" in done.stdout
    assert "SECRET" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("mlflow.db"))
    assert not (tmp_path / "late flights" / "var" / "artifacts").exists()
    texts = (path for path in tmp_path.rglob("*") if path.is_file() and ".venv" not in path.parts)
    assert [str(path) for path in texts if b"SECRET" in path.read_bytes()] == []
