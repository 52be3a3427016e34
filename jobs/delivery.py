"""One result on its way to one target: how it stands, and how long to wait before the next try. Pure."""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The result of one job for one target.

    Attributes:
        target: as it was given, with any credentials; show `shown_target` of it.
        message_id: the same however often it is sent, so that a receiver can drop copies.
        tries: how often it was tried, the try under way included.
        due_at: not before; None means as soon as the job has ended.
        error: why the last try failed, or what is known of the one under way.

    """

    id: int
    job_id: int
    target: str
    message_id: str
    state: DeliveryState
    tries: int
    due_at: datetime | None
    delivered_at: datetime | None
    error: str | None

    @property
    def being_sent(self) -> bool:
        """Whether a try is under way, as far as is known."""
        return self.state is DeliveryState.WAITING and self.tries > 0 and self.due_at is None


class SendFailed(Exception):
    """A try to send a result failed.

    Args:
        reason: one clause, without credentials.
        final: whether the receiver wants no other try.
        wait_seconds: how long the receiver asked not to be tried again.

    """

    def __init__(self, reason: str, *, final: bool = False, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.wait_seconds = wait_seconds


def wait_seconds(tries: int, first: float, longest: float) -> float:
    """Give the seconds to wait after so many failed tries: doubled each time, bounded, never in step with others.

    Args:
        tries: how many failed, from 1 up.
        first: the wait after the first, in seconds, before it is varied by a quarter up or down.
        longest: what no wait exceeds, before it is varied.

    """
    doublings = min(tries - 1, 60)  # beyond that no float is needed to know that it is the longest
    return min(longest, first * 2.0**doublings) * random.uniform(0.75, 1.25)
