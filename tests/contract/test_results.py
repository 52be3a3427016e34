"""Results are sent once their job has ended, until they arrive or are given up; the job knows nothing of it."""

import json
import logging
import random
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
import trustme

from jobs.database import Database, read_now
from jobs.errors import Conflict
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.wording import status_text
from tests.interruptions import poison
from tests.receivers import DRIP, HANG, KEY, SECRET, Receiver
from tests.results import IMPATIENT, deliver, ended_job, make_due, row, rows, status_json
from tests.small import dump, fill_crowd, of_users, set_job, submit, work
from worker.courier import TookTooLong, alarm

# When.


def test_nothing_is_sent_before_the_job_ends_and_then_its_status_is_signed(small: Database, receiver: Receiver) -> None:
    job = submit(small, on_result=(receiver.url(),))
    assert deliver(small) == 0
    assert receiver.posts == []
    assert "waiting for the job's end" in status_text(Administration(small, "root").status(job))
    work(small)
    assert deliver(small) == 1

    (post,) = receiver.posts
    status = status_json(small, job)
    told = status.pop("on_result")
    assert post.result == status
    assert post.result["state"] == "succeeded"
    assert post.headers["content-type"] == "application/json"
    assert post.is_signed_with(KEY)
    with small.read() as connection:
        age = read_now(connection).timestamp() - int(post.headers["webhook-timestamp"])
    assert 0 <= age < 60
    assert [(t["state"], t["tries"], t["error"]) for t in told] == [("delivered", 1, None)]
    assert deliver(small) == 0


def cancel(database: Database, job: int) -> None:
    Steering(database, "root").cancel(job)


def fail_partly(database: Database, _: int) -> None:
    poison(database, [11])
    work(database)


def reject(database: Database, job: int) -> None:
    set_job(database, job, state="rejected", finished_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("end", "state"),
    [(cancel, "cancelled"), (fail_partly, "completed_with_failures"), (reject, "rejected")],
)
def test_every_end_is_told(small: Database, receiver: Receiver, end: Any, state: str) -> None:  # noqa: ANN401 - one of the above
    job = submit(small, on_result=(receiver.url(),))
    end(small, job)
    assert deliver(small) == 1
    assert [post.result["state"] for post in receiver.posts] == [state]


def test_a_job_in_which_everybody_failed_is_told_too(database: Database, receiver: Receiver) -> None:
    crowd = fill_crowd(database, 3)
    submit(database, of_users(crowd), on_result=(receiver.url(),))
    poison(database, crowd)
    work(database)
    deliver(database)
    assert [post.result["state"] for post in receiver.posts] == ["failed"]


def test_a_target_named_twice_is_told_once_and_every_target_is_told(small: Database, receiver: Receiver) -> None:
    one, other = receiver.url("/one"), receiver.url("/other")
    ended_job(small, one, other, one)
    assert deliver(small) == 2
    assert sorted(post.path for post in receiver.posts) == ["/one", "/other"]
    assert len({post.message_id for post in receiver.posts}) == 2


def test_a_retry_tells_whom_its_job_told(small: Database, receiver: Receiver) -> None:
    job = submit(small, on_result=(receiver.url(),))
    Steering(small, "root").cancel(job)
    retried, _ = Steering(small, "root").retry(job, JobOptions(reason="again"))
    work(small)
    deliver(small)
    assert [(post.result["id"], post.result["parent"]) for post in receiver.posts] == [(job, None), (retried.id, job)]


def test_an_idempotency_key_with_another_target_is_another_request(small: Database) -> None:
    submit(small, idempotency_key="k", on_result=("https://example.org/",))
    submit(small, idempotency_key="k", on_result=("https://example.org/",))
    with pytest.raises(Conflict, match="with other words"):
        submit(small, idempotency_key="k")
    assert len(rows(small)) == 1


# What is answered.


def test_a_receiver_that_fails_is_tried_again_later_and_later_with_the_same_id(
    small: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    receiver.answers = [500, 404, 429, 200]
    job = ended_job(small, receiver.url())
    before = dump(small)["jobs"], dump(small)["chunks"]
    waits = []
    for _ in range(3):
        assert deliver(small) == 1
        with small.read() as connection:
            waits.append(row(small)["due_at"] - read_now(connection))
        assert deliver(small) == 0, "not before it is due"
        make_due(small)
    assert [round(wait / timedelta(seconds=10)) for wait in waits] == [1, 2, 4]
    assert deliver(small) == 1
    assert len({(post.message_id, post.body) for post in receiver.posts}) == 1
    assert len(receiver.posts) == 4
    assert all(post.is_signed_with(KEY) for post in receiver.posts)
    assert (dump(small)["jobs"], dump(small)["chunks"]) == before
    assert status_json(small, job)["on_result"][0]["tries"] == 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, "it answered 500 Internal Server Error"),
        (401, "it answered 401 Unauthorized"),
        (599, "it answered 599"),
        (302, "it answered 302 Found; redirects are not followed"),
    ],
)
def test_why_it_did_not_arrive_is_said(small: Database, receiver: Receiver, answer: int | str, error: str) -> None:
    receiver.answers, receiver.headers = [answer], {"location": receiver.url("/elsewhere")}
    job = ended_job(small, receiver.url())
    assert deliver(small) == 1
    assert row(small)["error"] in error.split("|")
    assert [post.path for post in receiver.posts] == ["/hook"]
    assert "waiting after 1 try, next 20" in status_text(Administration(small, "root").status(job))


@pytest.mark.parametrize("answer", [HANG, DRIP])
def test_a_receiver_that_hangs_or_answers_a_byte_at_a_time_is_given_no_more_than_its_time(
    small: Database, receiver: Receiver, answer: str
) -> None:
    receiver.answers = [answer]
    ended_job(small, receiver.url())
    assert deliver(small, IMPATIENT) == 1
    assert row(small)["error"] in ("it took longer than 0.4 s", "it did not answer in time")
    assert row(small)["state"] == "waiting"


def test_an_alarm_that_is_lost_rings_again() -> None:
    never = Event()

    def lose_the_first_and_wait_on() -> None:
        with alarm(0.05):
            with suppress(TookTooLong):
                never.wait(10)
            never.wait(10)

    with pytest.raises(TookTooLong):
        lose_the_first_and_wait_on()


def test_a_receiver_that_is_not_there_is_tried_again(small: Database) -> None:
    with Receiver().serving() as receiver:
        pass
    ended_job(small, receiver.url())
    deliver(small)
    assert (row(small)["state"], row(small)["error"]) == ("waiting", "Connection refused")
    with receiver.serving():
        make_due(small)
        deliver(small)
    assert row(small)["state"] == "delivered"


def test_gone_is_gone(small: Database, receiver: Receiver) -> None:
    receiver.answers = [410]
    job = ended_job(small, receiver.url())
    assert deliver(small) == 1
    assert (row(small)["state"], row(small)["error"]) == ("given_up", "it answered 410 Gone")
    told = status_text(Administration(small, "root").status(job))
    assert f"given up after 1 try: it answered 410 Gone; 'job resend {job}' tries again" in told


def test_after_so_many_tries_it_is_given_up(small: Database, receiver: Receiver) -> None:
    receiver.answers = [503]
    ended_job(small, receiver.url())
    for _ in range(3):
        assert deliver(small) == 1
        assert row(small)["state"] == "waiting"
        make_due(small)
    assert deliver(small) == 1
    assert (row(small)["state"], row(small)["tries"]) == ("given_up", 4)
    assert deliver(small) == 0


@pytest.mark.parametrize(
    ("asked", "seconds"), [("1200", 1200), ("Fri, 01 Jan 2999 00:00:00 GMT", 3600), ("soon", 10), ("-5", 10)]
)
def test_a_receiver_may_ask_for_time_within_the_longest_wait(
    small: Database, receiver: Receiver, asked: str, seconds: int
) -> None:
    receiver.answers, receiver.headers = [429], {"retry-after": asked}
    ended_job(small, receiver.url())
    deliver(small)
    with small.read() as connection:
        wait = (row(small)["due_at"] - read_now(connection)).total_seconds()
    assert 0.7 * seconds < wait < 1.3 * seconds


# Who vouches for whom.


def test_while_a_secret_is_replaced_both_sign(small: Database, receiver: Receiver) -> None:
    ended_job(small, receiver.url())
    new = bytes(reversed(KEY))
    text = f"whsec_{b64encode(new).decode()} {SECRET}"
    deliver(small, Settings(result_secret=text))  # type: ignore[arg-type]
    assert receiver.posts[0].is_signed_with(KEY)
    assert receiver.posts[0].is_signed_with(new)


def test_a_worker_without_the_secret_says_so_and_sends_nothing(small: Database, receiver: Receiver) -> None:
    ended_job(small, receiver.url())
    deliver(small, Settings())
    assert "set TRAINING_RESET_RESULT_SECRET where workers run" in row(small)["error"]
    assert receiver.posts == []


def test_user_and_password_go_to_the_receiver_and_nowhere_else(
    small: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    receiver.answers = [500, 204]
    job = ended_job(small, receiver.url("/hook?token=T0KEN", user="somebody:p%40ss"))
    deliver(small)
    failed = status_text(Administration(small, "root").status(job)) + json.dumps(status_json(small, job))
    make_due(small)
    deliver(small)
    printed = capfd.readouterr()
    for said in (failed, caplog.text, printed.out, printed.err, f"{[(r['error']) for r in rows(small)]}"):
        assert not any(secret in said for secret in ("T0KEN", "somebody", "p%40ss", "p@ss", SECRET))
    assert f"http://127.0.0.1:{receiver.port}/hook?…" in failed
    post = receiver.posts[0]
    assert post.path == "/hook?token=T0KEN"
    assert post.headers["authorization"] == "Basic c29tZWJvZHk6cEBzcw=="


def test_a_certificate_must_be_vouched_for(
    small: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,  # noqa: ANN401 - pytest's path
) -> None:
    authority = trustme.CA()
    with Receiver(authority=authority).serving() as receiver:
        ended_job(small, receiver.url())
        deliver(small)
        assert row(small)["error"].startswith("its certificate is not trusted: ")
        assert receiver.posts == []
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", f"{tmp_path / 'ca.pem'}")
        make_due(small)
        deliver(small)
        assert row(small)["state"] == "delivered"
