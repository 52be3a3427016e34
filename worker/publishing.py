"""Send the message of one chunk: its id and nothing else."""

from celery.exceptions import OperationalError as CeleryOperationalError
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

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
    except (CeleryOperationalError, OperationalError, RedisError, OSError) as error:
        raise PublishFailed(str(error)) from error
