"""Fill an empty database with a made-up learning system.

The same seed gives the same rows, in every process and on every database: each learner has a generator of
random numbers of its own, and all times are counted from one fixed day.
"""

from sqlalchemy import Connection

from jobs.database import Database
from jobs.errors import InputRefused
from jobs.records.fileformat import Row
from jobs.records.generated_learners import learner_rows
from jobs.records.generated_system import system_rows
from jobs.records.loading import begin_loading, finish_loading, load_rows
from jobs.records.tables import RECORD_FORMAT

_LEARNERS_AT_ONCE = 500


def generate_records(database: Database, *, users: int, seed: int = 0) -> dict[str, int]:
    """Make learners with about ten chapters and ten attempts each; give how many rows each table got.

    Args:
        database: with this version's schema and without records.
        users: how many learners, at least 1; an administrator of each location and the super user `root`
            are added.
        seed: any number.

    Raises:
        InputRefused: no learners were asked for.
        Conflict: the database holds records.

    """
    if users < 1:
        raise InputRefused(f"{users} learners cannot be made; give a number of at least 1", {"users": users})
    counts = {table.name: 0 for table in RECORD_FORMAT}
    with database.write() as connection:
        begin_loading(connection, replace=False)
        _load(connection, system_rows(users=users), counts)
        for rows in learner_rows(users=users, seed=seed, at_once=_LEARNERS_AT_ONCE):
            _load(connection, rows, counts)
        finish_loading(connection)
    return counts


def _load(connection: Connection, rows: dict[str, list[Row]], counts: dict[str, int]) -> None:
    """Load rows by table name, each table after those that it refers to."""
    for table in RECORD_FORMAT:
        if batch := rows.get(table.name):
            load_rows(connection, table, batch)
            counts[table.name] += len(batch)
