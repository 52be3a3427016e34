"""Results by mail, through real mail servers: what arrives, what is refused, and what is said then."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs.database import Database
from jobs.delivery import SendFailed
from jobs.following import JobStatus
from jobs.services import Administration
from jobs.settings import Settings
from jobs.wording import json_line, result_object, result_text
from tests.receivers import Mailbox
from tests.small import fill_small_system, submit, work
from worker.mail import mail_result, mail_server

MOMENT = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)


@pytest.fixture
def status(sqlite_database_url: str) -> Iterator[JobStatus]:
    """The status of a job that has ended."""
    database = Database(sqlite_database_url)
    fill_small_system(database)
    job = submit(database)
    work(database)
    yield Administration(database, "root").status(job)
    database.close()


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """An authority whose certificates are trusted here."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{tmp_path / 'ca.pem'}")
    monkeypatch.setenv("SSL_CERT_FILE", f"{tmp_path / 'ca.pem'}")
    return authority


def settings(url: str, seconds: float = 10) -> Settings:
    given: dict[str, Any] = {"smtp_url": url, "mail_from": "reset@lms.example", "result_timeout_seconds": seconds}
    return Settings(**given)


def send(mailbox: Mailbox, status: JobStatus, user: str = "", scheme: str = "smtp") -> None:
    mail_result(settings(mailbox.url(user, scheme)), "head@school.example", "msg_1", MOMENT, status)


def refusal(mailbox: Mailbox, status: JobStatus, user: str = "", scheme: str = "smtp") -> SendFailed:
    with pytest.raises(SendFailed) as failed:
        send(mailbox, status, user, scheme)
    assert "p@ss" not in failed.value.reason
    assert mailbox.mails == []
    return failed.value


def test_a_mail_says_in_words_what_the_job_did_and_brings_its_json(status: JobStatus) -> None:
    with Mailbox().serving() as mailbox:
        send(mailbox, status)
    (mail,) = mailbox.mails
    assert mailbox.recipients == ["head@school.example"]
    assert mail["subject"] == "Job 1 succeeded: [203] Reset training data at North (1)"
    assert (mail["from"], mail["to"]) == ("reset@lms.example", "head@school.example")
    assert mail["message-id"] == "<msg_1@lms.example>"
    assert mail["date"].datetime == MOMENT
    assert mail["auto-submitted"] == "auto-generated"
    words = mail.get_body()
    assert words is not None
    assert words.get_content().replace("\r\n", "\n").strip() == result_text(status).strip()
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "job-1.json"
    assert attached.get_content() == json_line(result_object(status)).encode()


def test_the_password_goes_over_tls_that_is_started_or_there_from_the_start(
    status: JobStatus, authority: trustme.CA
) -> None:
    for at_once, scheme in ((False, "smtp"), (True, "smtps")):
        mailbox = Mailbox(user="us@er:p@ss", authority=authority, from_the_start=at_once)
        with mailbox.serving():
            send(mailbox, status, "us%40er:p%40ss", scheme)
        assert len(mailbox.mails) == 1
        assert mailbox.log_ins == [("us@er", "p@ss")]


def test_no_password_goes_to_a_server_without_tls(status: JobStatus) -> None:
    with Mailbox(user="user:p@ss").serving() as mailbox:
        assert "no STARTTLS" in refusal(mailbox, status, "user:p%40ss").reason
    assert mailbox.log_ins == []


def test_no_password_goes_to_a_server_that_nobody_vouches_for(status: JobStatus) -> None:
    for at_once, scheme in ((False, "smtp"), (True, "smtps")):
        mailbox = Mailbox(user="user:p@ss", authority=trustme.CA(), from_the_start=at_once)
        with mailbox.serving():
            assert "certificate is not trusted" in refusal(mailbox, status, "user:p%40ss", scheme).reason
        assert mailbox.log_ins == []


def test_a_wrong_password_is_said_and_tried_again_later(status: JobStatus, authority: trustme.CA) -> None:
    with Mailbox(user="user:other", authority=authority).serving() as mailbox:
        failure = refusal(mailbox, status, "user:p%40ss")
    assert failure.reason.startswith("the mail server refused the log-in, it answered 535")
    assert not failure.final


def test_a_server_that_wants_a_log_in_says_so(status: JobStatus, authority: trustme.CA) -> None:
    with Mailbox(user="user:p@ss", authority=authority).serving() as mailbox:
        failure = refusal(mailbox, status)
    assert (failure.reason[:15], failure.final) == ("it answered 530", False)


@pytest.mark.parametrize(("answer", "final"), [("550 no such user here", True), ("450 come back later", False)])
def test_an_address_that_is_refused_for_good_is_given_up(status: JobStatus, answer: str, *, final: bool) -> None:
    with Mailbox(answer=answer).serving() as mailbox:
        failure = refusal(mailbox, status)
    assert (failure.reason, failure.final) == (f"it answered {answer}", final)


def test_a_server_that_is_not_there_is_said(status: JobStatus) -> None:
    with Mailbox().serving() as mailbox:
        pass
    assert refusal(mailbox, status).reason == "the mail server failed: Connection refused"


def test_a_server_may_be_asked_whether_it_takes_the_log_in(authority: trustme.CA) -> None:
    with Mailbox(user="user:p@ss", authority=authority).serving() as mailbox:
        with mail_server(settings(mailbox.url("user:p%40ss"))) as server:
            assert server.noop()[0] == 250
        with pytest.raises(SendFailed), mail_server(settings(mailbox.url("user:wrong"))):
            raise AssertionError("logged in")
