"""A Celery task for each learner: what comes to mind first. The application, and how a run of it is measured.

Its worker imports this module, which reads where the records are from its environment.
"""

import os
import sys
import time
from functools import cache

import psycopg
from celery import Celery
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session

from benchmarks.bench import Bench
from benchmarks.contenders import orm, sql
from benchmarks.processes import running, wait_for

PROCESSES = 2
_URL, _BROKER = "BENCHMARK_DATABASE_URL", "BENCHMARK_BROKER_URL"
_OUTCOMES = "CREATE TABLE task_outcomes (user_id bigint PRIMARY KEY, outcomes text)"
_DONE = "INSERT INTO task_outcomes VALUES (%s, %s) ON CONFLICT DO NOTHING"

app = Celery("benchmark", broker=os.environ.get(_BROKER))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="benchmark",
    broker_transport_options={"global_keyprefix": "benchmark:"},
    broker_connection_retry_on_startup=True,
)


@app.task(name="benchmark.by_sql")  # type: ignore[untyped-decorator]
def by_sql(user: int) -> None:
    """Reset one learner by set-based SQL."""
    with _connection().transaction():
        _connection().execute(_DONE, (user, sql.reset(_connection(), [user])))


@app.task(name="benchmark.by_orm")  # type: ignore[untyped-decorator]
def by_orm(user: int) -> None:
    """Reset one learner by loading its records as objects and changing them one by one."""
    with Session(_engine()) as session, session.begin():
        outcome = orm.reset(session, user)
        session.connection().exec_driver_sql(_DONE, (user, outcome))


def run(bench: Bench, url: str, task: str, users: list[int]) -> float:
    """Reset a sample of learners, a task for each; give the seconds from the first message to the last outcome."""
    with psycopg.connect(url) as connection:
        connection.execute(_OUTCOMES)
    surroundings = os.environ | {_URL: url, _BROKER: bench.broker_url}
    worker = [*(sys.executable, "-m", "celery", "-A", "benchmarks.contenders.tasks", "worker"), "--without-gossip"]
    worker += ["--without-mingle", "--concurrency", str(PROCESSES), "--loglevel", "INFO"]
    with running(worker, surroundings, bench.directory / "tasks.log"), psycopg.connect(url, autocommit=True) as watch:
        began = time.monotonic()
        with app.connection_for_write(bench.broker_url) as broker:
            producer = app.amqp.Producer(broker)
            for user in users:
                app.send_task(f"benchmark.{task}", args=(user,), producer=producer)
        wait_for(lambda: _done(watch) == len(users), "the last task")
        return time.monotonic() - began


def _done(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM task_outcomes").fetchone()
    return 0 if row is None else int(row[0])


@cache
def _connection() -> psycopg.Connection:
    return psycopg.connect(os.environ[_URL], autocommit=True)


@cache
def _engine() -> Engine:
    return create_engine(make_url(os.environ[_URL]).set(drivername="postgresql+psycopg"))
