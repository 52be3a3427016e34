"""What `--on-result` takes, and how a target is shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.errors import InputRefused
from jobs.targets import check_targets, read_target, shown_target


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook",
        "http://10.0.0.1:8080",
        "http://user:secret@[::1]:80/a?token=b",
        "HTTPS://EXAMPLE.org/",
    ],
)
def test_urls_of_the_web_are_targets(url: str) -> None:
    assert read_target(url).address is None


@pytest.mark.parametrize("address", ["a@example.org", "first.last+tag@sub.example.org", "a@[192.0.2.1]"])
def test_mail_addresses_are_targets(address: str) -> None:
    assert read_target(f"mailto:{address}").address == address
    assert read_target(f"MAILTO:{address}").address == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is neither http, https nor mailto"),
        ("example.org/hook", "is neither"),
        ("ftp://example.org/", "is neither"),
        ("file:///etc/passwd", "is neither"),
        ("https://", "names no host"),
        ("https://user:pw@/path", "names no host"),
        ("https://example.org:99999/", "is no URL"),
        ("https://[::1/", "is no URL"),
        ("https://example.org/a b", "holds a space"),
        ("https://example.org/\r\nX: y", "holds a space or a control character"),
        ("mailto:", "is no mail address"),
        ("mailto:somebody", "is no mail address"),
        ("mailto:@example.org", "is no mail address"),
        ("mailto:a@", "is no mail address"),
        ("mailto:a@x.org,b@x.org", "is no mail address"),
        ("mailto:a@x.org?subject=hello", "is no mail address"),
        ("mailto:a@x.org>", "is no mail address"),
        ("https://example.org/" + "a" * 2000, "2,020 characters is too long"),
    ],
)
def test_anything_else_is_refused_with_what_to_give(text: str, says: str) -> None:
    with pytest.raises(InputRefused, match="; give ") as refused:
        read_target(text)
    assert says in refused.value.message


def test_a_job_tells_at_most_ten() -> None:
    targets = tuple(f"https://example.org/{number}" for number in range(11))
    check_targets(targets[:10])
    with pytest.raises(InputRefused, match="11 targets"):
        check_targets(targets)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("https://user:pass@example.org:8443/a?token=t#f", "https://example.org:8443/a?…"),
        ("https://token@example.org", "https://example.org"),
        ("https://us@er:pa@ss@example.org/x@y", "https://example.org/x@y"),
        ("mailto:a@example.org", "mailto:a@example.org"),
    ],
)
def test_a_target_is_shown_without_credentials(text: str, shown: str) -> None:
    assert shown_target(text) == shown


@example(scheme="", before="", after="://:")
@given(
    scheme=st.sampled_from(["http://", "https://", "ftp://", "", "//", "http:"]),
    before=st.text("ab:/?#@[]%", max_size=4).filter(lambda word: not set(word) & set("/?#")),
    after=st.text("xy/?#[]:.", max_size=8),
)
def test_no_word_that_stands_for_credentials_is_ever_shown_nor_refused_with_them(
    scheme: str, before: str, after: str
) -> None:
    text = f"{scheme}{before}S3CRET@{after}"
    assert "S3CRET" not in shown_target(text)
    assert "S3CRET" not in refusal_of(text)


def refusal_of(text: str) -> str:
    try:
        read_target(text)
    except InputRefused as refused:
        return refused.message
    return ""
