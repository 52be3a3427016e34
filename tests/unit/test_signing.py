"""Signatures as the Standard Webhooks specification writes them."""

import base64
from datetime import UTC, datetime

import pytest

from jobs.signing import read_secrets, signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - public
"""The example of the specification's own libraries."""


def test_the_example_of_the_specification_is_signed_as_its_libraries_do() -> None:
    headers = signature_headers(
        read_secrets(SECRET),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_replaced_each_one_signs() -> None:
    other = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    alone = [
        signature_headers(read_secrets(secret), "m", moment, b"x")["webhook-signature"] for secret in (other, SECRET)
    ]
    assert signature_headers(read_secrets(f"{other} {SECRET}"), "m", moment, b"x")["webhook-signature"] == " ".join(
        alone
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a-password",
        SECRET.removeprefix("whsec_"),
        "whsec_not/base64!",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        f"{SECRET} a-password",
    ],
)
def test_what_is_no_secret_of_the_specification_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        read_secrets(text)
    assert not text.strip() or text not in str(refused.value)
