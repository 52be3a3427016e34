"""The use cases of administrators and learners: preview, submit, follow, report.

Each looks things up, lets the rules decide, and writes at most one transaction. None knows how work reaches
the workers, nor how anything is shown.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from jobs import authorization
from jobs.database import Database
from jobs.following import JobStatus, ReportLine, find_visible_job, is_visible, report_lines, statuses_of
from jobs.holding import Wishes
from jobs.model import Access, Actor, Job, JobState, Kind
from jobs.records.content import resolve_content
from jobs.records.people import (
    Location,
    UserLine,
    find_actor,
    find_location,
    list_locations,
    logins_of,
)
from jobs.records.people import list_users as list_users_at
from jobs.scope import PRIORITIES, ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.store import job_rows, lease_rows, standing_rows
from jobs.store.version import require_schema
from jobs.submission import Preview, find_earlier, preview, record, resolve
from jobs.verification import Discrepancy, verify_job

_PAGE = 1000


class Administration:
    """The use cases of one actor on one database.

    Args:
        database: where the records and the jobs are.
        login: who acts.

    Raises:
        DatabaseUnavailable: the database holds no schema of this version.

    """

    def __init__(self, database: Database, login: str | None) -> None:
        require_schema(database)
        self._database = database
        self._login = authorization.require_named(login)

    # Where the administrator stands.

    def locations(self) -> list[Location]:
        """Give the locations that the actor may act at."""
        with self._database.read() as connection:
            actor = find_actor(connection, self._login)
            if actor.access is Access.SUPER_USER:
                return list_locations(connection)
            return [find_location(connection, actor.location_id)]

    def current_location(self) -> Location:
        """Give the location where the actor stands."""
        with self._database.read() as connection:
            location = self._location(connection, find_actor(connection, self._login), None)
        if location is None:
            raise AssertionError("nobody stands at all locations")
        return location

    def use_location(self, location_id: int) -> Location:
        """Go to a location and remember it.

        Raises:
            NotPermitted: it is not the actor's.
            NotFound: there is no such location.

        """
        with self._database.write() as connection:
            actor = find_actor(connection, self._login)
            authorization.location_of(actor, location_id, None)
            location = find_location(connection, location_id)
            standing_rows.write_standing(connection, actor.id, location.id)
        return location

    def users(self, location: int | str | None, content_roles: tuple[int, ...]) -> list[UserLine]:
        """Give the users of a location, or those of them who hold one of the roles."""
        with self._database.read() as connection:
            actor = find_actor(connection, self._login)
            authorization.require_administrator(actor)
            at = self._location(connection, actor, location)
            if content_roles:
                resolve_content(connection, ContentSelection(content_roles=content_roles))
            return list_users_at(connection, None if at is None else at.id, content_roles)

    def logins(self, user_ids: tuple[int, ...]) -> list[tuple[int, str]]:
        """Give the users with their logins, in the order in which they are given."""
        with self._database.read() as connection:
            logins = logins_of(connection, user_ids)
        return [(user_id, logins[user_id]) for user_id in user_ids if user_id in logins]

    def workers_alive(self) -> bool:
        """Tell whether any worker's lease holds."""
        with self._database.read() as connection:
            return bool(lease_rows.living_workers(connection))

    # Previews and jobs.

    def preview(self, request: ResetRequest, wishes: Wishes | None = None) -> Preview:
        """Count exactly what `submit` with the same request would do now; write nothing.

        Args:
            request: what to reset.
            wishes: when it may run, if not always; a note says what would make it wait.

        """
        wishes = wishes or JobOptions(reason="a preview")
        with self._database.read() as connection:
            return preview(connection, resolve(connection, *self._locate(connection, request)), wishes)

    def submit(
        self, request: ResetRequest, options: JobOptions, *, expected_users: str | None = None
    ) -> tuple[Job, bool]:
        """Record a job with its users and content frozen, in one transaction.

        Args:
            request: what to reset.
            options: how to run it.
            expected_users: the digest of a preview's users; others than these are refused.

        Returns:
            the job, and whether it is new: the same words under the same idempotency key give the first one.

        Raises:
            Conflict: the key was used with other words, or the users changed since the preview.

        """
        options.check()
        try:
            with self._database.write("REPEATABLE READ") as connection:
                actor, located, location = self._locate(connection, request)
                if earlier := find_earlier(connection, actor, located, options):
                    return earlier, False
                resolved = resolve(connection, actor, located, location)
                return record(connection, resolved, options, expected_users=expected_users), True
        except IntegrityError:  # somebody else submitted under the same key at the same moment
            with self._database.read() as connection:
                actor, located, _ = self._locate(connection, request)
                earlier = find_earlier(connection, actor, located, options)
            if earlier is None:
                raise
            return earlier, False

    def reset_own_in_progress(self) -> Job:
        """Record a job that resets all of the actor's own in-progress chapters, ahead of what administrators asked."""
        options = JobOptions(reason="the learner's own reset", priority=PRIORITIES["high"], urgent=True)
        with self._database.write("REPEATABLE READ") as connection:
            actor = find_actor(connection, self._login)
            request = ResetRequest(
                kind=Kind.IN_PROGRESS,
                users=UserSelection(ids=(actor.id,)),
                content=ContentSelection(all_chapters=True),
                location=actor.location_id,
            )
            location = find_location(connection, actor.location_id)
            resolved = resolve(connection, actor, request, location)
            return record(connection, resolved, options)

    def status(self, job_id: int) -> JobStatus:
        """Give a job and how far it is.

        Raises:
            NotFound: there is none of this id, or none that the actor may know of.

        """
        with self._database.read() as connection:
            job = find_visible_job(connection, find_actor(connection, self._login), job_id)
            return statuses_of(connection, [job])[0]

    def jobs(
        self, *, states: tuple[JobState, ...] = (), mine: bool = False, limit: int | None = None
    ) -> list[JobStatus]:
        """Give the jobs that the actor may know of, newest first."""
        with self._database.read() as connection:
            actor = find_actor(connection, self._login)
            own_only = mine or actor.access is Access.LEARNER
            found = job_rows.find_jobs(
                connection,
                states=states,
                actor_id=actor.id if own_only else None,
                location_id=actor.location_id if actor.access is Access.ADMIN else None,
                limit=limit,
            )
            return statuses_of(connection, [job for job in found if is_visible(connection, actor, job)])

    def report(self, job_id: int) -> Iterator[ReportLine]:
        """Give every user of a job with its outcome, in the order of the job.

        Raises:
            NotFound: there is no such job for the actor.

        """
        with self._database.read() as connection:
            job = find_visible_job(connection, find_actor(connection, self._login), job_id)
            yield from report_lines(connection, job)

    def verify(self, job_id: int) -> Iterator[Discrepancy]:
        """Give every user of a job who is not as the job reports.

        Raises:
            NotFound: there is no such job for the actor.

        """
        with self._database.read() as connection:
            job = find_visible_job(connection, find_actor(connection, self._login), job_id)
            yield from verify_job(connection, job)

    # How the above look things up.

    def _location(self, connection: Connection, actor: Actor, wanted: int | str | None) -> Location | None:
        standing = standing_rows.read_standing(connection, actor.id)
        location_id = authorization.location_of(actor, wanted, standing)  # type: ignore[arg-type]
        return None if location_id is None else find_location(connection, location_id)

    def _locate(self, connection: Connection, request: ResetRequest) -> tuple[Actor, ResetRequest, Location | None]:
        """Give who acts, the request with its location spelled out, and that location."""
        actor = find_actor(connection, self._login)
        authorization.require_administrator(actor)
        request.check()
        location = self._location(connection, actor, request.location)
        return actor, replace(request, location="all" if location is None else location.id), location
