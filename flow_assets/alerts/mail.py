"""How is a message sent as mail?"""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from flow_assets.alerts import network
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.plan.messages import Message
from flow_assets.spec.alerts import Mail


def send(name: str, channel: Mail, message: Message, now: datetime, environ: Mapping[str, str] | None = None) -> str:
    """Send a message to a channel; gives what is to be said of it, such as an address that was refused beside others that were not.

    Raises:
        PermanentError, RetryableError: nobody is sent it.
    """
    where = f"mail {name} ({channel.host}:{channel.tcp_port})"
    password = channel.password.reveal(environ) if channel.password else None
    try:
        with _connected(channel) as server:
            if channel.username and password:
                server.login(channel.username, password)
            refused = server.send_message(written(channel, message, now))
    except (smtplib.SMTPException, UnicodeError) as error:
        raise _meaning(where, error, password) from None
    except OSError as error:
        raise network.unreachable(where, error) from None
    return f"{where} took it" + (f", but refused {', '.join(sorted(refused))} — correct `to`" if refused else "")


def written(channel: Mail, message: Message, now: datetime) -> EmailMessage:
    """The mail. Its id is the message's, so that one that was sent twice can be told."""
    mail = EmailMessage()
    mail["Subject"] = message.title
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.id}.flow_assets@{channel.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text + "\n")
    return mail


@contextmanager
def _connected(channel: Mail) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if channel.tls == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(channel.host, channel.tcp_port, timeout=network.TIMEOUT_SECONDS, context=context)
    else:
        server = smtplib.SMTP(channel.host, channel.tcp_port, timeout=network.TIMEOUT_SECONDS)
    try:
        if channel.tls == "starttls":
            server.starttls(context=context)
        yield server
        with suppress(OSError, smtplib.SMTPException):  # it was taken, however they part
            server.quit()
    finally:
        server.close()


def _meaning(where: str, error: Exception, password: str | None) -> FlowError:
    if isinstance(error, UnicodeError):
        return PermanentError(
            f"{where}: account or password hold other characters than ASCII, which mail servers do not take — change them"
        )
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return PermanentError(f"{where}: the server refused account and password ({error.smtp_code}) — correct them")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return PermanentError(f"{where}: the server offers no STARTTLS, or no login, on this connection — correct `tls` or `port`")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = ", ".join(f"{address}: {code}" for address, (code, _) in sorted(error.recipients.items()))
        return PermanentError(f"{where}: the server refused every address ({codes}) — correct `to`, or what it lets this account send")
    if isinstance(error, smtplib.SMTPResponseException):
        kind = PermanentError if 500 <= error.smtp_code < 600 else RetryableError
        return kind(f"{where}: the server answered {error.smtp_code} {_said(error, password)} — look into its log")
    if isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, OSError):
        return network.unreachable(where, error.__context__)
    return RetryableError(f"{where}: what answers there does not speak SMTP, or hung up — do address, port and TLS belong together?")


def _said(error: smtplib.SMTPResponseException, password: str | None) -> str:
    text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return (line.replace(password, "***") if password else line)[:200]
