"""For commands that submit: dispatch the first chunks at once, without being a worker."""

from jobs import dispatch
from jobs.database import Database
from jobs.settings import Settings
from worker.configuration import celery_configuration


def dispatch_now(database: Database, settings: Settings) -> int:
    """Fill the window and publish; give the number of chunks.

    Raises:
        PublishFailed: the broker is out of reach; what was recorded is published when it is back.
        BrokerUnavailable: the embedded broker's directory is not to be trusted.

    """
    from worker.app import app  # noqa: PLC0415 - reads the settings of the environment, which these replace
    from worker.publishing import publish_chunk  # noqa: PLC0415

    configuration = celery_configuration(settings)
    options = configuration["broker_transport_options"]
    if isinstance(options, dict):  # a person waits, so a silent broker is given up sooner than by a worker
        options["socket_timeout"] = settings.broker_connect_seconds
    retries = configuration["task_publish_retry_policy"]
    if isinstance(retries, dict):
        retries["max_retries"] = 1
    app.conf.update(configuration)
    return dispatch.fill(database, settings, publish_chunk)
