"""Turn the effects of a reset into set-based SQL for a whole chunk of users, archive included.

Counting, archiving and changing choose their rows by one and the same condition, over the records as they
were before: so a preview is exact, and what is erased is exactly what was archived.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from jobs.idsets import IdSets, id_sets
from jobs.model import Content, Kind, Rows
from jobs.records import tables
from jobs.records.effects import ATTEMPTS, CHAPTER_PROGRESS, COURSE_PROGRESS, Effect, RecordSet, Scope, effects_of
from jobs.records.narrowing import Narrowed, narrow
from jobs.records.tables import ARCHIVE
from jobs.schema import UtcDateTime

_COUNTERS = ("attempts_erased", "chapters_reset", "courses_reset")

UserRows = dict[int, Rows]
"""The rows of each user who has any to erase or change."""


class RecordsMoved(Exception):
    """A row changed between being counted, archived and changed: the database gave no stable snapshot."""


class ResetEngine:
    """The statements of one job.

    Args:
        kind: which reset.
        content: the frozen content of the job.
        cutoff: `completed before` for training, `idle since` for in-progress.
        dialect: the name of the database's kind.

    """

    def __init__(self, kind: Kind, content: Content, cutoff: datetime | None, dialect: str) -> None:
        self._content = content
        self._cutoff = cutoff
        self._sets = id_sets(dialect)
        self._narrows = kind is Kind.TRAINING and cutoff is not None
        conditions = _Conditions(kind, self._sets, idle=cutoff is not None, narrows=self._narrows)
        self._statements = [
            _Statements.of(effect, conditions.rows_of(effect))
            for effect in conditions.effects
            if self._reaches(effect.scope)
        ]

        self._touches = [
            conditions.touch(effect)
            for effect in conditions.effects
            if effect.only_without and self._reaches(effect.scope) and dialect == "postgresql"
        ]
        self._locks = _lock_statements(self._sets)

    def count(self, connection: Connection, user_ids: Collection[int]) -> UserRows:
        """Count what a reset of these users would erase or change now; write nothing."""
        parameters = self._parameters(connection, user_ids)
        return _by_user([(s, _count(connection, s, parameters)) for s in self._statements])

    def apply(self, connection: Connection, job_id: int, user_ids: Collection[int]) -> UserRows:
        """Archive and reset the records of these users, within the caller's transaction.

        Raises:
            RecordsMoved: the transaction does not see one snapshot; roll it back.

        """
        parameters = self._parameters(connection, user_ids)
        counted = [(s, _count(connection, s, parameters)) for s in self._statements]
        todo = [(s, self._only(parameters, users), sum(users.values())) for s, users in counted if users]
        for statements, its_parameters, rows in todo:
            archived = connection.execute(statements.archive, its_parameters | {"scope_job": job_id}).rowcount
            _require_equal(statements, "archived", archived, rows)
        for statements, its_parameters, rows in todo:
            changed = connection.execute(statements.change, its_parameters).rowcount
            _require_equal(statements, "changed", changed, rows)
        for touch in self._touches:
            connection.execute(touch, parameters)
        return _by_user(counted)

    def lock(self, connection: Connection, user_ids: Collection[int]) -> None:
        """Let nobody change or add a record of these users until the transaction ends; at READ COMMITTED.

        An attempt or a row of progress refers to its user, so locking the users keeps new ones out. Rows of progress
        are written as they are, not only locked: a transaction with an older snapshot then fails instead of
        deciding by what they were.
        """
        parameters = self._sets.parameters("scope_users", user_ids)
        for statement in self._locks:
            connection.execute(statement, parameters)

    def _reaches(self, scope: Scope) -> bool:
        if scope is Scope.CHAPTERS:
            return bool(self._content.chapters)
        if scope is Scope.COURSES:
            return bool(self._content.courses)
        # Narrowed to what each user completed, a course chosen as a whole may stand among the others.
        return bool(self._content.every_course if self._narrows else self._content.parents)

    def _parameters(self, connection: Connection, user_ids: Collection[int]) -> dict[str, object]:
        content, sets = self._content, self._sets
        parameters: dict[str, object] = {"scope_cutoff": self._cutoff}
        parameters |= sets.parameters("scope_users", user_ids)
        parameters |= sets.pair_parameters("scope_structure", content.structure)
        if self._narrows:
            narrowed = self._narrow(connection, user_ids)
            parameters |= sets.parameters("scope_parents", content.every_course)
            parameters |= sets.pair_parameters("scope_courses", narrowed.courses)
            parameters |= sets.pair_parameters("scope_chapters", narrowed.chapters)
        else:
            parameters |= sets.parameters("scope_parents", content.parents)
            parameters |= sets.parameters("scope_courses", content.courses)
            parameters |= sets.parameters("scope_chapters", content.chapters)
        return parameters

    def _narrow(self, connection: Connection, user_ids: Collection[int]) -> Narrowed:
        progress, sets = COURSE_PROGRESS.table.c, self._sets
        query = select(progress.user_id, progress.course_id).where(
            sets.among(progress.user_id, "scope_users"),
            sets.among(progress.course_id, "scope_parents"),
            progress.status == "completed",
            progress.completed_at < bindparam("scope_cutoff", type_=UtcDateTime),
        )
        parameters = (
            sets.parameters("scope_users", user_ids)
            | sets.parameters("scope_parents", self._content.every_course)
            | {"scope_cutoff": self._cutoff}
        )
        return narrow(self._content, [(row[0], row[1]) for row in connection.execute(query, parameters)])

    def _only(self, parameters: dict[str, object], users: Collection[int]) -> dict[str, object]:
        return parameters | self._sets.parameters("scope_users", users)


@dataclass(frozen=True)
class _Statements:
    """The three statements of one effect; they share their condition."""

    counter: str
    count: Select[int, int]
    archive: Insert
    change: Delete | Update

    @classmethod
    def of(cls, effect: Effect, rows: ColumnElement[bool]) -> "_Statements":
        table, user = effect.records.table, effect.records.table.c[effect.records.user]
        job = bindparam("scope_job", type_=ARCHIVE[table].c.job_id.type)
        return cls(
            counter=effect.records.counter,
            count=select(user, func.count()).where(rows).group_by(user),
            archive=insert(ARCHIVE[table])
            .from_select(
                ["job_id", *(column.name for column in table.columns)],
                select(job, *table.columns).where(rows),
            )
            .execution_options(preserve_rowcount=True),
            change=delete(table).where(rows)
            if effect.values is None
            else update(table).where(rows).values(dict(effect.values)),
        )


class _Conditions:
    """The condition that chooses the rows of each effect."""

    def __init__(self, kind: Kind, sets: IdSets, *, idle: bool, narrows: bool) -> None:
        self.effects = effects_of(kind, with_cutoff=idle)
        self._sets = sets
        self._narrows = narrows
        self._idle = idle and kind is Kind.IN_PROGRESS
        self._structure = sets.pairs("scope_structure")

    def rows_of(self, effect: Effect) -> ColumnElement[bool]:
        return and_(self._in_scope(effect), *self._touched(effect))

    def touch(self, effect: Effect) -> Update:
        """Write, as they are, the courses that stay because a chapter does.

        Another job may be putting back just that chapter while it leaves the course alone because of one of ours.
        Only as both write the course does one of them fail and look again.
        """
        table = effect.records.table
        user, content = table.c[effect.records.user], table.c[effect.records.content]
        in_scope = (
            self._sets.among(content, "scope_parents")
            if effect.scope is Scope.PARENTS
            else self._chosen(user, content, "scope_courses")
        )
        stays = and_(self._sets.among(user, "scope_users"), in_scope, table.c.status == effect.only_status)
        return update(table).where(stays).values(status=table.c.status)

    def _in_scope(self, effect: Effect) -> ColumnElement[bool]:
        table = effect.records.table.c
        user, content = table[effect.records.user], table[effect.records.content]
        of_users = self._sets.among(user, "scope_users")
        match effect.scope:
            case Scope.CHAPTERS:
                return and_(of_users, self._chosen(user, content, "scope_chapters"))
            case Scope.COURSES:
                return and_(of_users, self._chosen(user, content, "scope_courses"))
            case Scope.PARENTS:
                other = [not_(self._chosen(user, content, "scope_courses"))] if self._narrows else []
                return and_(
                    of_users,
                    self._sets.among(content, "scope_parents"),
                    *other,
                    self._a_chapter_changes(user, content),
                )

    def _chosen(self, user: ColumnElement[int], content: ColumnElement[int], name: str) -> ColumnElement[bool]:
        if not self._narrows:
            return self._sets.among(content, name)
        pairs = self._sets.pairs(name)
        return tuple_(user, content).in_(select(pairs.c.left_id, pairs.c.right_id))

    def _touched(self, effect: Effect) -> list[ColumnElement[bool]]:
        table = effect.records.table.c
        conditions: list[ColumnElement[bool]] = []
        if effect.only_status is not None:
            conditions.append(table.status == effect.only_status)
        elif effect.values is not None:
            conditions.append(or_(*(table[name].is_distinct_from(value) for name, value in effect.values)))
        if effect.only_idle and self._idle:
            before = table.last_activity_at < bindparam("scope_cutoff", type_=UtcDateTime)
            conditions.append(and_(table.last_activity_at.is_not(None), before))
        if effect.only_without:
            user, course = table[effect.records.user], table[effect.records.content]
            conditions.append(not_(self._a_chapter_stays(user, course, effect.only_without)))
        return conditions

    def _a_chapter_changes(self, user: ColumnElement[int], course: ColumnElement[int]) -> ColumnElement[bool]:
        changing = [effect for effect in self.effects if effect.scope is Scope.CHAPTERS]
        return or_(*(self._of_course(e.records, user, course, self.rows_of(e)) for e in changing))

    def _a_chapter_stays(
        self, user: ColumnElement[int], course: ColumnElement[int], statuses: tuple[str, ...]
    ) -> ColumnElement[bool]:
        progress = [
            effect for effect in self.effects if effect.scope is Scope.CHAPTERS and effect.records is CHAPTER_PROGRESS
        ]
        stays = and_(
            # Follows from the course's own user, which PostgreSQL does not see: it would walk through everybody's rows.
            self._sets.among(CHAPTER_PROGRESS.table.c[CHAPTER_PROGRESS.user], "scope_users"),
            CHAPTER_PROGRESS.table.c.status.in_(statuses),
            *(not_(self.rows_of(effect)) for effect in progress),
        )
        return self._of_course(CHAPTER_PROGRESS, user, course, stays)

    def _of_course(
        self,
        records: RecordSet,
        user: ColumnElement[int],
        course: ColumnElement[int],
        condition: ColumnElement[bool],
    ) -> ColumnElement[bool]:
        """Whether this user has a row about a chapter of this course for which the condition holds."""
        table, structure = records.table, self._structure
        return exists(
            select(literal_column("1"))
            .select_from(structure.join(table, table.c[records.content] == structure.c.right_id))
            .where(structure.c.left_id == course, table.c[records.user] == user, condition)
            .correlate_except(table, structure)
        )


def _lock_statements(sets: IdSets) -> list[Select[int] | Update]:
    users = tables.users.c.id
    locks: list[Select[int] | Update] = [
        select(users).where(sets.among(users, "scope_users")).order_by(users).with_for_update()
    ]
    attempts = ATTEMPTS.table.c
    locks.append(
        select(attempts.id)
        .where(sets.among(attempts[ATTEMPTS.user], "scope_users"))
        .order_by(attempts.id)
        .with_for_update()
    )
    for records in (CHAPTER_PROGRESS, COURSE_PROGRESS):
        table, user = records.table, records.table.c[records.user]
        locks.append(update(table).where(sets.among(user, "scope_users")).values(status=table.c.status))
    return locks


def _count(connection: Connection, statements: _Statements, parameters: dict[str, object]) -> dict[int, int]:
    return dict(connection.execute(statements.count, parameters).all())


def _by_user(counted: list[tuple[_Statements, dict[int, int]]]) -> UserRows:
    attempts, chapters, courses = (_summed(counted, counter) for counter in _COUNTERS)
    return {
        user: Rows(
            attempts_erased=attempts.get(user, 0),
            chapters_reset=chapters.get(user, 0),
            courses_reset=courses.get(user, 0),
        )
        for user in attempts.keys() | chapters.keys() | courses.keys()
    }


def _summed(counted: list[tuple[_Statements, dict[int, int]]], counter: str) -> dict[int, int]:
    first, *others = [users for statements, users in counted if statements.counter == counter] or [{}]
    return dict(sum(map(Counter, others), Counter(first))) if others else first


def _require_equal(statements: _Statements, what: str, found: int, counted: int) -> None:
    if found != counted:
        raise RecordsMoved(f"{statements.counter}: {counted} rows were counted and {found} {what}")
