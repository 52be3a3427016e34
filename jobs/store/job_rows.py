"""Every statement about jobs: recording, freezing, reading, and changes of state by compare-and-set."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Text,
    case,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Row

from jobs.database import database_now
from jobs.idsets import id_sets
from jobs.model import Content, Job, JobState, Kind, sources_of
from jobs.store.tables import chunks, job_chapters, job_course_chapters, job_courses, job_targets, jobs
from jobs.windows import Window

_BETWEEN_WINDOWS = "; "


def insert_job(connection: Connection, *, windows: Collection[Window], **values: object) -> int:
    """Record a job without targets; give its id. `created_at` is the database's time."""
    values |= {"windows": _BETWEEN_WINDOWS.join(map(str, windows)) or None}
    now = database_now(connection.dialect.name)
    statement = insert(jobs).values(created_at=now, users_total=0, next_ordinal=0, **values).returning(jobs.c.id)
    job_id: int = connection.execute(statement).scalar_one()
    return job_id


def freeze_targets(connection: Connection, job_id: int, ids: Select[int], parameters: dict[str, object]) -> int:
    """Write the manifest: the users that `ids` finds now, in the order of their ids; give their number."""
    users = ids.subquery()
    user_id = users.c[0]
    numbered = select(literal(job_id), func.row_number().over(order_by=user_id) - 1, user_id)
    statement = insert(job_targets).from_select(["job_id", "ordinal", "user_id"], numbered)
    statement = statement.execution_options(preserve_rowcount=True)
    total = connection.execute(statement, parameters).rowcount
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(users_total=total))
    return total


def freeze_content(connection: Connection, job_id: int, content: Content) -> None:
    """Write down the chapters, courses and structure of a job."""
    if content.courses:
        rows = [{"job_id": job_id, "course_id": course} for course in sorted(content.courses)]
        connection.execute(insert(job_courses), rows)
    if content.chapters:
        chapters = [
            {"job_id": job_id, "chapter_id": chapter, "direct": chapter in content.direct}
            for chapter in sorted(content.chapters)
        ]
        connection.execute(insert(job_chapters), chapters)
    if content.structure:
        links = [
            {"job_id": job_id, "course_id": course, "chapter_id": chapter}
            for course, chapter in sorted(content.structure)
        ]
        connection.execute(insert(job_course_chapters), links)


def load_content(connection: Connection, job_id: int) -> Content:
    """Read the frozen content of a job."""
    courses = select(job_courses.c.course_id).where(job_courses.c.job_id == job_id)
    chapters = select(job_chapters.c.chapter_id, job_chapters.c.direct).where(job_chapters.c.job_id == job_id)
    links = select(job_course_chapters.c.course_id, job_course_chapters.c.chapter_id).where(
        job_course_chapters.c.job_id == job_id
    )
    of_job = connection.execute(chapters).all()
    return Content(
        courses=frozenset(connection.execute(courses).scalars()),
        chapters=frozenset(row.chapter_id for row in of_job),
        direct=frozenset(row.chapter_id for row in of_job if row.direct),
        structure=frozenset((row.course_id, row.chapter_id) for row in connection.execute(links)),
    )


def load_targets(connection: Connection, job_id: int, first: int, last: int) -> list[int]:
    """Read the users of a range of ordinals, in order."""
    query = (
        select(job_targets.c.user_id)
        .where(job_targets.c.job_id == job_id, job_targets.c.ordinal.between(first, last))
        .order_by(job_targets.c.ordinal)
    )
    return list(connection.execute(query).scalars().all())


def is_only_about(connection: Connection, job_id: int, user_id: int) -> bool:
    """Tell whether a job has no other target than this user."""
    others = select(job_targets.c.ordinal).where(job_targets.c.job_id == job_id, job_targets.c.user_id != user_id)
    return connection.execute(others.limit(1)).first() is None


def find_job(connection: Connection, job_id: int) -> Job | None:
    """Read a job."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else _job(row)


def lock_job(connection: Connection, job_id: int) -> None:
    """Let nobody else lock this job until the transaction ends; its chunks run on."""
    connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True))


def find_retry(connection: Connection, job_id: int) -> Job | None:
    """Read the job that retries this one."""
    row = connection.execute(select(jobs).where(jobs.c.parent_id == job_id)).one_or_none()
    return None if row is None else _job(row)


def find_jobs(
    connection: Connection,
    *,
    states: Collection[JobState] = (),
    actor_id: int | None = None,
    location_id: int | None = None,
    limit: int | None = None,
) -> list[Job]:
    """Read jobs, newest first; each argument that is given narrows them."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if states:
        query = query.where(jobs.c.state.in_([state.value for state in states]))
    if actor_id is not None:
        query = query.where(jobs.c.actor_id == actor_id)
    if location_id is not None:
        query = query.where(jobs.c.location_id == location_id)
    return [_job(row) for row in connection.execute(query)]


def find_unfinished(connection: Connection) -> list[Job]:
    """Read the jobs that have not ended, oldest first."""
    query = select(jobs).where(jobs.c.finished_at.is_(None)).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(query)]


def any_unfinished(connection: Connection) -> bool:
    """Tell whether a job has not ended."""
    return connection.execute(select(jobs.c.id).where(jobs.c.finished_at.is_(None)).limit(1)).first() is not None


def find_overlapping(
    connection: Connection, ids: Select[int], parameters: dict[str, object], content: Content
) -> list[Job]:
    """Read the jobs that have not ended and share a user and a chapter or course with these."""
    sets = id_sets(connection.dialect.name)
    users = select(job_targets.c.ordinal).where(job_targets.c.job_id == jobs.c.id, job_targets.c.user_id.in_(ids))
    chapters = select(job_chapters.c.chapter_id).where(
        job_chapters.c.job_id == jobs.c.id, sets.among(job_chapters.c.chapter_id, "same_chapters")
    )
    courses = select(job_courses.c.course_id).where(
        job_courses.c.job_id == jobs.c.id, sets.among(job_courses.c.course_id, "same_courses")
    )
    query = select(jobs).where(jobs.c.finished_at.is_(None), or_(chapters.exists(), courses.exists()), users.exists())
    values = parameters | sets.parameters("same_chapters", content.chapters)
    values |= sets.parameters("same_courses", content.courses)
    return [_job(row) for row in connection.execute(query.order_by(jobs.c.id), values)]


def find_by_key(connection: Connection, actor_id: int, key: str) -> tuple[Job, str] | None:
    """Read the job that an actor submitted under an idempotency key, and the digest of its words."""
    row = connection.execute(
        select(jobs).where(jobs.c.actor_id == actor_id, jobs.c.idempotency_key == key)
    ).one_or_none()
    return None if row is None else (_job(row), row.words_digest)


def set_state_if_allowed(
    connection: Connection,
    job_id: int,
    after: JobState,
    *,
    reason: str | None = None,
    before: JobState | None = None,
) -> bool:
    """Change a job's state if an edge leads there from where it stands (and that is `before`, if given)."""
    now = database_now(connection.dialect.name)
    sources: Sequence[JobState] = sources_of(after) if before is None else (before,)
    if before is not None and before not in sources_of(after):
        raise ValueError(f"no edge leads from {before} to {after}")
    values: dict[str, object] = {"state": after.value, "state_reason": reason}
    if after is JobState.RUNNING:
        values["started_at"] = func.coalesce(jobs.c.started_at, now)
    if after.ended:
        values["finished_at"] = now
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_([s.value for s in sources])).values(values)
    return connection.execute(statement).rowcount == 1


def explain_hold(connection: Connection, job_id: int, reason: str) -> None:
    """Say anew why a job that is holding does."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.HOLDING.value)
    connection.execute(statement.values(state_reason=reason))


def set_closing(connection: Connection, job_id: int, closes_at: datetime | None) -> None:
    """Note from when on nothing of a job may commit."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(closes_at=closes_at))


def finish_if_complete(connection: Connection, job_id: int) -> bool:
    """End a running job whose every user is in a chunk that is done; the outcome follows from the sums."""
    of_job = chunks.c.job_id == job_id
    unfinished = select(1).where(of_job, chunks.c.state != "done").exists()
    failed = select(func.coalesce(func.sum(chunks.c.users_failed), 0)).where(of_job).scalar_subquery()
    state = case(
        (failed == 0, JobState.SUCCEEDED.value),
        (failed == jobs.c.users_total, JobState.FAILED.value),
        else_=JobState.COMPLETED_WITH_FAILURES.value,
    )
    reason = case((failed == 0, None), else_=_failed_reason(failed))
    statement = (
        update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.state == JobState.RUNNING.value,
            jobs.c.next_ordinal == jobs.c.users_total,
            ~unfinished,
        )
        .values(state=state, state_reason=reason, finished_at=database_now(connection.dialect.name))
    )
    return connection.execute(statement).rowcount == 1


def _failed_reason(failed: ScalarSelect[int]) -> ColumnElement[str]:
    return cast(failed, Text) + literal(" of ") + cast(jobs.c.users_total, Text) + literal(" users failed")


def set_pace(connection: Connection, job_id: int, **values: object) -> bool:
    """Change priority, rate or next ordinal of a job that has not ended; the rate counts anew from now."""
    statement = (
        update(jobs).where(jobs.c.id == job_id, jobs.c.finished_at.is_(None)).values(next_dispatch_at=None, **values)
    )
    return connection.execute(statement).rowcount == 1


def advance(connection: Connection, job_id: int, first: int, size: int, next_dispatch_at: datetime | None) -> bool:
    """Take the next `size` users of a job that begins at ordinal `first`, if nobody took them meanwhile."""
    statement = (
        update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.next_ordinal == first,
            or_(*(jobs.c.state == state.value for state in (JobState.QUEUED, JobState.RUNNING))),
        )
        .values(next_ordinal=first + size, next_dispatch_at=next_dispatch_at)
    )
    return connection.execute(statement).rowcount == 1


def _job(row: Row) -> Job:  # type: ignore[type-arg]
    values = {name: getattr(row, name) for name in Job.__dataclass_fields__}
    windows = tuple(Window.parse(text) for text in row.windows.split(_BETWEEN_WINDOWS)) if row.windows else ()
    return Job(**values | {"kind": Kind(row.kind), "state": JobState(row.state), "windows": windows})
