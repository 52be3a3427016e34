"""Send the message of one chunk, its id and nothing else; and count the messages that wait."""

from jobs.dispatch import PublishFailed
from worker.app import app
from worker.configuration import QUEUE

TASK = "training_reset.run_chunk"


def publish_chunk(chunk_id: int) -> None:
    """Publish a chunk, trying again for about a second.

    Raises:
        PublishFailed: the broker is out of reach or does not answer as a broker would.

    """
    try:
        app.send_task(TASK, args=(chunk_id,), retry=True)
    except Exception as error:  # a server that is no broker makes the client fail in ways that nobody listed
        raise PublishFailed(str(error)) from error


def messages_waiting() -> int:
    """Count the messages in the queue that no worker has taken.

    Raises:
        PublishFailed: the broker is out of reach.

    """
    try:
        with app.connection_for_write() as connection:
            declared = app.amqp.queues[QUEUE](connection.default_channel).queue_declare(passive=False)
            return int(declared.message_count)
    except Exception as error:
        raise PublishFailed(str(error)) from error
