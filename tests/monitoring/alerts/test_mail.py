"""Alerts by mail, to a server that speaks SMTP."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from runtime_lib.monitoring.alerts.mail import send
from runtime_lib.monitoring.alerts.message import Message, Undelivered
from runtime_lib.settings.channel import Channel
from tests.support.alerts import alert
from tests.support.mail_server import certificate, mail_server

OFFERS = ("STARTTLS", "AUTH PLAIN", "8BITMIME")
PASSWORD = "correct horse ü"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("mail"))


@pytest.fixture
def trusted(pem, monkeypatch):
    """The authority of the server's certificate is one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return pem


def mailbox(server, **keys):
    given = {"host": "127.0.0.1", "sender": "ml@shop.example", "to": ("ops@shop.example", "b@shop.example")}
    return Channel(kind="email", port=server.port, **{**given, **keys})


def deliver(server, message=None, **keys):
    send(mailbox(server, **keys), message or Message(alert()), 30)


def test_a_mail_arrives_encrypted_and_logged_in(trusted):
    with mail_server(trusted, offers=OFFERS, login="me:horse") as server:
        deliver(server, user="me", password="horse")
    [mail] = server.mails
    assert (server.encrypted, server.logins) == ([True], ["me:horse"])
    assert server.recipients == [["ops@shop.example", "b@shop.example"]]
    assert (mail["From"], mail["To"]) == ("ml@shop.example", "ops@shop.example, b@shop.example")
    assert mail["Subject"] == "[warning] shop version 7: drift in <b>place</b> & 'speed'"
    text = mail.get_content().replace("\r\n", "\n")
    assert text.startswith(alert().text)
    assert "Affected: <b>place</b>, speed\n" in text
    assert "Report: /srv/shop/var/monitoring/report.html\n" in text
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_connection_may_be_encrypted_from_the_first_byte(trusted):
    with mail_server(trusted, tls=True, offers=("AUTH PLAIN",), login="me:horse") as server:
        deliver(server, security="tls", user="me", password="horse")
    assert server.encrypted == [True]


def test_without_encryption_only_if_it_is_asked_for(pem):
    with mail_server(pem) as server:
        deliver(server, security="none")
        with pytest.raises(Undelivered) as caught:
            deliver(server)
    assert (caught.value.cause, caught.value.final) == ("the server does not offer STARTTLS", True)
    assert server.encrypted == [False]


def test_a_certificate_that_nobody_trusts_gets_no_mail(pem):
    with mail_server(pem, offers=OFFERS) as server:
        with pytest.raises(Undelivered, match="SSLCertVerificationError"):
            deliver(server)
        assert server.mails == server.logins == []


def test_one_incident_is_one_thread_and_a_mail_that_comes_again_has_the_same_id(trusted):
    with mail_server(trusted, offers=OFFERS) as server:
        for message in (Message(alert()), Message(alert()), Message(alert(status="resolved"), 1, "warning")):
            deliver(server, message)
    first, again, gone = server.mails
    assert first["Message-ID"] == again["Message-ID"] != gone["Message-ID"]
    assert first["References"] == gone["References"] == f"<{alert().incident}@shop.example>"
    assert gone["Subject"].startswith("[resolved] shop version 7")


@pytest.mark.parametrize(
    ("how", "keys", "cause", "final"),
    [
        ({"login": "me:other"}, {"user": "me", "password": "s3cr3t"}, "SMTP 535", True),
        ({"busy": 1}, {}, "SMTP 421", False),
        ({"answers": dict.fromkeys(("ops@shop.example", "b@shop.example"), "450 s3cr3t")}, {}, "450", False),
        ({"answers": dict.fromkeys(("ops@shop.example", "b@shop.example"), "550 s3cr3t")}, {}, "550", True),
        (
            {"offers": ("STARTTLS",)},
            {"user": "me", "password": "s3cr3t"},
            "does not offer what the",
            True,
        ),
    ],
)
def test_a_refusal_is_its_code_and_not_the_words_of_the_server(trusted, how, keys, cause, final):
    with mail_server(trusted, **{"offers": OFFERS, **how}) as server, pytest.raises(Undelivered) as caught:
        deliver(server, **keys)
    assert cause in caught.value.cause
    assert caught.value.final is final
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__context__ is None
    assert server.mails == []


def test_a_mail_that_one_of_two_may_read_is_delivered_and_the_other_logged(trusted, caplog):
    answers = {"b@shop.example": "550 no such user"}
    with mail_server(trusted, offers=OFFERS, answers=answers) as server, caplog.at_level(logging.WARNING):
        deliver(server)
    assert server.recipients == [["ops@shop.example"]]
    assert "127.0.0.1 refused 1 of the 2 recipients of an alert." in caplog.text


def test_a_title_makes_no_header(trusted):
    odd = alert(title="x\r\nBcc: all@shop.example", members=("a\nb",))
    with mail_server(trusted, offers=OFFERS) as server:
        deliver(server, Message(odd))
    assert server.mails[0]["Bcc"] is None


def test_nobody_listening():
    from tests.support.projects import free_port

    channel = Channel(kind="email", host="127.0.0.1", port=free_port(), sender="a@b", to=("c@d",))
    with pytest.raises(Undelivered, match="ConnectionRefusedError"):
        send(channel, Message(alert()), 30)
