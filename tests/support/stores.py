"""The stores of a grown-up project: PostgreSQL and an S3 server, both real, on this machine only.

PostgreSQL is the system's own (`apt install postgresql`), the S3 server SeaweedFS of the group `servers`.
Where one of them cannot be had, the test is skipped with the reason.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.projects import free_port

# What a person may choose, and what breaks an address in which it is not encoded.
PASSWORD = "pw-SECRET/@:#?%&+ ü"
ENCODED = quote(PASSWORD, safe="")


@contextmanager
def postgres() -> Iterator[int]:
    """A PostgreSQL server with the user `me`, `PASSWORD` and an empty database `mlflow`; yields its port."""
    programs = _programs()
    user = _other_user()
    with _folder(user) as folder:
        (folder / "password").write_text(PASSWORD)
        initdb = ("-D", folder / "data", "-U", "me", "-A", "scram-sha-256", "--pwfile", folder / "password")
        _done(programs / "initdb", *initdb, "-E", "UTF8", "--no-locale", "--no-sync", user=user, cwd=folder)
        port = free_port()
        options = ("-D", folder / "data", "-p", port, "-h", "127.0.0.1", "-k", "", "-F")
        with _running(programs / "postgres", *options, user=user, folder=folder, end=signal.SIGINT) as server:
            create = (programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "me", "mlflow")

            def made() -> bool:
                with suppress(AssertionError):
                    _done(*create, variables={"PGPASSWORD": PASSWORD}, cwd=folder)
                    return True
                return False

            _await(made, server, folder)
            yield port


@contextmanager
def s3() -> Iterator[Mapping[str, str]]:
    """An S3 server with the bucket `bucket`; yields the variables by which boto3 and MLflow reach it."""
    program = shutil.which(
        "weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if program is None:
        pytest.skip("SeaweedFS is not installed (group `servers`)")
    with _folder(None) as folder:
        keys = {"accessKey": "places", "secretKey": PASSWORD}
        identity = {"name": "me", "credentials": [keys], "actions": ["Admin", "Read", "List", "Write"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        port = free_port()
        # Each has a second one, by default 10,000 above: there the system hands out its own.
        parts = [f"-{part}.port{kind}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
        ports = {"-s3.port": port, "-s3.port.grpc": free_port(), **{part: free_port() for part in parts}}
        options = [f"{name}={value}" for name, value in ports.items()]
        options += [
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.config={folder}/s3.json",
        ]
        options += ["-volume.max=20", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
        options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        with _running(program, "server", *options, user=None, folder=folder, end=signal.SIGKILL) as server:
            variables = {
                "AWS_ACCESS_KEY_ID": "places",
                "AWS_SECRET_ACCESS_KEY": PASSWORD,
                "AWS_DEFAULT_REGION": "us-east-1",
                "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            }
            try:
                _make_bucket(variables, server, folder)
                yield variables
            finally:  # a killed server leaves them, with its ports in their names
                for number in ports.values():
                    for socket in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                        socket.unlink(missing_ok=True)


def _make_bucket(variables: Mapping[str, str], server: subprocess.Popen[bytes], folder: Path) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=variables["MLFLOW_S3_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )

    def made() -> bool:
        with suppress(BotoCoreError, ClientError):
            client.create_bucket(Bucket="bucket")
            client.put_object(Bucket="bucket", Key="probe", Body=b"x")  # a volume has to grow first
            return True
        return False

    _await(made, server, folder)


def _programs() -> Path:
    """The folder of PostgreSQL's programs."""
    on_path = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *on_path):
        if all((folder / name).exists() for name in ("initdb", "postgres", "createdb")):
            return folder
    pytest.skip("PostgreSQL is not installed")


def _other_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """Not pytest's own: nobody else may look into that."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        if user:
            shutil.chown(name, user)
        yield Path(name)


@contextmanager
def _running(
    program: object, *options: object, user: str | None, folder: Path, end: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(part) for part in (program, *options)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            yield server
        finally:
            server.send_signal(end)
            server.wait()


def _done(
    *command: object, cwd: Path, user: str | None = None, variables: Mapping[str, str] | None = None
) -> None:
    done = subprocess.run(
        [*map(str, command)],
        user=user,
        cwd=cwd,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _await(
    ready: Callable[[], bool], server: subprocess.Popen[bytes], folder: Path, seconds: float = 90
) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError((folder / "log").read_text(errors="replace")[-3000:])
        time.sleep(0.2)
