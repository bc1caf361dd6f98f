"""Send alerts by mail: SMTP, encrypted unless the settings say otherwise."""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from runtime_lib.monitoring.alerts.message import Message, Undelivered, cut, unreached
from runtime_lib.settings.channel import Channel

__all__ = ["letter", "send"]

_SUBJECT = 200


def send(channel: Channel, message: Message, timeout: float) -> None:
    """Send the mail, once. It is delivered if one of its recipients was taken; the others are logged.

    Raises:
        Undelivered: final for an answer of 5xx, or a server that does not offer what the settings ask for.
    """
    try:
        server = _connection(channel, timeout)
        try:
            refused = server.send_message(letter(channel, message))
        finally:
            server.close()  # not by QUIT: once it is taken, no answer of the server may undo that
    except smtplib.SMTPResponseException as error:
        failed = Undelivered(f"SMTP {error.smtp_code}", final=error.smtp_code >= 500)
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        failed = Undelivered(
            f"all recipients refused, SMTP {', '.join(map(str, codes))}", final=codes[0] >= 500
        )
    except smtplib.SMTPNotSupportedError as error:
        what = "STARTTLS" if "STARTTLS" in str(error) else "what the login or the addresses need"
        failed = Undelivered(f"the server does not offer {what}", final=True)
    except (OSError, smtplib.SMTPException) as error:
        failed = unreached(error, timeout)
    else:
        if refused:
            logging.getLogger(__name__).warning(
                "%s refused %d of the %d recipients of an alert.", channel.host, len(refused), len(channel.to)
            )
        return
    # Out of the handlers: a server's words may repeat what it was sent.
    raise failed


def letter(channel: Channel, message: Message) -> EmailMessage:
    """The mail. All of one incident are a thread, and one that is sent again has the same id."""
    alert = message.alert
    domain = channel.sender.rpartition("@")[2]
    mail = EmailMessage()
    mail["Subject"] = cut(message.heading, _SUBJECT)
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Date"] = format_datetime(alert.time)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["References"] = mail["In-Reply-To"] = f"<{alert.incident}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    about = {
        "Project": alert.project,
        "Environment": alert.environment,
        "Model": alert.model,
        "Kind": alert.kind,
        "Severity": alert.severity,
        "Affected": ", ".join(alert.members),
        "Since": f"{alert.since:%Y-%m-%d %H:%M} UTC",
        "Report": alert.report,
    }
    lines = [f"{name}: {value}" for name, value in about.items() if value]
    mail.set_content("\n".join([alert.text, "", *lines, ""]))
    return mail


def _connection(channel: Channel, timeout: float) -> smtplib.SMTP:
    if channel.security == "tls":
        context = ssl.create_default_context()
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            channel.host, channel.smtp_port, timeout=timeout, context=context
        )
    else:
        server = smtplib.SMTP(channel.host, channel.smtp_port, timeout=timeout)
    try:
        if channel.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if channel.password:
            server.login(channel.user, channel.password)
    except BaseException:
        server.close()
        raise
    return server
