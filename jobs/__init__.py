"""The domain of training-reset: what a reset does, and how a job of resets lives.

It knows nothing of Celery, Redis, the command line or the worker.
"""

__version__ = "0.1.0"
