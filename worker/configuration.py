"""Celery's configuration, from the settings. Why each choice: `docs/celery.md`."""

from pathlib import Path

from jobs.settings import Settings
from worker.embedded import embedded_address

QUEUE = "training-reset"
SILENT = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Words of `celery worker` for workers that say nothing to each other: whether one lives is read from the database."""


def broker_url(settings: Settings) -> str:
    """Give the broker's URL as Celery reads it: the one that is set, or the embedded one's."""
    return settings.broker_url or embedded_address(Path(settings.home)).kombu_url


def redis_url(settings: Settings) -> str:
    """Give the broker's URL as redis-py reads it."""
    if settings.broker_url is None:
        return embedded_address(Path(settings.home)).redis_url
    return settings.broker_url.replace("redis+socket://", "unix://", 1)


def celery_configuration(settings: Settings) -> dict[str, object]:
    """Give the whole configuration of the Celery application."""
    return {
        "broker_url": broker_url(settings),
        "broker_transport_options": {
            "visibility_timeout": settings.broker_visibility_seconds,
            "socket_timeout": settings.broker_socket_seconds,
            "socket_connect_timeout": settings.broker_connect_seconds,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "retry_on_timeout": True,
            "global_keyprefix": "training-reset:",
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "task_default_queue": QUEUE,
        "task_default_exchange_type": "direct",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_reject_on_worker_lost": False,
        "task_time_limit": settings.chunk_hard_limit_seconds,
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 0.4,
        },
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": settings.worker_max_tasks_per_child,
        "worker_max_memory_per_child": settings.worker_max_memory_kib,
        "worker_soft_shutdown_timeout": settings.shutdown_seconds,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "enable_utc": True,
    }
