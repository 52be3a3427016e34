"""Delivery: the Celery application, its tasks, dispatch, housekeeping and the embedded services."""
