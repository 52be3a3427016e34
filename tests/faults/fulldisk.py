"""For a Celery worker to include: its SQLite file takes no more pages than the file named in MOST_PAGES says."""

import os
from pathlib import Path

from sqlalchemy import Connection, Engine, event

_MOST_PAGES = Path(os.environ["MOST_PAGES"])


@event.listens_for(Engine, "begin")
def limit_pages(connection: Connection) -> None:
    """Hold the next transaction to that number; SQLite itself forgets it with the connection."""
    connection.exec_driver_sql(f"PRAGMA max_page_count = {int(_MOST_PAGES.read_text())}")
