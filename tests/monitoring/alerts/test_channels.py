"""Channels in `mlops.toml`: secrets from the environment alone, and keys that fit their kind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.send import channels_of
from runtime_lib.settings.channel import KEYS, Channel
from runtime_lib.settings.channels import _COMMON
from runtime_lib.settings.wire import from_dict, to_dict, without_logins
from tests.support.alerts import webhook

SECRET = "https://hooks.example/s3cr3t"
ENV = "MLOPS_MONITORING__ALERTS__"


def table(kind, *lines, name="ops"):
    return "\n".join([f"[monitoring.alerts.{name}]", f'kind = "{kind}"', *lines, ""])


MAIL = table("email", 'host = "mail.example"', 'sender = "ml@example.org"', 'to = ["ops@example.org"]')


def test_a_channel_is_a_table_and_its_secret_a_variable(project):
    settings = project(table("slack", 'severity = "critical"'), **{ENV + "OPS__URL": SECRET})
    [(name, channel)] = channels_of(settings).items()
    assert (name, channel.kind, channel.severity, channel.url) == ("ops", "slack", "critical", SECRET)
    assert (channel.repeat, channel.tries, channel.missing, channel.place) == (24, 3, (), "hooks.example")


@pytest.mark.parametrize("name", ["On-Call", "on_call", "ON-CALL", "On_Call"])
def test_a_variable_finds_its_channel_whatever_its_case_and_hyphens(project, name):
    settings = project(table("slack", name=name), **{ENV + "ON_CALL__URL": SECRET})
    assert settings.monitoring.alerts[name].url == SECRET


def test_a_channel_may_be_made_of_variables_alone(project):
    settings = project("", **{ENV + "CI__KIND": "webhook", ENV + "CI__URL": SECRET, ENV + "CI__TRIES": "5"})
    assert settings.monitoring.alerts["ci"].tries == 5


def test_secrets_of_a_channel_that_this_environment_does_not_have_are_left_alone(project):
    text = table("slack").replace("[monitoring", "[environments.prod.monitoring")
    assert project(text, **{ENV + "OPS__URL": SECRET}).monitoring.alerts == {}
    assert (
        project(text, MLOPS_ENV="prod", **{ENV + "OPS__URL": SECRET}).monitoring.alerts["ops"].url == SECRET
    )


@pytest.mark.parametrize(
    ("text", "key", "variable"),
    [
        (table("slack", f'url = "{SECRET}"'), "ops.url", "OPS__URL"),
        (table("webhook", f'secret = "{SECRET}"', name="On-Call"), "On-Call.secret", "ON_CALL__SECRET"),
        (table("pagerduty", f'routing_key = "{SECRET}"'), "ops.routing_key", "OPS__ROUTING_KEY"),
        (MAIL + f'user = "me"\npassword = "{SECRET}"\n', "ops.password", "OPS__PASSWORD"),
        (table("slack", "url = 5 "), "ops.url", "OPS__URL"),
        (table("slac", f'url = "{SECRET}"'), "ops.url", "OPS__URL"),
        (
            table("slack", f'url = "{SECRET}"').replace("[monitoring", "[environments.prod.monitoring"),
            "ops.url",
            "OPS__URL",
        ),
    ],
)
def test_a_secret_in_the_file_is_refused_with_its_variable_and_not_repeated(project, text, key, variable):
    with pytest.raises(SettingsError) as caught:
        project(text, **({"MLOPS_ENV": "prod"} if "prod" in text else {}))
    said = str(caught.value)
    assert f"'monitoring.alerts.{key}' is a secret" in said
    assert f"set the variable {ENV}{variable}" in said
    assert "mlops.toml" in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("", {ENV + "OPS": SECRET}, r"\[monitoring.alerts.ops\] must be a table.*ALERTS__OPS or"),
        (f'[monitoring]\nalerts = "{SECRET}"\n', {}, r"\[monitoring.alerts\] must be a table.*toml"),
        (f'[monitoring.alerts]\nops = "{SECRET}"\n', {}, r"\[monitoring.alerts.ops\] must be a table"),
        (f'[monitoring.alerts]\nurl = "{SECRET}"\n', {}, r"\[monitoring.alerts.url\] must be a table"),
        (table("slack", f'urk = "{SECRET}"'), {}, "Unknown key 'monitoring.alerts.ops.urk'.*'.*ops.url'"),
        (table("slack"), {ENV + "OPS__URL": "ftp://s3cr3t"}, "ops.url' .*OPS__URL.* not an http or https"),
        (table("slack"), {ENV + "OPS__URL": "https://me:s3cr3t@h/"}, "ops.url' .* user name"),
        (table("slack"), {ENV + "OPS__URL": "https://h/s3cr3t\n"}, "ops.url' .* not an http or https"),
        (table("slack"), {ENV + "OPS__URL": "https://h:s3cr3t/"}, "ops.url' .* not an http or https"),
        (table("webhook"), {ENV + "OPS__SECRET": "whsec_s3cr3t!"}, "ops.secret' .*begins with whsec_"),
        (MAIL, {ENV + "OPS__PASSWORD": SECRET}, "ops.user' .*is missing, and there is a password"),
        (
            MAIL + 'security = "none"\nuser = "me"\n',
            {ENV + "OPS__PASSWORD": SECRET},
            "ops.security' .*clear text",
        ),
        (
            table("slack", f'host = "{SECRET}"'),
            {},
            "ops.host' .*is no key of the kind 'slack', which takes url",
        ),
        (table("fax"), {}, "monitoring.alerts.ops.kind = 'fax': choose one of webhook, slack, pagerduty"),
        ("[monitoring.alerts.ops]\n", {}, "The key 'monitoring.alerts.ops.kind' is missing"),
        (
            table("email", 'host = "h"', 'sender = "a@b"'),
            {},
            "ops.to' .*is missing, and the kind 'email' needs",
        ),
        (MAIL.replace("ops@example.org", "ops"), {}, "ops.to' .*holds 'ops', which is no mail address"),
        (table("alertmanager"), {}, "ops.url' .*is missing, and the kind 'alertmanager' needs it"),
        (table("slack", "repeat = -1"), {}, "monitoring.alerts.ops.repeat = -1: Expected a number >= 0"),
        (table("slack", name='"a b"'), {}, "The channel's name 'a b' .* cannot be spelt in a variable"),
        (table("slack", name="a__b"), {}, "The channel's name 'a__b'"),
        (
            table("slack", name="on-call") + table("slack", name="On_Call"),
            {},
            "ALERTS__ON_CALL__.*rename one",
        ),
        (
            table("slack", name="webhook"),
            {"MLOPS_MONITORING__WEBHOOK": "https://h/s3cr3t"},
            "monitoring.webhook and .* have the same name",
        ),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_repeated(project, text, environ, named):
    with pytest.raises(SettingsError, match=named) as caught:
        project(text, **environ)
    assert "s3cr3t" not in str(caught.value)


def test_addresses_that_are_no_secret_may_stand_in_the_file(project):
    settings = project(
        table("alertmanager", 'url = "http://127.0.0.1:9093"', name="am")
        + table("pagerduty", 'url = "https://events.eu.pagerduty.com/v2/enqueue"', name="pd")
    )
    places = [channel.place for channel in channels_of(settings).values()]
    assert places == ["127.0.0.1:9093", "events.eu.pagerduty.com"]


def test_the_old_webhook_is_a_channel_and_may_stand_in_the_file(project):
    settings = project(f'[monitoring]\nwebhook = "{SECRET}"\n' + table("slack"))
    assert list(channels_of(settings)) == ["webhook", "ops"]
    with pytest.raises(SettingsError, match=r"monitoring\.webhook is not an http") as caught:
        channels_of(project('[monitoring]\nwebhook = "s3cr3t"\n'))
    assert "s3cr3t" not in str(caught.value)


def test_settings_show_no_secret_and_lose_them_on_the_way_to_another_machine(project):
    text, environ = webhook("ops", "https://hooks.example/s3cr3t-1", repeat="1")
    environ |= {
        ENV + "OPS__SECRET": "s3cr3t-2",
        ENV + "PD__ROUTING_KEY": "s3cr3t-3",
        ENV + "M__PASSWORD": "s3cr3t-4",
    }
    mail = MAIL.replace(".ops]", ".m]") + 'user = "me"\n'
    old = '[monitoring]\nwebhook = "https://hooks.example/s3cr3t-5"\n'
    settings = project(old + text + mail + table("pagerduty", name="pd"), **environ)
    assert "s3cr3t" not in repr(settings) + str(settings) + f"{settings.monitoring!r}"
    assert "hooks.example" not in repr(settings)
    whole = json.dumps(to_dict(settings))
    assert all(f"s3cr3t-{n}" in whole for n in range(1, 6))
    assert from_dict(json.loads(whole)) == settings
    bare = json.dumps(to_dict(without_logins(settings)))
    assert "s3cr3t" not in bare
    assert from_dict(json.loads(bare)).monitoring.alerts["ops"].repeat == 1


def test_the_tables_of_the_docs_are_taken(project):
    page = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    kinds = {channel.kind for block in blocks for channel in project(block).monitoring.alerts.values()}
    assert kinds == {"slack", "pagerduty", "email", "alertmanager"}
    defaults = dict(re.findall(r'^\| `(\w+)` \| `?"?([\w.]+)"?`? \| ', page, re.MULTILINE))
    channel = project(table("webhook")).monitoring.alerts["ops"]
    assert {key: str(getattr(channel, key)) for key in defaults} == {
        key: value if key in ("severity", "tries") else str(float(value)) for key, value in defaults.items()
    }
    assert set(defaults) == _COMMON - {"kind"}


def test_every_key_belongs_to_a_kind():
    keys = {field.name for field in msgspec.structs.fields(Channel)}
    assert keys == _COMMON.union(*(kind.all for kind in KEYS.values()))
