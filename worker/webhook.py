"""Post a result to a URL, signed as the Standard Webhooks specification says.

Whatever is answered beside 2xx is tried again, for a receiver that is being set up or mended answers anything;
only 410 Gone says that no other try is wanted. Redirects are not followed: the signature is for who was named.
"""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import unquote

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util import make_headers, parse_url

import jobs
from jobs.delivery import SendFailed
from jobs.settings import Settings
from jobs.signing import read_secrets, signature_headers


def post_result(settings: Settings, url: str, message_id: str, moment: datetime, body: bytes) -> None:
    """Post a result.

    Args:
        settings: with the secret and the time that one try may take.
        url: with user and password, where the receiver wants them.
        message_id: the same for every copy of this result.
        moment: when it is sent, by the database's clock.
        body: the result as JSON.

    Raises:
        SendFailed: it was not taken; says why without showing the URL.

    """
    if settings.result_secret is None:
        raise SendFailed("this worker has no secret to sign with; set TRAINING_RESET_RESULT_SECRET where workers run")
    secrets = read_secrets(settings.result_secret.get_secret_value())
    headers = {"content-type": "application/json", "user-agent": f"training-reset/{jobs.__version__}"}
    headers |= signature_headers(secrets, message_id, moment, body)
    try:
        status, answered = _post(url, headers, body, settings.result_timeout_seconds)
    except (HTTPError, OSError, ValueError) as error:
        raise SendFailed(_why(error)) from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        final = status == HTTPStatus.GONE
        raise SendFailed(_told(status), final=final, wait_seconds=_asked_wait(answered.get("retry-after"), moment))


def _post(url: str, headers: dict[str, str], body: bytes, seconds: float) -> tuple[int, Mapping[str, str]]:
    """Send one request and read no further than the headers of its answer."""
    parsed = parse_url(url)
    if parsed.auth:
        headers = headers | make_headers(basic_auth=unquote(parsed.auth))
    with urllib3.PoolManager(ssl_context=ssl.create_default_context()) as pool:
        answer = pool.request(
            "POST",
            parsed._replace(auth=None, fragment=None).url,
            body=body,
            headers=headers,
            timeout=seconds,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        answer.close()
        return answer.status, answer.headers


def _told(status: int) -> str:
    try:
        phrase = f" {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = ""
    redirects = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    return f"it answered {status}{phrase}{'; redirects are not followed' if redirects else ''}"


def _why(error: BaseException) -> str:
    """Give the innermost reason in one line; what libraries put around it names addresses and objects."""
    if isinstance(error, NameResolutionError):
        return "its host name is not known"
    reason = error
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "it did not answer in time"
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    return type(reason).__name__


def _asked_wait(retry_after: str | None, now: datetime) -> float:
    """Give the seconds that a receiver asks to be left alone; 0 where it says nothing that can be read."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:_MOST_DIGITS])
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


_MOST_DIGITS = 9
