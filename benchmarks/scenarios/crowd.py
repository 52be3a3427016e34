"""A job of a million learners and three chapters, run to its end: time, memory, write-ahead log, updates in place."""

import psycopg
from redis import Redis

from benchmarks.bench import Bench
from benchmarks.contenders import job
from benchmarks.measures import Result
from benchmarks.resets import Reset
from benchmarks.work import FIRST_CHAPTER, Work
from jobs.model import Kind

_TIMES = 10
_UPDATES = """
    SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
    WHERE relname IN ('chapter_progress', 'course_progress') ORDER BY relname
"""


def run(bench: Bench) -> Result:
    """Run it once, on ten times the learners of the main work, whose one course has five chapters."""
    work = Work(users=_TIMES * bench.users, courses=1)
    three = tuple(range(FIRST_CHAPTER, FIRST_CHAPTER + 3))
    url = bench.postgres.copy(bench.postgres.prepare(work))
    with Redis.from_url(bench.broker_url.replace("redis+socket://", "unix://", 1)) as redis:
        redis.config_resetstat()
        before = _log_position(url)
        ran = job.run(bench, url, Reset(name="three chapters", kind=Kind.TRAINING, chapters=three))
        log_bytes, peak = _log_position(url) - before, int(redis.info("memory")["used_memory_peak"])
    with psycopg.connect(url) as connection:
        in_place = {table: hot / max(1, updates) for table, updates, hot in connection.execute(_UPDATES)}
    return Result(
        title=f"[203] {len(three)} chapters of {work.users:,} users, once",
        columns=("what", "figure"),
        rows=[
            ["from submission to end", f"{ran.seconds:.1f} s"],
            ["users a second", f"{work.users / ran.seconds:,.0f}"],
            ["chunks", f"{ran.chunks:,}"],
            ["worker processes busy", f"{ran.busy:.3f}"],
            ["worker's largest process", f"{ran.peak_memory_kib // 1024} MiB"],
            ["broker's peak", f"{peak / 2**20:.1f} MiB"],
            ["write-ahead log", f"{log_bytes / 1e6:,.0f} MB"],
            *([f"updates of {table} in place (HOT)", f"{share:.1%}"] for table, share in in_place.items()),
        ],
        figures={
            "users": work.users,
            "seconds": ran.seconds,
            "busy": ran.busy,
            "worker_peak_kib": ran.peak_memory_kib,
            "broker_bytes": peak,
            "log_bytes": log_bytes,
            "updates_in_place": in_place,
        },
    )


def _log_position(url: str) -> int:
    """Give how many bytes of write-ahead log there have been."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
    return 0 if row is None else int(row[0])
