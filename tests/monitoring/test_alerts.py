"""Alerts, sent to a server that really listens."""

import socket

import pytest

from runtime_lib.errors import ServiceError, SettingsError
from runtime_lib.monitoring.alerts.webhook import host_of, send_webhook


def test_an_alert_arrives_as_json(listening):
    with listening(204) as (address, received):
        send_webhook(f"{address}/hook", {"event": "drift", "text": "5 % → 9 %"})
    assert received == [{"event": "drift", "text": "5 % → 9 %"}]


def test_a_server_that_fails_twice_gets_a_third_try(listening):
    with listening(503, 429, 200) as (address, received):
        send_webhook(address, {"n": 1}, pause=0.01)
    assert received == [{"n": 1}] * 3


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (404, 1), (302, 1)])
def test_giving_up_names_host_and_cause_but_no_secret(listening, status, tries):
    with listening(status) as (address, received), pytest.raises(ServiceError) as caught:
        send_webhook(f"{address}/secret-path?token=secret-token", {}, pause=0.01)
    assert len(received) == tries
    assert address.removeprefix("http://") in str(caught.value)
    assert f"HTTP {status}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_nobody_listening():
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port} .ConnectionRefusedError, try 3"):
            send_webhook(f"http://127.0.0.1:{port}/secret", {}, pause=0.01)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/secret",
        "file:///secret",
        "secret",
        "http://[secret",
        "http://h:secret/",
        "https://me:secret@h/",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(url):
    with pytest.raises(SettingsError) as caught:
        send_webhook(url, {})
    assert "secret" not in str(caught.value)


def test_host_of_hides_path_and_query():
    assert host_of("https://chat.example:8443/secret?secret") == "chat.example:8443"
