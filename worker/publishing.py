"""Send the message of one chunk: its id and nothing else."""

from jobs.dispatch import PublishFailed
from worker.app import app

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
