"""The Celery application: `celery -A worker.app worker` serves it like any other."""

from celery import Celery

from jobs.settings import Settings
from worker import lifecycle
from worker.configuration import celery_configuration

settings = Settings()
app = Celery("training-reset", include=["worker.tasks"])
app.conf.update(celery_configuration(settings))
lifecycle.connect(settings)
