"""mlops.toml, environments and variables become one frozen value; what is wrong is named."""

from __future__ import annotations

import pytest

from runtime_lib.errors import SettingsError
from runtime_lib.settings import find_root, load

BASE = '[project]\nname = "late"\npackage = "late"\n'


@pytest.fixture
def settings(tmp_path):
    def read(text="", **environ):
        (tmp_path / "mlops.toml").write_text(BASE + text)
        return load(tmp_path, environ=environ)

    return read


def test_defaults_need_no_server_and_bind_to_this_machine(settings, tmp_path):
    found = settings()
    assert found.serving.host == "127.0.0.1"
    assert found.tracking.uri.startswith("sqlite:///")
    assert found.model_name == found.experiment == "late"
    assert found.root == tmp_path.resolve()


def test_variables_win_over_environments_and_those_over_the_file(settings):
    text = "[serving]\nport = 1\nmax_rows = 1\n[environments.prod.serving]\nport = 2\n"
    assert settings(text).serving.port == 1
    assert settings(text, MLOPS_ENV="prod").serving.port == 2
    found = settings(text, MLOPS_ENV="prod", MLOPS_SERVING__PORT="3")
    assert (found.serving.port, found.serving.max_rows, found.environment) == (3, 1, "prod")


def test_settings_are_frozen(settings):
    with pytest.raises(AttributeError):
        settings().serving.port = 1


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("[servin]\n", {}, "Unknown table 'servin'.*Did you mean 'serving'"),
        ("[serving]\nprot = 1\n", {}, "Unknown key 'serving.prot'.*Did you mean 'serving.port'"),
        ("[serving]\nport = 70000\n", {}, "serving.port = 70000"),
        ('[serving]\nengine = "flask"\n', {}, "serving.engine = 'flask'"),
        ("", {"MLOPS_SERVING__PORT": "many"}, "serving.port = 'many'"),
        ("", {"MLOPS_SERVING__PRT": "1"}, "Unknown key 'serving.prt'"),
        ("", {"MLOPS_ENV": "prd"}, "Unknown environment 'prd'"),
        ("[environments.prod.serving]\nprt = 1\n", {"MLOPS_ENV": "prod"}, "Unknown key 'serving.prt'"),
        ("serving = 1\n", {}, "must be a table|not valid TOML|Unknown"),
        ("[serving\n", {}, "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(settings, text, environ, named):
    with pytest.raises(SettingsError, match=named):
        settings(text, **environ)


def test_the_root_is_found_from_below(settings, tmp_path):
    settings()
    (tmp_path / "src" / "late").mkdir(parents=True)
    assert find_root(tmp_path / "src" / "late") == tmp_path.resolve()


def test_outside_a_project_the_way_in_is_named(tmp_path):
    with pytest.raises(SettingsError, match="copier copy"):
        find_root(tmp_path)
