"""Where a job's result goes when it ends: what `--on-result` takes. Pure.

A target may carry a password or a token; whoever shows one shows `shown_target` of it.
"""

import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from urllib.parse import urlsplit

from jobs.errors import InputRefused, shown

MAILTO = "mailto:"
_MOST_TARGETS = 10
_LONGEST = 2000
_MEND = "give --on-result https://HOST/PATH or mailto:NAME@HOST"


@dataclass(frozen=True)
class Target:
    """A target as it was given, known to be of one of the two forms."""

    text: str

    @property
    def address(self) -> str | None:
        """The mail address, or None where it is a URL."""
        return self.text[len(MAILTO) :] if _is_mail(self.text) else None


def read_target(text: str) -> Target:
    """Make sure that a target is an `http` or `https` URL or a mail address.

    Raises:
        InputRefused: it is neither; the sentence shows no credentials.

    """
    if len(text) > _LONGEST:
        raise InputRefused(f"a target of {len(text):,} characters is too long; give at most {_LONGEST:,}")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise InputRefused(f"the target {shown_target(text)!r} holds a space or a control character; {_MEND}")
    problem = _problem_of_address(text[len(MAILTO) :]) if _is_mail(text) else _problem_of_url(text)
    if problem:
        raise InputRefused(f"the target {shown_target(text)!r} {problem}; {_MEND}")
    return Target(text)


def check_targets(texts: tuple[str, ...]) -> None:
    """Make sure that all of a job's targets can be sent to.

    Raises:
        InputRefused: there are too many, or one is wrong.

    """
    if len(texts) > _MOST_TARGETS:
        raise InputRefused(f"{len(texts)} targets were given with --on-result; give at most {_MOST_TARGETS}")
    for text in texts:
        read_target(text)


def shown_target(text: str) -> str:
    """Give a target as it may be shown: without user, password, query and fragment, where credentials stand."""
    if _is_mail(text):
        return shown(text)
    scheme, _, rest = text.partition("://")
    if not rest:
        return shown(text.rpartition("@")[2])
    place = re.split(r"[?#]", rest, maxsplit=1)
    host, slash, path = place[0].partition("/")
    return shown(
        f"{scheme.rpartition('@')[2]}://{host.rpartition('@')[2]}{slash}{path}{'?…' if len(place) > 1 else ''}"
    )


def _is_mail(text: str) -> bool:
    return text[: len(MAILTO)].lower() == MAILTO


def _problem_of_url(text: str) -> str | None:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return "is no URL"
    if url.scheme not in ("http", "https"):
        return "is neither http, https nor mailto"
    if not url.hostname or port == 0:
        return "names no host"
    return None


def _problem_of_address(address: str) -> str | None:
    try:
        parsed = Address(addr_spec=address)
    except (MessageError, ValueError, IndexError):  # what the parser raises at odd words is not all of one kind
        return "is no mail address"
    whole = parsed.username and parsed.domain and address.isascii() and "?" not in address
    return None if whole else "is no mail address"
