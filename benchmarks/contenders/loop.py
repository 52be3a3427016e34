"""A chunk loop by hand: two processes, bare psycopg, one transaction a chunk, archive and outcomes as the program's.

It cannot be paused, followed or resumed, and nobody finishes what a process leaves behind when it dies.
"""

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

from benchmarks.contenders.sql import reset

PROCESSES = 2
CHUNK_SIZE = 1000
_OUTCOMES = "CREATE TABLE loop_outcomes (first_user bigint, outcomes text)"


def run(url: str, chunk_size: int) -> float:
    """Reset everything of everybody; give the seconds from when both processes are ready."""
    with psycopg.connect(url) as connection:
        connection.execute(_OUTCOMES)
    context = multiprocessing.get_context("spawn")
    ready, next_chunk = context.Barrier(PROCESSES + 1), context.Value("q", 0)
    processes = [
        context.Process(target=_work, args=(url, chunk_size, ready, next_chunk), daemon=True) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    ready.wait(60)
    began = time.monotonic()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process of the chunk loop failed")
    return time.monotonic() - began


def _work(url: str, chunk_size: int, ready: Barrier, next_chunk: Any) -> None:  # noqa: ANN401 - a shared integer
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        ready.wait(60)
        users = [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id").fetchall()]
        connection.commit()
        while True:
            with next_chunk.get_lock():
                first = next_chunk.value
                next_chunk.value += chunk_size
            chunk = users[first : first + chunk_size]
            if not chunk:
                return
            with connection.transaction():
                outcomes = reset(connection, chunk)
                connection.execute("INSERT INTO loop_outcomes VALUES (%s, %s)", (chunk[0], outcomes))
