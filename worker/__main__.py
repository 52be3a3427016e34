"""Celery's command line, this program's packages loaded first: `python -P -m worker -A worker.app worker`.

Celery looks for the application in the current directory before anywhere else; a directory there that happens
to be called `jobs` or `worker` must not be taken for this program's.
"""

from celery.__main__ import main

import jobs  # noqa: F401 - loads the package

if __name__ == "__main__":
    main()
