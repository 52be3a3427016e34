"""How far jobs are, and what became of every user."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from jobs.authorization import may_see
from jobs.database import read_now
from jobs.delivery import Delivery
from jobs.errors import NotFound
from jobs.model import Access, Actor, Job, Outcome, Rows
from jobs.progress import Totals, eta_seconds, users_per_second
from jobs.records.people import Location, list_locations, logins_of
from jobs.schema import MAX_ID
from jobs.store import delivery_rows, job_rows, outcome_rows

_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, how far it is, how fast it goes, and who is told of its end."""

    job: Job
    location: Location | None
    totals: Totals
    users_per_second: float
    eta_seconds: int | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, kw_only=True)
class ReportLine:
    """What became of one user; `outcome` is None where the job has not reached it."""

    user_id: int
    login: str | None
    outcome: Outcome | None
    rows: Rows
    error: str | None


def find_visible_job(connection: Connection, actor: Actor, job_id: int) -> Job:
    """Find a job that the actor may know of.

    Raises:
        NotFound: there is none of this id, or none that the actor may know of.

    """
    job = job_rows.find_job(connection, job_id) if 0 < job_id <= MAX_ID else None
    if job is None or not is_visible(connection, actor, job):
        raise NotFound(f"no job has the id {job_id}; 'training-reset job list' names them")
    return job


def is_visible(connection: Connection, actor: Actor, job: Job) -> bool:
    """Tell whether a job exists for this actor; for a learner, only if it is about nobody else."""
    if actor.access is Access.LEARNER and not job_rows.is_only_about(connection, job.id, actor.id):
        return False
    return may_see(actor, job)


def statuses_of(connection: Connection, jobs: list[Job]) -> list[JobStatus]:
    """Give each job with the sums over its chunks."""
    now = read_now(connection)
    ids = [job.id for job in jobs]
    totals = outcome_rows.totals_of(connection, ids) if jobs else {}
    deliveries = delivery_rows.deliveries_of(connection, ids)
    names = {location.id: location for location in list_locations(connection)}
    return [
        JobStatus(
            job=job,
            location=None if job.location_id is None else names.get(job.location_id, Location(job.location_id, "")),
            totals=(sums := totals.get(job.id, Totals())),
            users_per_second=users_per_second(job, sums, now),
            eta_seconds=eta_seconds(job, sums, now),
            deliveries=deliveries.get(job.id, ()),
        )
        for job in jobs
    ]


def report_lines(connection: Connection, job: Job) -> Iterator[ReportLine]:
    """Give every user of a job with its outcome, in the order of the job."""
    reached = 0
    for chunk in outcome_rows.read_outcomes(connection, job.id):
        first, last = chunk.first_ordinal, chunk.last_ordinal
        yield from _lines(connection, job.id, reached, first - 1, None, {})
        yield from _lines(connection, job.id, first, last, chunk.changed, chunk.failed)
        reached = last + 1
    yield from _lines(connection, job.id, reached, job.users_total - 1, None, {})


def _lines(
    connection: Connection,
    job_id: int,
    first: int,
    last: int,
    changed: dict[int, Rows] | None,
    failed: dict[int, str],
) -> Iterator[ReportLine]:
    """Give the lines of a range of ordinals; `changed` is None where they are not done."""
    for start in range(first, last + 1, _PAGE):
        users = job_rows.load_targets(connection, job_id, start, min(start + _PAGE - 1, last))
        logins = logins_of(connection, users)
        for ordinal, user_id in enumerate(users, start):
            error = failed.get(ordinal)
            rows = Rows() if changed is None else changed.get(ordinal, Rows())
            outcome = Outcome.FAILED if error is not None else Outcome.CHANGED if rows else Outcome.UNCHANGED
            yield ReportLine(
                user_id=user_id,
                login=logins.get(user_id),
                outcome=None if changed is None else outcome,
                rows=rows,
                error=error,
            )
