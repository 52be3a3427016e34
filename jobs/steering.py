"""The use cases that steer a job: pause, resume, cancel, retry, and its pace.

Stopping has two phases. The order is committed first; then the job counts as stopped as soon as no chunk of it
can commit any more. That takes no worker and no broker: whoever gives the order fences off what is idle.
"""

from dataclasses import replace

from sqlalchemy import Connection

from jobs import authorization
from jobs.database import Database
from jobs.errors import Conflict
from jobs.following import find_visible_job, report_lines
from jobs.model import Actor, Job, JobState, Outcome
from jobs.records.people import find_actor, find_location, users_among
from jobs.scope import JobOptions, ResetRequest
from jobs.settling import settle
from jobs.store import chunk_rows, delivery_rows, job_rows, lease_rows
from jobs.store.version import require_schema
from jobs.submission import Resolved, record


class Steering:
    """What one actor may do to running jobs.

    Args:
        database: where the jobs are.
        login: who acts.

    Raises:
        DatabaseUnavailable: the database holds no schema of this version.

    """

    def __init__(self, database: Database, login: str | None) -> None:
        require_schema(database)
        self._database = database
        self._login = authorization.require_named(login)

    def pause(self, job_id: int) -> None:
        """Stop a job until it is resumed; nothing happens to one that is pausing or paused.

        Raises:
            Conflict: it has ended or is about to.

        """
        self._stop(job_id, JobState.PAUSING, "paused", JobState.PAUSED)

    def cancel(self, job_id: int) -> None:
        """End a job for good; what is done stays done. Nothing happens to one that is cancelling or cancelled.

        Raises:
            Conflict: it has ended otherwise.

        """
        self._stop(job_id, JobState.CANCELLING, "cancelled", JobState.CANCELLED)

    def settle(self, job_id: int) -> None:
        """Take the step of a job that is due, so that a stop takes no worker."""
        with self._database.write() as connection:
            _, job = self._find(connection, job_id)
            settle(connection, job)

    def resume(self, job_id: int) -> None:
        """Let a paused job go on; nothing happens to one that does.

        Raises:
            Conflict: it has ended, or is still pausing.

        """
        going = (JobState.QUEUED, JobState.RUNNING, JobState.HOLDING)
        with self._database.write() as connection:
            self._give(connection, job_id, JobState.QUEUED, "resumed", at_rest=going, before=JobState.PAUSED)
            settle(connection, self._find(connection, job_id)[1])

    def set_pace(self, job_id: int, *, max_rate: float | None, priority: int | None) -> None:
        """Change how fast a job may go, from its next chunk on; None leaves a value as it is.

        For another rate, chunks that no worker has claimed are taken back, to be cut anew.

        Raises:
            InputRefused: the rate is not above 0.
            Conflict: the job has ended.

        """
        JobOptions(reason="pace", max_rate=max_rate).check()
        given = {"max_rate": max_rate, "priority": priority}
        values: dict[str, float] = {name: value for name, value in given.items() if value is not None}
        with self._database.write() as connection:
            _, job = self._find(connection, job_id)
            if max_rate is not None:
                lease_rows.lock_window(connection)
                first = chunk_rows.take_back_newest(connection, job.id)
                values |= {} if first is None else {"next_ordinal": first}
            if not job_rows.set_pace(connection, job.id, **values):
                raise Conflict(f"job {job.id} is {job.state.value} and has no pace any more; submit another one")

    def retry(self, job_id: int, options: JobOptions) -> tuple[Job, bool]:
        """Record a new job for the failed and never reached users of one that has ended, on the same content.

        Users who have left the location since are left out. It tells whom that job told, unless others are named.

        Returns:
            the retry, and whether it is new: a job is retried once, and what its retry missed is retried from there.

        Raises:
            Conflict: it has not ended, or every user was treated.

        """
        options.check()
        with self._database.write() as connection:
            actor, job = self._find(connection, job_id)
            if not job.state.ended:
                raise Conflict(f"job {job.id} is {job.state.value}; cancel it, or wait for its end, before a retry")
            job_rows.lock_job(connection, job.id)  # whoever retries it at the same time finds this retry
            earlier = job_rows.find_retry(connection, job.id)
            if earlier is not None:
                return earlier, False
            missed = [line.user_id for line in report_lines(connection, job) if line.outcome in (None, Outcome.FAILED)]
            location = None if job.location_id is None else find_location(connection, job.location_id)
            targets = users_among(connection, missed, location) if missed else None
            if targets is None:
                raise Conflict(f"job {job.id} left nobody out who is still there; there is nobody to retry")
            resolved = Resolved(
                actor=actor,
                request=ResetRequest(kind=job.kind, location=job.location_id or "all", cutoff=job.cutoff),
                location=location,
                content=job_rows.load_content(connection, job.id),
                targets=targets,
                cutoff=job.cutoff,
            )
            pace = replace(
                options,
                priority=job.priority,
                max_rate=options.max_rate or job.max_rate,
                chunk_size=options.chunk_size or job.chunk_size,
                on_result=options.on_result or delivery_rows.targets_of(connection, job.id),
                windows=job.windows,
                urgent=job.urgent,
            )
            return record(connection, resolved, pace, parent_id=job.id), True

    def resend(self, job_id: int, *, delivered_too: bool) -> int:
        """Have the results of an ended job sent again, from the first try on; give their number.

        Args:
            job_id: which job.
            delivered_too: not only those that are still to arrive.

        Raises:
            Conflict: it has not ended, or there is nothing to send.

        """
        with self._database.write() as connection:
            _, job = self._find(connection, job_id)
            if not job.state.ended:
                raise Conflict(f"job {job.id} is {job.state.value}; its result is sent when it has ended")
            if not delivery_rows.targets_of(connection, job.id):
                raise Conflict(f"job {job.id} was submitted without --on-result; 'job status' shows its result")
            number = delivery_rows.send_again(connection, job.id, delivered_too=delivered_too)
            if number == 0:
                raise Conflict(f"every result of job {job.id} was delivered; give --all to send them again")
        return number

    def _stop(self, job_id: int, order: JobState, word: str, stopped: JobState) -> None:
        """Commit the order, then settle what follows from it."""
        with self._database.write() as connection:
            self._give(connection, job_id, order, word, at_rest=(order, stopped))
        self.settle(job_id)

    def _give(
        self,
        connection: Connection,
        job_id: int,
        order: JobState,
        word: str,
        *,
        at_rest: tuple[JobState, ...],
        before: JobState | None = None,
    ) -> None:
        self._find(connection, job_id)
        if job_rows.set_state_if_allowed(connection, job_id, order, before=before):
            return
        _, job = self._find(connection, job_id)  # as it is now: somebody else may have given the same order
        if job.state not in at_rest:
            raise Conflict(f"job {job.id} is {job.state.value} and cannot be {word}; 'job status' says more")

    def _find(self, connection: Connection, job_id: int) -> tuple[Actor, Job]:
        actor = find_actor(connection, self._login)
        job = find_visible_job(connection, actor, job_id)
        if job.actor_id != actor.id:
            authorization.require_administrator(actor)
        return actor, job
