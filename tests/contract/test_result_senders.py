"""Whoever sends results may die, and several may send at once; who starts them, and who has them send again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.couriers import Courier
from jobs.database import Database
from jobs.delivery import SendFailed
from jobs.errors import Conflict
from jobs.housekeeping import Housekeeper
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import delivery_rows
from jobs.store.delivery_table import deliveries
from tests.receivers import Receiver
from tests.results import SETTINGS, deliver, ended_job, make_due, row, rows
from tests.small import Broker, set_back, submit, work
from worker.courier import Sender


class Dies:
    """Sends, and dies before it can say so."""

    def __init__(self, settings: Settings, death: BaseException) -> None:
        self._send, self._death = Sender(settings), death

    def __call__(self, *what: Any) -> None:  # noqa: ANN401 - as a sender
        self._send(*what)
        raise self._death


class Killed(BaseException):
    """What no code of ours can catch."""


def test_a_sender_that_died_is_followed_by_another_with_the_same_id(
    small: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_job(small, receiver.url())
    with monkeypatch.context() as killed:
        killed.setattr("jobs.store.delivery_rows.release_if_latest", lambda *_: None)
        with pytest.raises(Killed):
            Courier(small, SETTINGS, Dies(SETTINGS, Killed())).deliver_next()
    assert deliver(small) == 0, "its lease holds"
    assert row(small)["error"] == "its sender ended before the answer was known"
    set_back(small, deliveries, "claimed_until")
    assert deliver(small) == 1
    assert [post.message_id for post in receiver.posts] == [row(small)["message_id"]] * 2
    assert (row(small)["state"], row(small)["tries"]) == ("delivered", 2)


def test_a_result_whose_senders_die_again_and_again_is_given_up(small: Database) -> None:
    ended_job(small, "https://example.org/")
    with small.write() as connection:
        connection.execute(deliveries.update().values(tries=4, error="its sender ended before the answer was known"))
    deliver(small)
    assert (row(small)["state"], row(small)["tries"]) == ("given_up", 5)


def test_a_sender_that_is_told_to_stop_hands_back_at_once_and_it_costs_no_try(
    small: Database, receiver: Receiver
) -> None:
    ended_job(small, receiver.url())
    with pytest.raises(SystemExit):
        Courier(small, SETTINGS, Dies(SETTINGS, SystemExit())).deliver_next()
    assert (row(small)["tries"], row(small)["claimed_until"]) == (0, None)
    assert deliver(small) == 1


def test_a_surprise_counts_as_a_failed_try_and_shows_no_more_than_its_name(small: Database) -> None:
    ended_job(small, "https://example.org/")

    def send(*_: object) -> None:
        raise ValueError("s3cret")

    Courier(small, SETTINGS, send).deliver_next()
    assert row(small)["state"] == "waiting"
    assert row(small)["error"] == "unexpected ValueError"


def test_a_late_answer_of_an_earlier_try_ends_the_tries_and_a_late_failure_does_not_disturb(
    small: Database, receiver: Receiver
) -> None:
    ended_job(small, receiver.url())

    def overtaken(outcome: SendFailed | None) -> Any:  # noqa: ANN401 - a sender
        def send(*_: object) -> None:
            set_back(small, deliveries, "claimed_until")
            with small.write() as connection:
                connection.execute(deliveries.update().values(tries=deliveries.c.tries + 1))
            if outcome:
                raise outcome

        return send

    Courier(small, SETTINGS, overtaken(SendFailed("late"))).deliver_next()
    assert (row(small)["tries"], row(small)["due_at"]) == (2, None)
    Courier(small, SETTINGS, overtaken(None)).deliver_next()
    assert row(small)["state"] == "delivered"


def test_one_that_is_being_sent_holds_up_others_for_the_same_target_only(small: Database, receiver: Receiver) -> None:
    same, other = receiver.url("/same"), receiver.url("/other")
    ended_job(small, same)
    ended_job(small, same, other)
    busy: list[str] = []

    def send(*what: Any) -> None:  # noqa: ANN401 - as a sender
        if not busy:
            busy.append("now")
            assert deliver(small) == 1
            assert [post.path for post in receiver.posts] == ["/other"]
        Sender(SETTINGS)(*what)

    courier = Courier(small, SETTINGS, send)
    while courier.deliver_next():
        pass
    assert sorted(post.path for post in receiver.posts) == ["/other", "/same", "/same"]


def test_of_several_senders_at_once_each_takes_another_result(small: Database) -> None:
    targets = [f"https://example.org/{number}" for number in range(8)]
    ended_job(small, *targets)

    def take(_: int) -> list[int]:
        taken = []
        while True:
            with small.write() as connection:
                delivery = delivery_rows.claim_next(connection, 60)
            if delivery is None:
                return taken
            taken.append(delivery.id)

    with ThreadPoolExecutor(4) as pool:
        taken = [delivery for of_one in pool.map(take, range(4)) for delivery in of_one]
    assert sorted(taken) == [found["id"] for found in rows(small)]
    assert {found["tries"] for found in rows(small)} == {1}


def test_the_least_tried_goes_first(small: Database, receiver: Receiver) -> None:
    receiver.answers = [500, 204]
    ended_job(small, receiver.url("/first"))
    deliver(small)
    make_due(small)
    ended_job(small, receiver.url("/second"))
    deliver(small)
    assert [post.path for post in receiver.posts] == ["/first", "/second", "/first"]


# Who starts couriers, and who sends again.


def test_the_leading_housekeeper_starts_a_courier_when_something_is_due(small: Database, receiver: Receiver) -> None:
    broker = Broker()

    def round_of(worker: str) -> int:
        broker.couriers = 0
        keeper = Housekeeper(
            small, SETTINGS, worker, broker, lambda: 0, lambda _: True, broker.killed.append, broker.start_courier
        )
        keeper.beat()
        keeper.round()
        return broker.couriers

    assert round_of("leader") == 0
    job = ended_job(small, receiver.url())
    assert round_of("another") == 0
    assert round_of("leader") == 1
    deliver(small)
    assert round_of("leader") == 0
    assert Steering(small, "root").resend(job, delivered_too=True) == 1
    assert round_of("leader") == 1


def test_a_broker_that_is_down_holds_up_no_result(small: Database, receiver: Receiver) -> None:
    ended_job(small, receiver.url())
    submit(small)
    broker = Broker()
    broker.takes = 0
    keeper = Housekeeper(
        small, SETTINGS, "leader", broker, lambda: 0, lambda _: True, broker.killed.append, broker.start_courier
    )
    with pytest.raises(Exception, match="connection refused"):
        keeper.round()
    assert broker.couriers == 1


def test_what_was_given_up_is_sent_again_when_asked_to(small: Database, receiver: Receiver) -> None:
    receiver.answers = [410, 204]
    job = ended_job(small, receiver.url())
    deliver(small)
    steering = Steering(small, "root")
    assert steering.resend(job, delivered_too=False) == 1
    assert deliver(small) == 1
    assert (row(small)["state"], row(small)["tries"]) == ("delivered", 1)
    with pytest.raises(Conflict, match="every result of job 1 was delivered; give --all"):
        steering.resend(job, delivered_too=False)
    assert steering.resend(job, delivered_too=True) == 1
    assert deliver(small) == 1
    assert len({post.message_id for post in receiver.posts}) == 1


def test_nothing_is_sent_again_of_a_job_that_runs_or_tells_nobody(small: Database) -> None:
    steering = Steering(small, "root")
    job = submit(small, on_result=("https://example.org/",))
    with pytest.raises(Conflict, match="is queued; its result is sent when it has ended"):
        steering.resend(job, delivered_too=True)
    silent = submit(small)
    work(small)
    with pytest.raises(Conflict, match="without --on-result"):
        steering.resend(silent, delivered_too=True)
