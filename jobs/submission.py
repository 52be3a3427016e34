"""From a request to its preview and to a recorded job, within one transaction of the caller's."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from jobs.database import read_now
from jobs.errors import Conflict, InputRefused, joined
from jobs.holding import Hold, Wishes, closing_of, hold_of, system_hold
from jobs.model import Access, Actor, Content, Job, JobState, Kind, Rows
from jobs.records.content import resolve_content
from jobs.records.engine import ResetEngine, UserRows
from jobs.records.people import Location, Targets, resolve_users
from jobs.scope import JobOptions, ResetRequest, canonical_words
from jobs.settling import read_surroundings
from jobs.store import delivery_rows, job_rows

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


@dataclass(frozen=True)
class Resolved:
    """A request with everything that it names looked up."""

    actor: Actor
    request: ResetRequest
    location: Location | None
    content: Content
    targets: Targets
    cutoff: datetime | None


class UsersChanged(Conflict):
    """The users meant by a request are not those of its preview any more."""

    code = "users_changed"


def resolve(
    connection: Connection,
    actor: Actor,
    request: ResetRequest,
    location: Location | None,
    as_of: datetime | None = None,
) -> Resolved:
    """Look everything up that a request names.

    Args:
        connection: where to look.
        actor: who asks.
        request: what for.
        location: where; None means all locations.
        as_of: the moment from which an age counts back; now, unless it is given.

    Raises:
        InputRefused: naming every id that is unknown, of another kind or elsewhere.

    """
    refusals: list[InputRefused] = []
    content = targets = None
    try:
        content = resolve_content(connection, request.content)
    except InputRefused as refused:
        refusals.append(refused)
    try:
        targets = resolve_users(
            connection,
            request.users,
            location,
            request.content.content_roles,
            names_other_locations=actor.access is Access.SUPER_USER,
        )
    except InputRefused as refused:
        refusals.append(refused)
    if content is None or targets is None:
        raise joined(refusals)
    return Resolved(
        actor=actor,
        request=request,
        location=location,
        content=content,
        targets=targets,
        cutoff=request.resolve_cutoff(as_of or read_now(connection)),
    )


def preview(connection: Connection, resolved: Resolved, wishes: Wishes) -> Preview:
    """Count what a reset would do now, and whether it would wait; writes nothing."""
    user_ids = tuple(resolved.targets.read(connection))
    changed, rows = 0, Rows()
    for counted in count_by_page(connection, resolved, user_ids):
        changed += len(counted)
        rows = sum(counted.values(), rows)
    return Preview(
        kind=resolved.request.kind,
        location=resolved.location,
        total=len(user_ids),
        changed=changed,
        rows=rows,
        cutoff=resolved.cutoff,
        notes=(*_notes(connection, resolved), *_hold_notes(connection, resolved.location, wishes)),
        users_digest=_digest_of_users(user_ids),
        user_ids=user_ids,
    )


def count_by_page(connection: Connection, resolved: Resolved, user_ids: Sequence[int]) -> Iterator[UserRows]:
    """Count what a reset of these users would do now, a page of users after the other; writes nothing."""
    engine = ResetEngine(resolved.request.kind, resolved.content, resolved.cutoff, connection.dialect.name)
    for start in range(0, len(user_ids), _PAGE):
        yield engine.count(connection, user_ids[start : start + _PAGE])


def record(
    connection: Connection,
    resolved: Resolved,
    options: JobOptions,
    *,
    expected_users: str | None = None,
    parent_id: int | None = None,
    paused_because: str | None = None,
) -> Job:
    """Record a job with its users and content frozen.

    Args:
        connection: in a writing transaction.
        resolved: what to reset.
        options: how to run it.
        expected_users: the digest of a preview's users; others than these are refused.
        parent_id: the job whose rest this one does.
        paused_because: why it must not begin until somebody resumes it.

    Raises:
        UsersChanged: the frozen users are not those whose digest was expected.

    """
    location_id = None if resolved.location is None else resolved.location.id
    around = read_surroundings(connection)
    hold = hold_of(options, location_id, around)
    state, state_reason = _first_state(hold, paused_because)
    job_id = job_rows.insert_job(
        connection,
        kind=resolved.request.kind.value,
        state=state.value,
        state_reason=state_reason,
        actor_id=resolved.actor.id,
        actor_login=resolved.actor.login,
        location_id=location_id,
        reason=options.reason.strip(),
        parent_id=parent_id,
        cutoff=resolved.cutoff,
        priority=options.priority,
        max_rate=options.max_rate,
        chunk_size=options.chunk_size,
        not_before=options.not_before,
        windows=options.windows,
        urgent=options.urgent,
        closes_at=closing_of(options, location_id, around) if hold is None else None,
        idempotency_key=options.idempotency_key,
        words_digest=_digest(canonical_words(resolved.request, options)),
    )
    job_rows.freeze_targets(connection, job_id, resolved.targets.ids, resolved.targets.parameters)
    job_rows.freeze_content(connection, job_id, resolved.content)
    delivery_rows.insert_deliveries(connection, job_id, options.on_result)
    job = job_rows.find_job(connection, job_id)
    if job is None:
        raise AssertionError(f"job {job_id} vanished from its own transaction")
    if expected_users is not None:
        frozen = job_rows.load_targets(connection, job_id, 0, job.users_total - 1)
        if _digest_of_users(frozen) != expected_users:
            raise UsersChanged("the users changed since the preview; look at the new preview and decide again")
    return job


def _first_state(hold: Hold | None, paused_because: str | None) -> tuple[JobState, str | None]:
    if paused_because is not None:
        return JobState.PAUSED, paused_because
    return (JobState.QUEUED, None) if hold is None else (JobState.HOLDING, hold.reason)


def find_earlier(connection: Connection, actor: Actor, request: ResetRequest, options: JobOptions) -> Job | None:
    """Find the job that was submitted under this idempotency key before.

    Raises:
        Conflict: it was submitted with other words.

    """
    if options.idempotency_key is None:
        return None
    found = job_rows.find_by_key(connection, actor.id, options.idempotency_key)
    if found is None:
        return None
    job, digest = found
    if digest != _digest(canonical_words(request, options)):
        raise Conflict(
            f"the idempotency key {options.idempotency_key!r} was used for job {job.id} with other words; "
            "use another key, or repeat that request exactly",
            {"job": job.id},
        )
    return job


def _notes(connection: Connection, resolved: Resolved) -> Iterator[str]:
    roles = set(resolved.request.content.content_roles)
    if resolved.location is None:
        yield "This is about the users of ALL locations."
    if len(roles) > 1:
        by_roles = not (resolved.request.users.named or resolved.request.users.all_users)
        whom = "the users who hold any of them and " if by_roles else ""
        yield f"{len(roles)} content roles: {whom}the content of all of them."
    targets, content = resolved.targets, resolved.content
    for job in job_rows.find_overlapping(connection, targets.ids, targets.parameters, content):
        yield f"Job {job.id} ({job.state.value}) is about some of the same users and content and has not ended."


def _hold_notes(connection: Connection, location: Location | None, wishes: Wishes) -> Iterator[str]:
    location_id = None if location is None else location.id
    around = read_surroundings(connection)
    if hold := hold_of(wishes, location_id, around):
        yield f"It would not begin now but hold: {hold.reason}."
    if wishes.urgent and (overruled := system_hold(location_id, around)):
        yield f"Being urgent, it does not wait for this: {overruled.reason}."


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _digest_of_users(user_ids: Sequence[int]) -> str:
    return _digest(",".join(map(str, user_ids)))
