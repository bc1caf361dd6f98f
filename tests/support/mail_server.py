"""A mail server on 127.0.0.1: SMTP (RFC 5321) with STARTTLS, TLS and AUTH. It keeps what it takes."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

__all__ = ["MailServer", "certificate", "mail_server"]


@dataclass
class MailServer:
    """How it behaves, and what it took.

    Attributes:
        offers: its answer to EHLO.
        login: the only user and password that it takes; empty: it asks for none.
        answers: the answer to a recipient, by address; others are taken.
        busy: how many more connections it turns away with 421.
    """

    offers: tuple[str, ...] = ()
    login: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    busy: int = 0
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


def certificate(folder: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1, which is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def mail_server(pem: Path, *, tls: bool = False, **how: Any) -> Iterator[MailServer]:
    """Run it; with `tls` a connection is encrypted from its first byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    state = MailServer(**how)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, ValueError):
                _Session(self, context, state, encrypted=tls).run()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def get_request(self) -> Any:
            connection, address = super().get_request()
            if tls:
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return connection, address

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that does not trust the certificate ends the handshake

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class _Session:
    """One connection, command by command."""

    def __init__(self, handler: Any, context: ssl.SSLContext, state: MailServer, *, encrypted: bool) -> None:
        self._socket, self._context, self._state = handler.connection, context, state
        self._read, self._encrypted, self._to = handler.rfile, encrypted, list[str]()

    def run(self) -> None:
        if self._state.busy:
            self._state.busy -= 1
            return self._say("421 come back later")
        self._say("220 tests ESMTP")
        while line := self._read.readline():
            word, _, rest = line.decode().strip().partition(" ")
            if word.upper() == "QUIT":
                return self._say("221 bye")
            getattr(self, f"_{word.lower()}", self._unknown)(rest)

    def _say(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def _unknown(self, rest: str) -> None:
        self._say("502 unknown")

    def _ehlo(self, rest: str) -> None:
        *most, last = ("tests", *self._state.offers)
        self._say(*(f"250-{each}" for each in most), f"250 {last}")

    def _rset(self, rest: str) -> None:
        self._say("250 ok")

    def _starttls(self, rest: str) -> None:
        self._say("220 go ahead")
        self._socket = self._context.wrap_socket(self._socket, server_side=True)
        self._read, self._encrypted = self._socket.makefile("rb"), True

    def _auth(self, rest: str) -> None:
        _, _, given = rest.partition(" ")
        _, user, password = base64.b64decode(given).decode().split("\0")
        self._state.logins.append(f"{user}:{password}")
        good = f"{user}:{password}" == self._state.login
        self._say("235 welcome" if good else f"535 wrong password {password} of {user}")

    def _mail(self, rest: str) -> None:
        self._to = []
        self._say("250 ok")

    def _rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        answer = self._state.answers.get(address, "250 ok")
        if answer.startswith("250"):
            self._to.append(address)
        self._say(answer)

    def _data(self, rest: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self._read.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        self._state.recipients.append(self._to)
        self._state.encrypted.append(self._encrypted)
        self._state.mails.append(mail)  # type: ignore[arg-type]
        self._say("250 taken")
