"""Results of real jobs from real workers to a real receiver, whatever dies or hangs meanwhile."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.installation import EVERYTHING, Installation, Worker, eventually
from tests.receivers import HANG, KEY, SECRET, Mailbox, Receiver
from tests.small import dump

ENVIRONMENT = {"RESULT_SECRET": SECRET, "RESULT_RETRY_SECONDS": "0.2", "RESULT_TIMEOUT_SECONDS": "120"}


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox().serving() as mailbox:
        yield mailbox


@pytest.fixture
def installation(tmp_path: Path, sqlite_database_url: str, broker_url: str, mailbox: Mailbox) -> Iterator[Installation]:
    """Records in a fresh database, with a secret and a mail server."""
    mail = {"SMTP_URL": mailbox.url(), "MAIL_FROM": "reset@lms.example"}
    installation = Installation(tmp_path, sqlite_database_url, broker_url, learners=20, settings=ENVIRONMENT | mail)
    yield installation
    installation.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as receiver:
        yield receiver


def submit(installation: Installation, *targets: str) -> None:
    words = [word for target in targets for word in ("--on-result", target)]
    done = installation.run(*EVERYTHING, *words)
    assert done.returncode == 0, done.stderr


def states(installation: Installation) -> list[tuple[int, str]]:
    return [(row["job_id"], row["state"]) for row in dump(installation.database)["deliveries"]]


def couriers_of(worker: Worker) -> list[psutil.Process]:
    found = []
    for process in worker.processes():
        with suppress(psutil.NoSuchProcess):
            if process.cmdline()[-1] == "worker.courier":
                found.append(process)
    return found


def test_a_job_s_end_is_posted_and_mailed_and_a_sender_that_is_killed_is_followed_by_another(
    installation: Installation, receiver: Receiver, mailbox: Mailbox
) -> None:
    receiver.answers = [HANG, 204]
    worker = installation.start_worker(concurrency=1)
    submit(installation, receiver.url(), "mailto:head@school.example")
    eventually(lambda: receiver.posts and mailbox.mails, why=installation.logs)
    installation.assert_all_is_reset_once(1)
    told = installation.run("job", "status", "1").stdout
    assert "to mailto:head@school.example: delivered" in told
    assert f"to {receiver.url()}: being sent" in told

    # While a receiver hangs, another job runs on the one child that there is, and is told to another receiver.
    submit(installation, receiver.url("/other").replace("127.0.0.1", "localhost"))
    eventually(lambda: (2, "delivered") in states(installation), why=installation.logs)

    couriers = couriers_of(worker)
    assert couriers, "one that the first receiver keeps waiting"
    for courier in couriers:
        with suppress(psutil.NoSuchProcess):
            courier.kill()
    worker.kill()
    installation.start_worker(concurrency=1)
    with installation.database.write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET claimed_until = NULL WHERE state = 'waiting'")
    eventually(lambda: {state for _, state in states(installation)} == {"delivered"}, why=installation.logs)
    first, _, copy = receiver.posts
    assert (first.message_id, first.body) == (copy.message_id, copy.body)
    assert all(post.is_signed_with(KEY) for post in receiver.posts)
    assert mailbox.mails[0]["subject"].startswith("Job 1 succeeded")
    assert SECRET not in installation.logs()


def test_a_receiver_that_is_down_when_the_job_ends_is_told_when_it_is_back(installation: Installation) -> None:
    with Receiver().serving() as receiver:
        pass
    worker = installation.start_worker(concurrency=1)
    submit(installation, receiver.url())
    eventually(lambda: (row := dump(installation.database)["deliveries"][0])["tries"] >= 2 and row["error"])
    eventually(lambda: "Connection refused" in installation.run("job", "status", "1").stdout)  # not while it tries
    with receiver.serving():
        eventually(lambda: states(installation) == [(1, "delivered")], why=installation.logs)
    assert receiver.posts[0].result["state"] == "succeeded"
    installation.assert_all_is_reset_once(1)
    assert worker.stop() == 0, worker.log()


def test_a_worker_that_is_asked_to_stop_leaves_no_sender_behind_and_no_try_is_lost(
    installation: Installation, receiver: Receiver
) -> None:
    receiver.answers = [HANG, 204]
    worker = installation.start_worker(concurrency=1)
    submit(installation, receiver.url())
    eventually(lambda: receiver.posts, why=installation.logs)
    assert couriers_of(worker)
    assert worker.stop() == 0, worker.log()
    assert couriers_of(worker) == []
    (row,) = dump(installation.database)["deliveries"]
    assert (row["state"], row["tries"], row["claimed_until"]) == ("waiting", 0, None)
    installation.start_worker(concurrency=1)
    eventually(lambda: states(installation) == [(1, "delivered")], why=installation.logs)
