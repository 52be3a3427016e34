"""The use cases of administrators and learners: preview, submit, follow, report.

Each looks things up, lets the rules decide, and writes at most one transaction. None knows how work reaches
the workers, nor how anything is shown.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from jobs import authorization
from jobs.database import Database, read_now
from jobs.errors import Conflict, NotFound
from jobs.model import Access, Actor, Content, Job, JobState, Kind, Outcome, Rows
from jobs.progress import Totals, eta_seconds, users_per_second
from jobs.records.content import resolve_content
from jobs.records.engine import ResetEngine
from jobs.records.people import (
    Location,
    Targets,
    UserLine,
    find_actor,
    find_location,
    list_locations,
    logins_of,
    resolve_users,
)
from jobs.records.people import list_users as list_users_at
from jobs.schema import MAX_ID
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection, canonical_words
from jobs.store import chunk_rows, job_rows, lease_rows, standing_rows
from jobs.store.version import require_schema

_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a request would do if it ran now.

    Attributes:
        location: None means all locations.
        notes: sentences that an administrator should read before saying yes.
        user_ids: the users, in the order in which a job would take them.

    """

    kind: Kind
    location: Location | None
    total: int
    changed: int
    rows: Rows
    cutoff: datetime | None
    notes: tuple[str, ...]
    users_digest: str
    user_ids: tuple[int, ...] = field(repr=False)

    @property
    def unchanged(self) -> int:
        """Users whose records are already as the reset would leave them."""
        return self.total - self.changed


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, how far it is and how fast it goes."""

    job: Job
    location: Location | None
    totals: Totals
    users_per_second: float
    eta_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class ReportLine:
    """What became of one user; `outcome` is None where the job has not reached it."""

    user_id: int
    login: str | None
    outcome: Outcome | None
    rows: Rows
    error: str | None


@dataclass(frozen=True)
class _Resolved:
    """A request with everything that it names looked up."""

    actor: Actor
    request: ResetRequest
    location: Location | None
    content: Content
    targets: Targets
    cutoff: datetime | None


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

    def preview(self, request: ResetRequest) -> Preview:
        """Count exactly what `submit` with the same request would do now; write nothing."""
        with self._database.read() as connection:
            return self._preview(connection, self._resolve(connection, request))

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
                resolved = self._resolve(connection, request)
                return self._submit(connection, resolved, options, expected_users)
        except IntegrityError:
            with self._database.read() as connection:
                earlier = self._earlier(connection, self._resolve(connection, request), options)
            if earlier is None:
                raise
            return earlier, False

    def reset_own_in_progress(self, options: JobOptions) -> tuple[Job, bool]:
        """Record a job that resets all of the actor's own in-progress chapters."""
        options.check()
        with self._database.write("REPEATABLE READ") as connection:
            actor = find_actor(connection, self._login)
            request = ResetRequest(
                kind=Kind.IN_PROGRESS,
                users=UserSelection(ids=(actor.id,)),
                content=ContentSelection(all_chapters=True),
                location=actor.location_id,
            )
            location = find_location(connection, actor.location_id)
            resolved = self._look_up(connection, actor, request, location)
            return self._submit(connection, resolved, options, None)

    def status(self, job_id: int) -> JobStatus:
        """Give a job and how far it is.

        Raises:
            NotFound: there is none of this id, or none that the actor may know of.

        """
        with self._database.read() as connection:
            job = self._find(connection, job_id)
            return self._statuses(connection, [job])[0]

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
            return self._statuses(connection, found)

    def report(self, job_id: int) -> Iterator[ReportLine]:
        """Give every user of a job with its outcome, in the order of the job.

        Raises:
            NotFound: there is no such job for the actor.

        """
        with self._database.read() as connection:
            job = self._find(connection, job_id)
            reached = 0
            for first, last, changed, failed in chunk_rows.read_outcomes(connection, job.id):
                yield from _lines(connection, job.id, reached, first - 1, None, {})
                yield from _lines(connection, job.id, first, last, changed, failed)
                reached = last + 1
            yield from _lines(connection, job.id, reached, job.users_total - 1, None, {})

    # How the above look things up.

    def _location(self, connection: Connection, actor: Actor, wanted: int | str | None) -> Location | None:
        standing = standing_rows.read_standing(connection, actor.id)
        location_id = authorization.location_of(actor, wanted, standing)  # type: ignore[arg-type]
        return None if location_id is None else find_location(connection, location_id)

    def _resolve(self, connection: Connection, request: ResetRequest) -> _Resolved:
        actor = find_actor(connection, self._login)
        authorization.require_administrator(actor)
        request.check()
        location = self._location(connection, actor, request.location)
        return self._look_up(connection, actor, request, location)

    def _look_up(
        self, connection: Connection, actor: Actor, request: ResetRequest, location: Location | None
    ) -> _Resolved:
        content = resolve_content(connection, request.content)
        targets = resolve_users(
            connection,
            request.users,
            location,
            request.content.content_roles,
            names_other_locations=actor.access is Access.SUPER_USER,
        )
        return _Resolved(
            actor=actor,
            request=replace(request, location="all" if location is None else location.id),
            location=location,
            content=content,
            targets=targets,
            cutoff=request.resolve_cutoff(read_now(connection)),
        )

    def _preview(self, connection: Connection, resolved: _Resolved) -> Preview:
        engine = ResetEngine(resolved.request.kind, resolved.content, resolved.cutoff, connection.dialect.name)
        user_ids = tuple(resolved.targets.read(connection))
        changed, rows = 0, Rows()
        for start in range(0, len(user_ids), _PAGE):
            counted = engine.count(connection, user_ids[start : start + _PAGE])
            changed += len(counted)
            rows = sum(counted.values(), rows)
        return Preview(
            kind=resolved.request.kind,
            location=resolved.location,
            total=len(user_ids),
            changed=changed,
            rows=rows,
            cutoff=resolved.cutoff,
            notes=tuple(_notes(resolved)),
            users_digest=_digest_of_users(user_ids),
            user_ids=user_ids,
        )

    def _submit(
        self, connection: Connection, resolved: _Resolved, options: JobOptions, expected_users: str | None
    ) -> tuple[Job, bool]:
        if earlier := self._earlier(connection, resolved, options):
            return earlier, False
        holds = options.not_before is not None and options.not_before > read_now(connection)
        job_id = job_rows.insert_job(
            connection,
            kind=resolved.request.kind.value,
            state=(JobState.HOLDING if holds else JobState.QUEUED).value,
            state_reason=f"not before {options.not_before.isoformat()}" if holds and options.not_before else None,
            actor_id=resolved.actor.id,
            actor_login=resolved.actor.login,
            location_id=None if resolved.location is None else resolved.location.id,
            reason=options.reason.strip(),
            cutoff=resolved.cutoff,
            priority=options.priority,
            max_rate=options.max_rate,
            chunk_size=options.chunk_size,
            not_before=options.not_before,
            idempotency_key=options.idempotency_key,
            words_digest=_digest(canonical_words(resolved.request, options)),
        )
        job_rows.freeze_targets(connection, job_id, resolved.targets.ids, resolved.targets.parameters)
        job_rows.freeze_content(connection, job_id, resolved.content)
        job = job_rows.find_job(connection, job_id)
        if job is None:
            raise AssertionError(f"job {job_id} vanished from its own transaction")
        if expected_users is not None:
            frozen = job_rows.load_targets(connection, job_id, 0, job.users_total - 1)
            if _digest_of_users(frozen) != expected_users:
                raise UsersChanged("the users changed since the preview; look at the new preview and decide again")
        return job, True

    def _earlier(self, connection: Connection, resolved: _Resolved, options: JobOptions) -> Job | None:
        """Find the job that was submitted under this idempotency key before."""
        if options.idempotency_key is None:
            return None
        found = job_rows.find_by_key(connection, resolved.actor.id, options.idempotency_key)
        if found is None:
            return None
        job, digest = found
        if digest != _digest(canonical_words(resolved.request, options)):
            raise Conflict(
                f"the idempotency key {options.idempotency_key!r} was used for job {job.id} with other words; "
                "use another key, or repeat that request exactly",
                {"job": job.id},
            )
        return job

    def _find(self, connection: Connection, job_id: int) -> Job:
        actor = find_actor(connection, self._login)
        job = job_rows.find_job(connection, job_id) if 0 < job_id <= MAX_ID else None
        if job is None or not authorization.may_see(actor, job):
            raise NotFound(f"no job has the id {job_id}; 'training-reset job list' names them")
        return job

    def _statuses(self, connection: Connection, jobs: list[Job]) -> list[JobStatus]:
        now = read_now(connection)
        totals = chunk_rows.totals_of(connection, [job.id for job in jobs]) if jobs else {}
        names = {location.id: location for location in list_locations(connection)}
        return [
            JobStatus(
                job=job,
                location=None if job.location_id is None else names.get(job.location_id, Location(job.location_id, "")),
                totals=(sums := totals.get(job.id, Totals())),
                users_per_second=users_per_second(job, sums, now),
                eta_seconds=eta_seconds(job, sums, now),
            )
            for job in jobs
        ]


class UsersChanged(Conflict):
    """The users meant by a request are not those of its preview any more."""

    code = "users_changed"


def _notes(resolved: _Resolved) -> Iterator[str]:
    roles = resolved.request.content.content_roles
    if resolved.location is None:
        yield "This is about the users of ALL locations."
    if len(roles) > 1:
        by_roles = not (resolved.request.users.named or resolved.request.users.all_users)
        whom = "the users who hold any of them and " if by_roles else ""
        yield f"{len(roles)} content roles: {whom}the content of all of them."


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


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _digest_of_users(user_ids: tuple[int, ...] | list[int]) -> str:
    return _digest(",".join(map(str, user_ids)))
