"""mlops.toml, environments and variables become one frozen value; what is wrong is named."""

from __future__ import annotations

import pytest

import runtime_lib.settings
from runtime_lib.errors import SettingsError
from runtime_lib.settings import Moved, find_root, load

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
        ("", {"MLOPS_SERVING__PORT": "many"}, "serving.port = 'many': Expected a whole number.*PORT or"),
        ("[serving]\nport = 0\n", {}, r"Set in .*/mlops\.toml\.$"),
        ("", {"MLOPS_HARDWARE__MEMORY_GIB": "inf"}, "hardware.memory_gib = 'inf': Expected a number <= "),
        ("", {"MLOPS_HARDWARE__PRICE_PER_KWH": "0,32"}, "price_per_kwh = '0,32': Expected a number"),
        ("[hardware]\nmemory_gib = 2\nleast_memory_gib = 5\n", {}, "least_memory_gib = 5.*memory_gib = 2"),
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


@pytest.fixture
def renamed(monkeypatch):
    """Two keys moved in this release and one that went long ago; this release itself may have none."""
    table = {
        "monitoring.limit": Moved("monitoring.drift_threshold", "99.0"),
        "web.port": Moved("serving.port", "99.0"),
        "serving.workers": Moved("", "99.0"),
        "serving.address": Moved("serving.host", "0.1"),
        "serving.speed": Moved("", "0.1"),
    }
    monkeypatch.setattr(runtime_lib.settings, "RENAMED", table)
    runtime_lib.settings._warn_once.cache_clear()


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("[monitoring]\nlimit = 0.5\n", {}),
        ("[environments.prod.monitoring]\nlimit = 0.5\n", {"MLOPS_ENV": "prod"}),
        ("", {"MLOPS_MONITORING__LIMIT": "0.5"}),
        # An old name in a stronger source wins over the new one in a weaker.
        ("[monitoring]\ndrift_threshold = 0.1\n", {"MLOPS_MONITORING__LIMIT": "0.5"}),
        # In one source, the new name does.
        ("[monitoring]\ndrift_threshold = 0.5\nlimit = 0.1\n", {}),
    ],
)
def test_a_renamed_key_is_read_from_every_source_and_told_once(settings, renamed, caplog, text, environ):
    for _ in range(2):
        assert settings(text, **environ).monitoring.drift_threshold == 0.5
    [told] = [record.getMessage() for record in caplog.records]
    assert "'monitoring.limit'" in told
    assert (
        "is called 'monitoring.drift_threshold' now: rename it. From version 99.0 on it is refused." in told
    )


def test_a_key_may_move_to_another_table_or_go(settings, renamed, caplog):
    assert settings("[serving]\nworkers = 3\n").serving.port == 8000
    assert "'serving.workers'" in caplog.text
    assert "has no effect any more: take it out." in caplog.text
    assert settings("", MLOPS_WEB__PORT="9001").serving.port == 9001


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[serving]\naddress = "::1"\n', "'serving.address'.* is called 'serving.host' now: rename it"),
        ("[serving]\nspeed = 1\n", "'serving.speed'.* has no effect any more: take it out"),
    ],
)
def test_after_its_time_an_old_key_is_refused_and_the_new_one_named(settings, renamed, text, named):
    with pytest.raises(SettingsError, match=named):
        settings(text)


def test_the_root_is_found_from_below(settings, tmp_path):
    settings()
    (tmp_path / "src" / "late").mkdir(parents=True)
    assert find_root(tmp_path / "src" / "late") == tmp_path.resolve()


def test_outside_a_project_the_way_in_is_named(tmp_path):
    with pytest.raises(SettingsError, match="copier copy"):
        find_root(tmp_path)
