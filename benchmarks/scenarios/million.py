"""A job of a million learners: freezing it, and its status while it runs.

The learners have no records here; neither figure depends on them.
"""

import time

import psycopg

from benchmarks.bench import Bench
from benchmarks.measures import Budget, Result, Series, percentile
from benchmarks.work import FIRST_LEARNER, Work
from jobs.database import Database
from jobs.model import Kind
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.services import Administration

_USERS = 1_000_000
_CHUNK = 500
_CALLS = 200
_EVERYTHING = ResetRequest(
    kind=Kind.TRAINING, users=UserSelection(all_users=True), content=ContentSelection(all_content=True), location="all"
)
_MORE_LEARNERS = """
    INSERT INTO users SELECT id, 'learner.' || id, 'Learner ' || id, 1, 'learner'
    FROM generate_series(%s::bigint, %s::bigint) AS id
"""
_HALF_DONE = """
    INSERT INTO chunks (job_id, first_ordinal, last_ordinal, state, created_at, published_at, claimed_at, done_at,
        worker_id, process_id, users_changed, attempts_erased, chapters_reset, courses_reset, outcomes)
    SELECT %(job)s, first, first + %(size)s - 1, 'done', now(), now(), now(), now(),
        'worker', 1, %(size)s, 30 * %(size)s, 20 * %(size)s, 4 * %(size)s, repeat('x', 8000)
    FROM generate_series(0, %(last)s, %(size)s) AS first
"""


def run(bench: Bench) -> Result:
    """Freeze one, mark half of it done in chunks as a run leaves them, and ask for its status."""
    template = bench.postgres.prepare(Work(users=1))
    freezing, calls = [], []
    for _ in range(bench.rounds):
        url = bench.postgres.copy(template)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_MORE_LEARNERS, (FIRST_LEARNER + 1, FIRST_LEARNER + _USERS - 1))
            connection.execute("VACUUM ANALYZE users")
            database = Database(url)
            administration = Administration(database, "root")
            began = time.monotonic()
            job, _ = administration.submit(_EVERYTHING, JobOptions(reason="benchmark"))
            freezing.append(time.monotonic() - began)
            connection.execute(_HALF_DONE, {"job": job.id, "size": _CHUNK, "last": job.users_total // 2})
            connection.execute("UPDATE jobs SET state = 'running', started_at = now(), next_ordinal = users_total / 2")
            for _ in range(_CALLS):
                began = time.monotonic()
                administration.status(job.id)
                calls.append(time.monotonic() - began)
            database.close()
    status = percentile(calls, 95) * 1000
    return Result(
        title=f"a job of {_USERS:,} users",
        columns=("what", "median", "p95 or worst"),
        rows=[
            ["submitting (freezing) it", f"{Series(freezing).median:.2f} s", f"{max(freezing):.2f} s"],
            [
                f"its status, half done in chunks of {_CHUNK}",
                f"{Series(calls).median * 1000:.1f} ms",
                f"{status:.1f} ms",
            ],
        ],
        figures={"freezing_seconds": freezing, "status_milliseconds_p95": status},
        budgets=(
            Budget(name="freezing a million users", value=max(freezing), limit=10, unit="s"),
            Budget(name="status of a million users, p95", value=status, limit=20, unit="ms"),
        ),
    )
