"""Signatures of results as the Standard Webhooks specification writes them, so that any of its libraries verifies them.

See https://github.com/standard-webhooks/standard-webhooks. Pure.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Read the secrets that sign, parted by spaces; several while a new one takes an old one's place.

    Raises:
        ValueError: there is none, or one is not `whsec_` and base64 of 24 to 64 bytes. It shows no secret.

    """
    secrets = tuple(_read_secret(word) for word in text.split())
    if not secrets:
        raise ValueError("no secret is given")
    return secrets


def _read_secret(word: str) -> bytes:
    try:
        secret = base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not (word.startswith(_PREFIX) and _FEWEST_BYTES <= len(secret) <= _MOST_BYTES):
        raise ValueError(
            f"a secret is {_PREFIX} and the base64 of {_FEWEST_BYTES} to {_MOST_BYTES} random bytes; "
            f"make one with: echo {_PREFIX}$(openssl rand -base64 32)"
        )
    return secret


def signature_headers(secrets: tuple[bytes, ...], message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """Give the headers that prove who sent a body and when; one signature for each secret."""
    timestamp = f"{int(moment.timestamp())}"
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    signatures = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
