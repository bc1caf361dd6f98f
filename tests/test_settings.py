"""mlops.toml, environments and variables become one frozen value; what is wrong is named."""

from __future__ import annotations

import msgspec
import pytest

import runtime_lib.settings.read
import runtime_lib.settings.renamed
from runtime_lib.errors import SettingsError
from runtime_lib.settings import find_root, load
from runtime_lib.settings.build import build
from runtime_lib.settings.paths import Paths
from runtime_lib.settings.read import read_layers
from runtime_lib.settings.tables import Moved

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
        (
            "[monitoring]\nwindows = 2\npersistence = 3\n",
            {},
            r"monitoring.persistence = 3: so many windows cannot agree.*monitoring.windows = 2.*mlops\.toml",
        ),
        (
            "[monitoring]\npersistence = 2\n",
            {"MLOPS_MONITORING__WINDOWS": "1"},
            "monitoring.persistence = 2: so many.*monitoring.windows = 1",
        ),
        (
            "[monitoring]\ntogether_threshold = 0.4\n",
            {},
            "together_threshold = 0.4: Expected a number >= 0.5",
        ),
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


def test_one_window_decides_by_itself(settings):
    """A project that asks for one need not lower how many must agree."""
    assert settings("[monitoring]\nwindows = 1\n").monitoring.windows == 1


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
    monkeypatch.setattr(runtime_lib.settings.read, "RENAMED", table)
    runtime_lib.settings.renamed._warn_once.cache_clear()


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
def test_a_renamed_key_is_read_from_every_source_and_reported_once(settings, renamed, caplog, text, environ):
    for _ in range(2):
        assert settings(text, **environ).monitoring.drift_threshold == 0.5
    [warning] = [record.getMessage() for record in caplog.records]
    assert "'monitoring.limit'" in warning
    assert (
        "is called 'monitoring.drift_threshold' now: rename it. From version 99.0 on it is refused."
        in warning
    )


def test_a_key_may_move_to_another_table_or_go(settings, renamed, caplog):
    assert settings("[serving]\nworkers = 3\n").serving.port == 8000
    assert "'serving.workers'" in caplog.text
    assert "has no effect any more: remove it." in caplog.text
    assert settings("", MLOPS_WEB__PORT="9001").serving.port == 9001


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[serving]\naddress = "::1"\n', "'serving.address'.* is called 'serving.host' now: rename it"),
        ("[serving]\nspeed = 1\n", "'serving.speed'.* has no effect any more: remove it"),
    ],
)
def test_after_its_time_an_old_key_is_refused_and_the_new_one_named(settings, renamed, text, named):
    with pytest.raises(SettingsError, match=named):
        settings(text)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    times: int = 3


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    retry: Retry = msgspec.field(default_factory=Retry)
    quiet: Retry | None = None


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    rows: int = 1
    alerts: dict[str, Alert] = msgspec.field(default_factory=dict)
    limits: dict[str, float] = msgspec.field(default_factory=dict)


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Deeper than the library's own settings, and with names that a project chooses."""

    watch: Watch = msgspec.field(default_factory=Watch)


@pytest.fixture
def house(tmp_path):
    def read(text="", environment="local", **environ):
        file = tmp_path / "mlops.toml"
        file.write_text(text)
        return build(House, read_layers(file, environment, environ)).watch

    return read


OPS = '[watch.alerts.ops]\nurl = "a"\nretry.times = 1\n'


def test_tables_inside_tables_are_read_from_every_source(house):
    over = OPS + '[environments.prod.watch.alerts.ops]\nurl = "b"\n'
    assert house(OPS).alerts["ops"] == Alert(url="a", retry=Retry(times=1))
    assert house(over, "prod").alerts["ops"] == Alert(url="b", retry=Retry(times=1))
    found = house(over, "prod", MLOPS_WATCH__ALERTS__OPS__URL="c", MLOPS_WATCH__ALERTS__NEW__URL="d")
    assert found.alerts == {"ops": Alert(url="c", retry=Retry(times=1)), "new": Alert(url="d")}
    assert house(OPS, MLOPS_WATCH__ALERTS__OPS__QUIET__TIMES="2").alerts["ops"].quiet == Retry(times=2)
    assert house("[watch.limits]\na = 1\n", MLOPS_WATCH__LIMITS__B="0.5").limits == {"a": 1.0, "b": 0.5}


def test_a_variable_reaches_a_name_with_capitals_and_hyphens(house):
    text = '[watch.alerts.Ops-Team]\nurl = "a"\n'
    assert house(text, MLOPS_WATCH__ALERTS__OPS_TEAM__URL="b").alerts == {"Ops-Team": Alert(url="b")}


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        (OPS + "retry.tims = 2\n", {}, "Unknown key 'watch.alerts.ops.retry.tims' .*mlops.toml.*'.*.times'"),
        ("[watch.alert.ops]\n", {}, "Unknown table 'watch.alert' .*Did you mean 'watch.alerts'"),
        (OPS, {"MLOPS_WATCH__ALERTS__OPS__URI": "x"}, "Unknown key 'watch.alerts.ops.uri' .*OPS__URI or"),
        ("[watch]\nzz = 1\n", {}, "Known: watch.rows, watch.alerts, watch.limits"),
        ("[watch.alerts.ops]\n", {}, "The key 'watch.alerts.ops.url' is missing: write it into /"),
        (OPS + 'quiet.times = "x"\n', {}, "watch.alerts.ops.quiet.times = 'x': Expected a whole number"),
        (
            OPS,
            {"MLOPS_WATCH__ALERTS__OPS__RETRY__TIMES": "x"},
            "times = 'x': .* Set in MLOPS_WATCH__A.*TIMES ",
        ),
        (
            OPS,
            {"MLOPS_WATCH__ALERTS__OPS": "x"},
            r"\[watch.alerts.ops\] must be a table, not 'x'. Set in MLOPS_",
        ),
        (
            "",
            {"MLOPS_WATCH__ROWS__X": "1", "MLOPS_WATCH__ROWS": "2"},
            "Unknown key 'watch.rows.x' .*ROWS__X or",
        ),
        ("[watch.limits]\na = true\n", {}, "watch.limits.a = True: Expected a number"),
        ("environments = 1\n", {}, r"\[environments\] must be a table, not 1"),
        ("[environments]\nprod = 1\n", {}, r"\[environments.prod\] must be a table, not 1"),
        ("[environments.prod.watch]\nrows = 0.5\n", {}, r"rows = 0.5: .* Set in \[environments.prod\] of /"),
    ],
)
def test_what_is_wrong_is_named_at_any_depth(house, text, environ, named):
    with pytest.raises(SettingsError, match=named):
        house(text, "prod" if "prod" in text else "local", **environ)


def test_a_key_is_renamed_in_every_table_of_a_chosen_name(house, monkeypatch, caplog):
    table = {"watch.alerts.*.address": Moved("watch.alerts.*.url", "99.0")}
    monkeypatch.setattr(runtime_lib.settings.read, "RENAMED", table)
    found = house('[watch.alerts]\nx.address = "a"\ny.address = "b"\n', MLOPS_WATCH__ALERTS__Y__ADDRESS="c")
    assert found.alerts == {"x": Alert(url="a"), "y": Alert(url="c")}
    assert "'watch.alerts.x.address' (" in caplog.text
    assert "is called 'watch.alerts.x.url' now: rename it" in caplog.text


def test_a_file_that_is_no_text_is_named(settings, tmp_path):
    settings()
    (tmp_path / "mlops.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not valid TOML"):
        load(tmp_path, environ={})


def test_what_loading_fills_in_is_no_key(settings):
    with pytest.raises(SettingsError, match="Unknown table 'environment'"):
        settings('[environment]\nname = "prod"\n')


def test_every_path_hangs_below_the_root(settings, tmp_path):
    found, root = settings(), tmp_path.resolve()
    assert found.split_part("test") == root / "data" / "split" / "test.parquet"
    assert found.report("evaluation") == root / "reports" / "evaluation.json"
    assert found.lock("run") == root / "var" / "run.lock"
    names = [name for name in dir(Paths) if isinstance(getattr(Paths, name), property)]
    assert len(names) > 10
    for name in names:
        assert getattr(found, name).is_relative_to(root)


def test_the_root_is_found_from_below(settings, tmp_path):
    settings()
    (tmp_path / "src" / "late").mkdir(parents=True)
    assert find_root(tmp_path / "src" / "late") == tmp_path.resolve()


def test_outside_a_project_the_way_in_is_named(tmp_path):
    with pytest.raises(SettingsError, match="copier copy"):
        find_root(tmp_path)
