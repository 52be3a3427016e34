"""Check that every target of a job was treated as the job reports, against the records and the archive.

Recounted are: that the archive holds, user by user, what the outcomes say; that a job which reached everybody has an
outcome for everybody, and every job the sums of its outcomes; that a reset would find nothing left to do on the users
it treated; and that no erased attempt is there again. What a user did since is named and is no fault.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from jobs.following import report_lines
from jobs.frozen import engine_of
from jobs.model import Job, JobState, Outcome, Rows
from jobs.progress import Totals
from jobs.records.archive import active_since, archived_rows, attempts_there_again
from jobs.store import job_rows, outcome_rows

_REACHED_EVERYBODY = (JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES)


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """One user who is not as reported; `since` where the user's own activity after the reset explains it.

    Without a user it is about the job as a whole.
    """

    user_id: int | None
    problem: str
    since: bool = False


def verify_job(connection: Connection, job: Job) -> Iterator[Discrepancy]:
    """Give every user of whom the records or the archive do not say what the job reports."""
    yield from _archive_against_outcomes(connection, job)
    yield from _records_against_outcomes(connection, job)
    for user_id, attempt_id in attempts_there_again(connection, job.id):
        yield Discrepancy(user_id=user_id, problem=f"attempt {attempt_id} was erased and is there again")


def _archive_against_outcomes(connection: Connection, job: Job) -> Iterator[Discrepancy]:
    archived = archived_rows(connection, job.id)
    outcomes, rows = Counter[Outcome | None](), Rows()
    for line in report_lines(connection, job):
        outcomes[line.outcome] += 1
        rows += line.rows
        if line.outcome is None and job.state in _REACHED_EVERYBODY:
            yield Discrepancy(user_id=line.user_id, problem=f"has no outcome, but the job is {job.state.value}")
        found = archived.pop(line.user_id, Rows())
        if found != line.rows:
            yield Discrepancy(
                user_id=line.user_id, problem=f"the archive holds {_told(found)}, reported are {_told(line.rows)}"
            )
    for user_id, found in archived.items():
        yield Discrepancy(user_id=user_id, problem=f"is no target of the job, but the archive holds {_told(found)}")
    sums = outcome_rows.totals_of(connection, [job.id]).get(job.id, Totals())
    reported = _told_sums(
        {Outcome.CHANGED: sums.changed, Outcome.UNCHANGED: sums.unchanged, Outcome.FAILED: sums.failed}, sums.rows
    )
    recounted = _told_sums(outcomes, rows)
    if reported != recounted:
        yield Discrepancy(user_id=None, problem=f"its sums say {reported}, its users' outcomes {recounted}")


def _records_against_outcomes(connection: Connection, job: Job) -> Iterator[Discrepancy]:
    engine = engine_of(connection, job)
    for chunk in outcome_rows.read_outcomes(connection, job.id):
        first, last = chunk.first_ordinal, chunk.last_ordinal
        users = job_rows.load_targets(connection, job.id, first, last)
        left = engine.count(connection, [user for o, user in enumerate(users, first) if o not in chunk.failed])
        active = active_since(connection, chunk.claimed_at, list(left)) if left else set()
        for user_id, rows in sorted(left.items()):
            yield Discrepancy(user_id=user_id, problem=f"{_told(rows)} are there to be reset", since=user_id in active)


def _told_sums(users: Mapping[Outcome | None, int], rows: Rows) -> str:
    return ", ".join(f"{users[outcome]} {outcome.value}" for outcome in Outcome) + f", {_told(rows)}"


def _told(rows: Rows) -> str:
    return f"{rows.attempts_erased} attempts, {rows.chapters_reset} chapters, {rows.courses_reset} courses"
