"""The commands of a release: their words, JSON and exit codes, and what they do not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime_lib.files import write_json
from runtime_lib.serving.releases.journal import Journal
from runtime_lib.settings import Settings, load
from tests.support.projects import free_port
from tests.support.servers import Server, make_model, make_project, running
from tests.support.traffic import order


def mlops(settings: Settings, *words: str, code: int = 0, options: tuple[str, ...] = ()) -> str:
    """Run a command; what it printed, in its order."""
    program = ("-c", "from runtime_lib.cli import main; main()")
    done = subprocess.run(
        [sys.executable, *options, *program, *words],
        cwd=settings.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {version: make_model(folder / version, seed=int(version)) for version in ("7", "8")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Iterator[Server]:
    settings = make_project(tmp_path_factory.mktemp("project"), engine="local", framework="auto", workers=1)
    with running(settings, models["7"], free_port()) as server:
        yield server


@pytest.fixture
def released(server: Server, models: dict[str, Path]) -> Server:
    """Version 8 has all traffic, which version 7 had before."""
    for version, folder in models.items():
        order(server, "deploy", version=version, held={"folder": str(folder), "digest": ""}, how="at once")
    return server


@pytest.mark.parametrize(
    "words",
    [
        ("deploy",),
        ("deploy", "7", "--canary"),
        ("traffic",),
        ("traffic", "7"),
        ("rollback",),
        ("serve", "--renew"),
    ],
)
def test_without_a_server_each_command_says_how_to_start_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = mlops(make_project(tmp_path), *words, code=1)
    assert "No server of this project runs on this machine. Start it with `mlops serve`" in said
    assert "Traceback" not in said


def test_a_server_that_was_killed_is_none(tmp_path: Path) -> None:
    settings = make_project(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_json(settings.server, {"format": 1, "pid": gone.pid, "control": str(tmp_path / "left")})
    assert "No server of this project runs on this machine." in mlops(settings, "traffic", code=1)


def test_a_journal_that_cannot_be_read_is_told_and_traffic_is_shown(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    settings = make_project(tmp_path, engine="local", framework="auto", workers=1)
    with running(settings, models["7"], free_port()) as server:
        settings.releases.unlink(missing_ok=True)
        settings.releases.mkdir()
        said = mlops(settings, "traffic")
        assert "all to version 7" in said
        assert "problem  The journal of releases cannot be read" in said
        assert "The journal of releases cannot be read" in " ".join(server.ask("/status")[1]["problems"])


def test_the_journal_is_listed_without_a_server_or_a_registry(tmp_path: Path) -> None:
    assert json.loads(mlops(make_project(tmp_path), "releases", "--json")) == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("deploy", "8", "--canary", "--stage"), 2, "--canary and --stage exclude each other."),
        (("traffic", "8=many"), 2, "8=many"),
        (("traffic", "8=70", "7=70"), 2, "140"),
        (
            ("traffic", "9=10", "7"),
            1,
            "Version 9 is not loaded, only 8, 7. `mlops deploy 9 --stage` loads it",
        ),
        (
            ("deploy", "7", "--effect", "0.1"),
            2,
            "--effect belongs to --ab PERCENT, and nothing was released.",
        ),
        (("deploy", "7", "--ab", "10", "--effect", "-1"), 2, "--effect -1: it is a number above 0."),
        (("traffic", "--stop-shadow", "8"), 2, "Version 8 is no shadow."),
        (("rollback", "--reason", "x" * 1001), 2, "--reason has 1,001 characters"),
    ],
)
def test_wrong_use_is_named_and_changes_nothing(
    released: Server, words: tuple[str, ...], code: int, why: str
) -> None:
    before = len(Journal(released.settings.releases).changes())
    said = mlops(released.settings, *words, code=code)
    assert why in said
    assert "Traceback" not in said
    assert len(Journal(released.settings.releases).changes()) == before


def test_traffic_is_divided_shown_and_given_back(released: Server) -> None:
    settings = released.settings
    said = mlops(settings, "traffic", "7=25", "8", "--reason", "try it")
    assert said == (
        "Traffic: 75 % to version 8, 25 % to version 7 (before: all to version 8, version 7 loaded).\n"
    )
    shown = mlops(settings, "traffic")
    assert "Traffic of 'flights': 75 % to version 8, 25 % to version 7" in shown
    assert "workers  1 of 1 ready" in shown
    assert "last     traffic by" in shown
    assert json.loads(mlops(settings, "traffic", "--json"))["traffic"]["weights"] == {"7": 250, "8": 750}
    back = json.loads(mlops(settings, "rollback", "--reason", "too slow", "--json"))
    assert (back["action"], back["by"], back["reason"]) == ("rolled back", "hand", "too slow")
    assert back["after"] == {"8": 1000}
    listed = json.loads(mlops(settings, "releases", "--json"))
    assert listed[-1] == back
    assert [each["reason"] for each in listed[-2:]] == ["try it", "too slow"]
    lines = mlops(settings, "releases").splitlines()
    assert "from" in lines[0]
    assert "too slow" in lines[-1]


def test_rollback_imports_next_to_nothing_before_traffic_has_moved(released: Server) -> None:
    before = os.times()
    said = mlops(released.settings, "rollback", options=("-X", "importtime"))
    after = os.times()
    imported = {
        line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")
    }
    assert "Traffic: all to version 7" in said
    assert "runtime_lib.serving.releases.orders" in imported
    assert not {"mlflow", "numpy", "pandas", "pyarrow", "runtime_lib.registry.choose"} & imported
    seconds = sum(
        getattr(after, part) - getattr(before, part) for part in ("children_user", "children_system")
    )
    assert seconds < 0.7  # of CPU, with the report of imports


def test_without_a_registry_traffic_goes_back_and_the_champion_later(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    settings = make_project(tmp_path, engine="local", framework="auto", workers=1, follow="champion")
    with (settings.root / "mlops.toml").open("a") as file:
        file.write(f'[tracking]\nuri = "http://127.0.0.1:{free_port()}"\n')
    settings = load(tmp_path, environ={})
    with running(settings, models["7"], free_port()) as server:
        for version, folder in models.items():
            order(
                server, "deploy", version=version, held={"folder": str(folder), "digest": ""}, how="at once"
            )
        said = mlops(settings, "rollback")
    moved, later = said.splitlines()
    assert moved.startswith("Traffic: all to version 7")
    assert later.startswith(
        "mlops: Traffic has moved. The server moves the champion once the registry answers"
    )


@pytest.mark.slow
def test_deploy_names_what_the_registry_does_not_hold(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.support.mlops_serve import serving
    from tests.support.registry import GOOD, OTHER, project_with_registry, stored_registry

    stored = stored_registry(tmp_path_factory)
    settings = project_with_registry(tmp_path / "project", stored, port=free_port())
    with serving(settings):
        assert "'flights' has no version '99'" in mlops(settings, "deploy", "99", code=1)
        assert "no version under the alias '@beta'" in mlops(settings, "deploy", "@beta", code=1)
        said = mlops(settings, "deploy", OTHER, "--stage", "--reason", "to be tried")
        assert said.startswith(f"Traffic: all to version {GOOD}, version {OTHER} loaded")
        done = json.loads(mlops(settings, "deploy", OTHER, "--json"))
        assert (done["action"], done["reason"]) == ("deployed", f"deployed {OTHER}")
        assert done["after"] == {OTHER: 1000, GOOD: 0}
