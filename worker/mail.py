"""Mail a result through the configured server: the status in words, the JSON attached."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

from jobs.delivery import SendFailed
from jobs.following import JobStatus
from jobs.settings import Settings
from jobs.wording import KIND_NAMES, json_line, location_name, result_object, result_text

_SUBMISSION_PORT, _TLS_PORT = 587, 465
_FIRST_PERMANENT = 500
_LONGEST_REASON = 300


def mail_result(settings: Settings, address: str, message_id: str, moment: datetime, status: JobStatus) -> None:
    """Mail a result.

    Args:
        settings: with the server, the sender and the time that one try may take.
        address: whom to mail.
        message_id: the same for every copy of this result.
        moment: when it is sent, by the database's clock.
        status: the job as it ended.

    Raises:
        SendFailed: the server did not take it; says why without showing a password.

    """
    message = _message(status)
    message["From"], message["To"] = settings.mail_from, address
    domain = parseaddr(settings.mail_from or "")[1].rpartition("@")[2]
    message["Date"], message["Message-ID"] = format_datetime(moment), f"<{message_id}@{domain}>"
    try:
        with mail_server(settings) as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise SendFailed(_answer(code, text), final=code >= _FIRST_PERMANENT) from error
    except smtplib.SMTPDataError as error:
        final = error.smtp_code >= _FIRST_PERMANENT
        raise SendFailed(_answer(error.smtp_code, error.smtp_error), final=final) from error


@contextmanager
def mail_server(settings: Settings) -> Iterator[smtplib.SMTP]:
    """Connect to the mail server and log in, over TLS wherever a password is sent.

    Raises:
        SendFailed: no server is set, it is out of reach, or it takes no such log-in.

    """
    if settings.smtp_url is None:
        raise SendFailed("this worker has no mail server; set TRAINING_RESET_SMTP_URL where workers run")
    server: smtplib.SMTP | None = None
    try:
        server = _connect(settings.smtp_url.get_secret_value(), settings.result_timeout_seconds)
        yield server
        server.putcmd("QUIT")  # polite, but its answer is worth no waiting
    except smtplib.SMTPAuthenticationError as error:
        raise SendFailed(f"the mail server refused the log-in, {_answer(error.smtp_code, error.smtp_error)}") from error
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError):
        raise
    except smtplib.SMTPResponseException as error:
        raise SendFailed(_answer(error.smtp_code, error.smtp_error)) from error
    except ssl.SSLCertVerificationError as error:
        raise SendFailed(f"the mail server's certificate is not trusted: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SendFailed(f"the mail server failed: {reason}") from error
    finally:
        if server is not None:
            server.close()


def _connect(text: str, seconds: float) -> smtplib.SMTP:
    url = urlsplit(text)
    host, context = url.hostname or "", ssl.create_default_context()
    if url.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or _TLS_PORT, timeout=seconds, context=context)
    else:
        server = smtplib.SMTP(host, url.port or _SUBMISSION_PORT, timeout=seconds)
    try:
        if url.scheme == "smtp":
            _start_tls(server, context, needed=url.username is not None)
        if url.username is not None:
            server.login(unquote(url.username), unquote(url.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _start_tls(server: smtplib.SMTP, context: ssl.SSLContext, *, needed: bool) -> None:
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=context)
    elif needed:
        raise SendFailed("the mail server offers no STARTTLS, and a password goes nowhere without")


def _message(status: JobStatus) -> EmailMessage:
    job = status.job
    what = f"{KIND_NAMES[job.kind.value]} at {location_name(status.location)}"
    message = EmailMessage()
    message["Subject"] = " ".join(f"Job {job.id} {job.state.value}: {what}".split())
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(result_text(status) + "\n")
    body = json_line(result_object(status)).encode()
    message.add_attachment(body, maintype="application", subtype="json", filename=f"job-{job.id}.json")
    return message


def _answer(code: int, text: bytes | str) -> str:
    """Give a server's answer in one line."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"it answered {code} {' '.join(words.split())}"[:_LONGEST_REASON]
