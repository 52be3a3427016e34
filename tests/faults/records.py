"""The records of the fault suite: made once, copied for each test, with a copy of them beside to compare with.

A chunk can be made slow: an attempt that is named in `slow_attempts` takes its time to be erased, so that a
fault can be put inside the transaction of the chunk that erases it. While attempt 0, which is none, is named there,
leading takes its time.
"""

import time
from collections import defaultdict

from sqlalchemy import Connection, text

from jobs.database import Database
from jobs.records.generate import generate_records
from tests.plainsystem import FORMAT, KEYS

LEARNERS = 1200
LOCATION = 1
"""The location whose users are reset: about a third of all."""

TARGETS = f"SELECT id FROM before_users WHERE location_id = {LOCATION}"
_UNTOUCHED = "status <> 'incomplete' OR started_at IS NOT NULL OR completed_at IS NOT NULL"
CHANGES = {
    "attempts": "1 = 1",
    "chapter_progress": f"{_UNTOUCHED} OR position_seconds <> 0",
    "course_progress": _UNTOUCHED,
}
"""Which rows [203] of everything changes or erases."""
AFTERWARDS = {
    "chapter_progress": {
        "status": "'incomplete'",
        "position_seconds": "0",
        "started_at": "NULL",
        "completed_at": "NULL",
    },
    "course_progress": {"status": "'incomplete'", "started_at": "NULL", "completed_at": "NULL"},
}
"""What the columns of a row hold that it has left."""

_SLOW = {
    "sqlite": """
        CREATE TABLE slow_attempts (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
        CREATE VIEW slowness AS
            WITH RECURSIVE steps (step, last) AS (
                SELECT 1, (SELECT max(amount) FROM slow_attempts)
                UNION ALL SELECT step + 1, last FROM steps WHERE step < last
            ) SELECT step FROM steps;
        CREATE TRIGGER be_slow BEFORE DELETE ON attempts WHEN OLD.id IN (SELECT id FROM slow_attempts)
            BEGIN SELECT count(*) FROM slowness; END;
        CREATE TRIGGER be_slow_to_lead BEFORE UPDATE ON leases
            WHEN NEW.name = 'housekeeping' AND 0 IN (SELECT id FROM slow_attempts)
            BEGIN SELECT count(*) FROM slowness; END
    """,
    "postgresql": """
        CREATE TABLE slow_attempts (id bigint PRIMARY KEY, amount double precision NOT NULL);
        CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(amount) FROM slow_attempts WHERE id = OLD.id; RETURN OLD; END $$;
        CREATE TRIGGER be_slow BEFORE DELETE ON attempts FOR EACH ROW EXECUTE FUNCTION be_slow();
        CREATE FUNCTION be_slow_to_lead() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(amount) FROM slow_attempts WHERE id = 0; RETURN NEW; END $$;
        CREATE TRIGGER be_slow_to_lead BEFORE UPDATE ON leases FOR EACH ROW
            WHEN (NEW.name = 'housekeeping') EXECUTE FUNCTION be_slow_to_lead()
    """,
}


def make_records(database: Database) -> None:
    """Fill a database that holds the empty schema."""
    generate_records(database, users=LEARNERS, seed=1)
    if database.dialect == "sqlite":
        connection = database.engine.raw_connection()
        connection.executescript(_SLOW["sqlite"])  # type: ignore[attr-defined]
        connection.close()
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(_SLOW["postgresql"])
        for table in FORMAT:
            connection.exec_driver_sql(f"CREATE TABLE before_{table} AS SELECT * FROM {table}")


def steps_per_second(database: Database) -> int:
    """Measure how many steps of slowness SQLite does here in a second."""
    steps, began = 1_000_000, time.monotonic()
    with database.read() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ?) SELECT count(*) FROM s",
            (steps,),
        ).scalar_one()
    return int(steps / (time.monotonic() - began))


def targets(connection: Connection) -> list[int]:
    """Give the users who are to be reset, in the order of a job."""
    return list(connection.execute(text(f"{TARGETS} ORDER BY id")).scalars())


def expected_rows(connection: Connection) -> dict[int, dict[str, int]]:
    """Count the rows that [203] of everything takes from each target, by table."""
    counts: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(CHANGES, 0))
    for table, changed in CHANGES.items():
        query = (
            f"SELECT user_id, count(*) FROM before_{table} "
            f"WHERE user_id IN ({TARGETS}) AND ({changed}) GROUP BY user_id"
        )
        for user, number in connection.execute(text(query)):
            counts[user][table] = number
    return counts


def assert_reset_once(connection: Connection, job: int, treated: list[int]) -> None:
    """Compare every record, and the archive of a job, with the copy made before.

    Args:
        connection: where the records are.
        job: the id of a job that reset everything of some users.
        treated: those users; nothing of anybody else may have changed.

    """
    connection.execute(text("CREATE TEMPORARY TABLE treated (id bigint PRIMARY KEY)"))
    if treated:
        connection.execute(text("INSERT INTO treated VALUES (:id)"), [{"id": user} for user in treated])
    for table, format_ in FORMAT.items():
        columns, before = ", ".join(format_), f"before_{table}"
        if table not in CHANGES:
            assert_same(connection, f"SELECT {columns} FROM {table}", f"SELECT {columns} FROM {before}")
            continue
        outside = f"SELECT {columns} FROM {{}} WHERE user_id NOT IN (SELECT id FROM treated)"
        assert_same(connection, outside.format(table), outside.format(before))
        inside = "FROM {} WHERE user_id IN (SELECT id FROM treated)"
        values = AFTERWARDS.get(table)
        if values is None:
            assert count(connection, f"SELECT * {inside.format(table)}") == 0, table
        else:
            left = ", ".join(values.get(column, column) for column in format_)
            assert_same(
                connection, f"SELECT {columns} {inside.format(table)}", f"SELECT {left} {inside.format(before)}"
            )
        archive = f"SELECT {columns} FROM archive_{table} WHERE job_id = {job}"
        assert_same(connection, archive, f"SELECT {columns} {inside.format(before)} AND ({CHANGES[table]})")
        keys = ", ".join(KEYS[table])
        once = f"SELECT DISTINCT {keys} FROM archive_{table} WHERE job_id = {job}"
        assert count(connection, archive) == count(connection, once), f"archived twice: {table}"
    connection.execute(text("DROP TABLE treated"))


def assert_same(connection: Connection, found: str, expected: str) -> None:
    """Compare what two queries give, as sets."""
    surplus = connection.execute(text(f"{found} EXCEPT {expected} LIMIT 3")).all()
    missing = connection.execute(text(f"{expected} EXCEPT {found} LIMIT 3")).all()
    assert (surplus, missing) == ([], []), found


def count(connection: Connection, query: str) -> int:
    """Count the rows that a query gives."""
    return int(connection.execute(text(f"SELECT count(*) FROM ({query}) AS found")).scalar_one())
