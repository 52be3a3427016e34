"""The plans of every statement that a chunk spends its time on, at two sizes: what it reads, writes and logs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from benchmarks.bench import Bench
from benchmarks.measures import Result
from benchmarks.work import Work
from jobs.database import Database
from jobs.frozen import engine_of
from jobs.model import Kind
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration
from jobs.store import job_rows

_TIMES = 10
_CHUNK = 3000
_EVERYTHING = ResetRequest(
    kind=Kind.TRAINING, users=UserSelection(all_users=True), content=ContentSelection(all_content=True), location="all"
)


def run(bench: Bench) -> Result:
    """Explain the statements of one chunk from the middle of a job."""
    found = [
        [f"{users:,}", *plan]
        for users in (bench.users, _TIMES * bench.users)
        for plan in _plans(bench.postgres.copy(bench.postgres.prepare(Work(users=users, courses=1))))
    ]
    columns = ("users", "statement", "reads by", "rows", "ms", "buffers hit", "read", "log, kB", "whole pages of it")
    return Result(
        title=f"plans of a chunk of {_CHUNK:,} users x 5 chapters",
        columns=columns,
        rows=found,
        figures={"plans": found},
    )


def _plans(url: str) -> list[list[str]]:
    database = Database(url)
    job, _ = Administration(database, "root").submit(_EVERYTHING, JobOptions(reason="benchmark"))
    middle = job.users_total // 2
    with database.write("REPEATABLE READ") as connection:
        users = job_rows.load_targets(connection, job.id, middle, middle + _CHUNK - 1)
        engine = engine_of(connection, job)
        with _explained(database) as plans:
            engine.apply(connection, job.id, users)
        connection.rollback()
    database.close()
    return plans


@contextmanager
def _explained(database: Database) -> Iterator[list[list[str]]]:
    """Explain each statement just before it is run, and take back what the explanation did."""
    plans: list[list[str]] = []

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:  # noqa: ANN401 - the driver's
        cursor.execute("SAVEPOINT plan")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON) {statement}", parameters)
        plans.append(_summary(statement, cursor.fetchone()[0]))
        cursor.execute("ROLLBACK TO SAVEPOINT plan")

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)


def _summary(statement: str, explained: Any) -> list[str]:  # noqa: ANN401 - JSON
    (plan,) = explained if isinstance(explained, list) else json.loads(explained)
    top, scans = plan["Plan"], list(_scans(plan["Plan"]))
    verb = statement.split(maxsplit=1)[0].lower()
    return [
        f"{'count' if verb == 'select' else verb} {top.get('Relation Name') or scans[-1]['Relation Name']}",
        ", ".join(dict.fromkeys(scan["Node Type"].lower() for scan in scans)),
        f"{scans[-1]['Actual Rows']:,.0f}",
        f"{plan['Execution Time']:.1f}",
        f"{top['Shared Hit Blocks']:,}",
        f"{top['Shared Read Blocks']:,}",
        f"{top.get('WAL Bytes', 0) / 1000:,.0f}",
        f"{top.get('WAL FPI', 0):,}",
    ]


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the nodes that read a table."""
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        yield node
    for child in node.get("Plans", ()):
        yield from _scans(child)
