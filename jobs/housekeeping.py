"""What heals the system without an operator: one round of housekeeping.

Every worker has a housekeeper. Each renews its own worker's lease and returns what that worker's dead
processes held; the one that leads does the rest for all. A worker alone heals everything.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jobs import dispatch
from jobs.database import Database, first_line, read_now
from jobs.firing import fire_due
from jobs.settings import Settings
from jobs.settling import read_surroundings, settle
from jobs.store import chunk_rows, delivery_rows, job_rows, lapsed_rows, lease_rows, strain_rows
from jobs.strain import FULL_PACE, next_pace, sign_of_strain

log = structlog.get_logger()

_FORGET_WORKERS_AFTER_LEASES = 20
_PACE_KEPT_LEASES = 3


@dataclass(frozen=True)
class Housekeeper:
    """The housekeeper of one worker.

    Attributes:
        waiting: counts the messages that wait at the broker; raises PublishFailed if it is out of reach.
        lives: tells whether a process of this worker is alive.
        kill: ends a process of this worker at once.
        start_courier: starts one more process that sends results, if there are not enough.

    """

    database: Database
    settings: Settings
    worker_id: str
    publish: dispatch.Publish
    waiting: Callable[[], int]
    lives: Callable[[int], bool]
    kill: Callable[[int], None]
    start_courier: Callable[[], None]

    def beat(self) -> None:
        """Renew the worker's lease."""
        with self.database.write() as connection:
            lease_rows.renew_worker(connection, self.worker_id, self.settings.lease_seconds)

    def round(self) -> None:
        """Do what is due now.

        Raises:
            PublishFailed: the broker is out of reach; everything else was done.

        """
        self._kill_overdue_processes()  # first, because it waits for no lock, and they may hold one
        self._return_chunks_of_dead_processes()
        with self.database.write() as connection:
            leads = lease_rows.lead_if_free(connection, self.worker_id, self.settings.leader_lease_seconds)
        if leads:
            self._return_lapsed_chunks()
            self._watch_database()
            self._move_jobs_on()
            self._fire_schedules()
            self._send_results()
            self._find_lost_messages()
            dispatch.fill(self.database, self.settings, self.publish)

    def leave(self) -> None:
        """End in order: what the worker still holds comes back at once, and somebody else leads."""
        with self.database.write() as connection:
            lease_rows.remove_worker(connection, self.worker_id)
            lease_rows.stop_leading(connection, self.worker_id)

    def _return_chunks_of_dead_processes(self) -> None:
        with self.database.read() as connection:
            claimed = lapsed_rows.find_claimed_by(connection, self.worker_id)
        dead = [chunk for process_id, chunk in claimed if not self.lives(process_id)]
        self._return(dead, "its process died")

    def _kill_overdue_processes(self) -> None:
        """End processes that hold a chunk past its deadline: what they lock, no fence takes away from them."""
        with self.database.read() as connection:
            overdue = lapsed_rows.find_overdue_processes(connection, self.worker_id)
        for process_id in overdue:
            if self.lives(process_id):
                log.warning("overdue process killed", process=process_id)
                self.kill(process_id)

    def _fire_schedules(self) -> None:
        """Fire what is due; while that takes long, the worker's lease is renewed, and somebody else may lead."""
        next_beat = time.monotonic() + self.settings.heartbeat_seconds

        def beat_in_time() -> None:
            nonlocal next_beat
            if time.monotonic() >= next_beat:
                self.beat()
                next_beat = time.monotonic() + self.settings.heartbeat_seconds

        fire_due(self.database, self.settings.schedule_grace_seconds, beat_in_time)

    def _find_lost_messages(self) -> None:
        """Have messages sent again that must be lost: as many as wait at the broker too few."""
        with self.database.read() as connection:
            overdue = chunk_rows.find_overdue_messages(connection, self.settings.dispatch_timeout_seconds)
            waiting, _ = chunk_rows.count_waiting(connection)
        missing = waiting - self.waiting() if overdue else 0
        if missing > 0:
            with self.database.write() as connection:
                chunk_rows.mark_unpublished(connection, overdue[:missing])

    def _return_lapsed_chunks(self) -> None:
        with self.database.read() as connection:
            lapsed = lapsed_rows.find_lapsed(connection)
        self._return(lapsed, "its worker's lease or its own deadline lapsed")

    def _return(self, chunks: list[lapsed_rows.Lapsed], why: str) -> None:
        for chunk in chunks:
            with self.database.write() as connection:
                if lapsed_rows.return_if_still_claimed(connection, chunk):
                    log.warning("chunk returned", chunk=chunk.chunk_id, why=why, losses=chunk.losses)

    def _watch_database(self) -> None:
        """Let jobs go slower while the database shows strain, and faster when it is calm; nothing else waits for it."""
        try:
            with self.database.write() as connection:
                self._set_pace(connection)
        except DBAPIError as error:
            log.warning("load not read", error=first_line(error))

    def _set_pace(self, connection: Connection) -> None:
        before, now = strain_rows.read_pace(connection), read_now(connection)
        if not before.reduced and not job_rows.any_unfinished(connection):
            return
        sign = sign_of_strain(strain_rows.read_load(connection), self.settings)
        pace = next_pace(before, sign, now, self.settings)
        if pace.level != before.level:
            log.info("pace changed", level=pace.level, of=FULL_PACE, sign=sign)
        if before.reduced or pace.reduced:
            kept = timedelta(seconds=_PACE_KEPT_LEASES * self.settings.leader_lease_seconds)
            strain_rows.write_pace(connection, pace, now + kept)

    def _move_jobs_on(self) -> None:
        with self.database.write() as connection:
            lease_rows.remove_lapsed_workers(connection, _FORGET_WORKERS_AFTER_LEASES * self.settings.lease_seconds)
            around = read_surroundings(connection)
            for job in job_rows.find_unfinished(connection):
                settle(connection, job, around)

    def _send_results(self) -> None:
        with self.database.read() as connection:
            due = delivery_rows.any_due(connection)
        if due:
            self.start_courier()
