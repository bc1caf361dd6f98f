"""`mlops alerts`: test, list, silence; and no secret in anything that is printed, written or logged."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.settings import Settings, load
from tests.support.alerts import drift
from tests.support.mail_server import certificate, mail_server
from tests.support.projects import free_port
from tests.support.prometheus import alertmanager, needs_alertmanager
from tests.support.receivers import receiving

ENV = "MLOPS_MONITORING__ALERTS__"


def mlops(settings: Settings, *words: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `mlops …` in a process of its own."""
    code = "from runtime_lib.cli import main; main()"
    env = {**os.environ, "COLUMNS": "200", **environ}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=settings.root,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def table(name, kind, **keys):
    lines = "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in {"kind": kind, "pause": 0.01, **keys}.items()
    )
    return f"[monitoring.alerts.{name}]\n{lines}"


def mail(port):
    given = {"host": "127.0.0.1", "port": port, "sender": "ml@a.example", "to": ["ops@a.example"]}
    return table("mail", "email", user="me", **given)


@needs_alertmanager
def test_a_test_alert_goes_through_every_channel(project, tmp_path, tmp_path_factory):
    pem = certificate(tmp_path_factory.mktemp("pem"))
    with (
        receiving() as hook,
        receiving() as chat,
        receiving(202) as pager,
        receiving() as forwarded,
        mail_server(pem, offers=("STARTTLS", "AUTH PLAIN"), login="me:horse") as post,
        alertmanager(tmp_path_factory.mktemp("am"), forwarded.url) as manager,
    ):
        text = (
            f'[monitoring]\nwebhook = "{hook.url}/old"\n'
            + table("hook", "webhook")
            + table("chat", "slack")
            + table("pager", "pagerduty", url=f"{pager.url}/v2/enqueue", severity="critical")
            + mail(post.port)
            + table("am", "alertmanager", url=manager.url)
        )
        environ = {
            f"{ENV}HOOK__URL": f"{hook.url}/new",
            f"{ENV}CHAT__URL": f"{chat.url}/services/x",
            f"{ENV}PAGER__ROUTING_KEY": "k" * 32,
            f"{ENV}MAIL__PASSWORD": "horse",
            "SSL_CERT_FILE": str(pem),
        }
        settings = project(text)
        code, out, err = mlops(settings, "alerts", "test", **environ)
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            f"webhook (webhook, {hook.url.removeprefix('http://')}): delivered",
            f"hook (webhook, {hook.url.removeprefix('http://')}): delivered",
            f"chat (slack, {chat.url.removeprefix('http://')}): delivered",
            f"pager (pagerduty, {pager.url.removeprefix('http://')}): delivered",
            f"mail (email, 127.0.0.1:{post.port}): delivered",
            f"am (alertmanager, {manager.url.removeprefix('http://')}): delivered",
        ]
        [old] = [request.json for request in hook.requests if request.path == "/old"]
        assert (old["event"], old["format"]) == ("test", 1)
        fired, gone = (request.json for request in hook.requests if request.path == "/new")
        assert (fired["test"], fired["type"], gone["type"]) == (True, "alert.firing", "alert.resolved")
        assert "[TEST]" in chat.bodies[0]["text"]
        assert [body["event_action"] for body in pager.bodies] == ["trigger", "resolve"]
        assert pager.bodies[0]["dedup_key"] == pager.bodies[1]["dedup_key"]
        assert pager.bodies[0]["payload"]["summary"].startswith("[TEST] ")
        assert pager.bodies[0]["payload"]["severity"] == "critical"
        assert post.mails[0]["Subject"].startswith("[TEST] [warning] shop: test of the channel 'mail'")
        assert manager.alerts() == []
        assert not settings.alerts.exists(), "a test leaves nothing"


def test_a_test_that_fails_says_why_and_exits_with_1(project):
    with receiving() as good, receiving(404) as bad:
        settings = project(table("good", "webhook") + table("bad", "slack") + table("unset", "pagerduty"))
        environ = {f"{ENV}GOOD__URL": good.url, f"{ENV}BAD__URL": f"{bad.url}/services/s3cr3t"}
        code, out, err = mlops(settings, "alerts", "test", **environ)
        assert (code, err) == (1, "")
        assert "good (webhook, " in out
        assert "): not delivered: HTTP 404, try 1\n" in out
        unset = f"not delivered: set the variable {ENV}UNSET__ROUTING_KEY"
        assert f"unset (pagerduty, events.pagerduty.com): {unset}" in out
        code, out, _ = mlops(settings, "alerts", "test", "bad", "--json", **environ)
        assert code == 1
        [found] = json.loads(out)["channels"]
        assert (found["channel"], found["sent"], found["error"]) == ("bad", 0, "HTTP 404, try 1")
        code, _, err = mlops(settings, "alerts", "test", "god", **environ)
        assert (code, err) == (2, "mlops: There is no channel 'god'. Did you mean 'good'?\n")


def test_without_a_channel_the_next_step_is_named(project):
    settings = project()
    code, _, err = mlops(settings, "alerts", "test")
    assert code == 2
    assert "There is no channel yet: write a table [monitoring.alerts.NAME] into mlops.toml." in err
    code, out, _ = mlops(settings, "alerts", "list")
    assert (code, out) == (0, "Nothing fires.\nNo channel: write [monitoring.alerts.NAME] into mlops.toml.\n")
    assert not settings.alerts.exists()


def test_list_shows_what_fires_what_is_silenced_and_what_was_not_delivered(project):
    with receiving(503) as ops:
        settings = project(table("ops", "webhook"), **{f"{ENV}OPS__URL": ops.url})
        notify(settings, [drift("speed")], source="monitor", now=datetime.now(UTC))
    code, out, _ = mlops(
        settings, "alerts", "silence", "--kind", "drift", "--for", "2h", "--reason", "known sensor"
    )
    assert code == 0
    assert out.startswith("Silenced: ")
    name = out.split()[1].rstrip(":")
    assert f"End it with `mlops alerts silence --end {name}`." in out
    code, out, _ = mlops(settings, "alerts", "list", **{f"{ENV}OPS__URL": ops.url})
    lines = out.splitlines()
    assert (code, lines[0], lines[1]) == (0, "Nothing fires.", "Silenced, firing:")
    assert "[warning] shop: drift in speed (local, since " in lines[2]
    assert f"{name}: kind drift until " in out
    assert "known sensor" in out
    assert "  ops: [warning] shop: drift in speed (HTTP 503, try 3; 1 run since " in out
    assert f"  ops (webhook, {ops.url.removeprefix('http://')}): warning and graver" in out

    found = json.loads(mlops(settings, "alerts", "list", "--json")[1])
    assert found["format"] == 1
    assert [alert["kind"] for alert in found["silenced"]] == ["drift"]
    assert found["dead"][0]["message"]["alert"]["members"] == ["speed"]
    assert found["channels"] == [
        {
            "name": "ops",
            "kind": "webhook",
            "host": "",
            "severity": "warning",
            "repeat": 24.0,
            "missing": [f"{ENV}OPS__URL"],
        }
    ]

    code, out, _ = mlops(settings, "alerts", "silence", "--end", name)
    assert (code, out.startswith(f"Ended: {name}: kind drift")) == (0, True)
    assert "[warning]" in mlops(settings, "alerts", "list")[1].partition("Not delivered")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "drift", "--reason", "x"], "Say for how long, as in --for 2h; or --end ID."),
        (["--for", "2h"], "--reason is empty"),
        (["--for", "soon", "--reason", "x"], "--for 'soon' is no time"),
        (["--end", "abc", "--for", "2h"], "--end ID stands alone"),
        (["--end", "abc"], "There is no silence 'abc'. Known: none"),
    ],
)
def test_a_silence_that_cannot_be_is_used_wrongly(project, words, said):
    code, _, err = mlops(project(), "alerts", "silence", *words)
    assert code == 2
    assert said in err


def test_a_silence_of_a_kind_that_nothing_finds_is_warned_of(project):
    settings = project()
    words = ("alerts", "silence", "--for", "2h", "--reason", "x", "--kind")
    code, out, err = mlops(settings, *words, "drfit")
    assert (code, "kind drfit until" in out) == (0, True)
    assert err == "mlops: warning: nothing here finds the kind 'drfit': did you mean 'drift'?\n"
    assert "known are drift, skew, quality, performance" in mlops(settings, *words, "x")[2]
    assert mlops(settings, *words, "quality")[2] == ""


def test_no_secret_is_printed_written_or_logged(project, tmp_path, tmp_path_factory):
    """Each secret is a canary; each channel answers with what it was sent, and fails."""
    pem = certificate(tmp_path_factory.mktemp("pem"))
    canaries = {
        f"{ENV}HOOK__URL": "c4nary-one-of-the-webhook",
        f"{ENV}HOOK__SECRET": "c4nary-two",
        f"{ENV}CHAT__URL": "services/T0/c4nary_three",
        f"{ENV}PAGER__ROUTING_KEY": "c4naryfour0123456789012345678901",
        f"{ENV}MAIL__PASSWORD": "c4nary five",
        f"{ENV}AM__PASSWORD": "c4nary-six/ü",
        "MLOPS_MONITORING__WEBHOOK": "c4nary-seven-of-the-old",
    }
    with (
        receiving(400, text=b"c4nary_three") as bad,
        mail_server(pem, offers=("STARTTLS", "AUTH PLAIN"), login="me:other") as post,
    ):
        addresses = ("HOOK__URL", "CHAT__URL", "MLOPS_MONITORING__WEBHOOK")
        environ = {
            key: f"{bad.url}/{value}?key={value}" if key.endswith(addresses) else value
            for key, value in canaries.items()
        }
        environ["SSL_CERT_FILE"] = str(pem)
        text = (
            table("hook", "webhook")
            + table("chat", "slack")
            + table("pager", "pagerduty", url=f"{bad.url}/v2/enqueue")
            + mail(post.port)
            + table("am", "alertmanager", url=bad.url, user="me")
            + table("away", "webhook", tries=1)
        )
        environ[f"{ENV}AWAY__URL"] = f"http://127.0.0.1:{free_port()}/c4nary-eight"
        settings = project(text)
        said = []
        for words in (["alerts", "test"], ["alerts", "test", "--json"]):
            code, *out = mlops(settings, *words, **environ)
            assert code == 1
            assert "not delivered: HTTP 400" in out[0] or '"HTTP 400' in out[0]
            said += out
        run = subprocess.run(
            [sys.executable, "-c", RUN, str(settings.root)],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "raised on purpose" in run.stderr
        assert "The alert was not delivered to " in run.stdout
        said += [run.stdout, run.stderr]
        for words in (["alerts", "list"], ["alerts", "list", "--json"], ["doctor", "--json"]):
            said += mlops(settings, *words, **environ)[1:]
        loaded = load(settings.root, environ=environ)
        said += [repr(loaded), str(loaded.monitoring)]
    written = [
        path.read_bytes().decode(errors="replace") for path in Path(tmp_path).rglob("*") if path.is_file()
    ]
    assert any("HTTP 400" in text for text in written), "the dead letters are there"
    everything = "\n".join([*said, *written])
    assert "SMTP 535" in everything
    assert [line for line in everything.splitlines() if "c4nary" in line.lower()] == []
    for login in ("me:c4nary-six/ü", "\0me\0c4nary five"):
        assert base64.b64encode(login.encode()).decode() not in everything


RUN = """
import logging, sys
from pathlib import Path
from runtime_lib.monitoring.alerts.alert import Finding
from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.secrets import guard
from runtime_lib.settings import load

logging.basicConfig(level=logging.DEBUG)
guard()
settings = load(Path(sys.argv[1]))
url = settings.monitoring.alerts["hook"].url
secret = settings.monitoring.alerts["hook"].secret
found = Finding("drift", f"shop: drift at {url}", f"said {secret}", evidence={"at": url, url: secret})
for outcome in notify(settings, [found], source="monitor", plain={"event": "drift", "text": url}):
    print(outcome)
logging.getLogger().info("%s", settings)
raise RuntimeError(f"raised on purpose: {secret}")
"""
