"""A message that was received, and what becomes of it when the broker does not take its acknowledgement."""

from celery.worker.request import Request
from kombu.transport.virtual.base import QoS


class ChunkRequest(Request):  # type: ignore[misc]
    """A message that is done with once its chunk has run, whether or not the broker has heard of it.

    Kombu logs an acknowledgement that fails and goes on counting the message as one fetched ahead. With one a
    process, the worker would then fetch nothing more until somebody starts it again. The broker brings such a message
    back after its visibility timeout, and it finds its chunk done.
    """

    def acknowledge(self) -> None:
        """Acknowledge the message, and let another take its place in any case."""
        try:
            super().acknowledge()
        finally:
            QoS.ack(self.message.channel.qos, self.message.delivery_tag)  # type: ignore[no-untyped-call]
