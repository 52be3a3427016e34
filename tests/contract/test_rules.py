"""The engine against the plain model: the same random systems, the same requests, on every database.

Expected values come from the model alone. HYPOTHESIS_EXAMPLES sets another number of examples for each test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from jobs.database import Database
from jobs.model import Kind, Rows
from jobs.records.content import resolve_content
from jobs.records.engine import ResetEngine
from jobs.records.tables import ARCHIVE, RECORD_FORMAT
from jobs.scope import ContentSelection
from tests.model import Counts, Selection, chosen_content
from tests.plainsystem import KEYS, RECORD_TABLES, Row, System
from tests.servers import create_database, drop_database
from tests.systems import Request, systems_with_requests

JOB = 7
EXAMPLES = {"sqlite": 100, "postgresql": 25}
"""How many for each kind of reset, with a filter and without."""

pytestmark = pytest.mark.parametrize("kind", ["training", "in_progress"])


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("rules") / "rules.sqlite3"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def postgresql(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    name = f"{postgres_template}_rules"
    database = Database(create_database(postgres_url, name, postgres_template))
    yield database
    database.close()
    drop_database(postgres_url, name)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def emptied_database(request: pytest.FixtureRequest) -> Database:
    """One database for all examples; each of them empties and fills it."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.mark.parametrize("filtered", [False, True], ids=["no filter", "filtered"])
def test_the_engine_does_what_the_rules_say(emptied_database: Database, kind: str, *, filtered: bool) -> None:
    @given(example=systems_with_requests(kind, filtered=filtered))
    def compare(example: tuple[System, Request]) -> None:
        _compare(emptied_database, *example)

    _try_examples(emptied_database, compare)


def test_users_split_into_chunks_end_as_they_do_in_one(emptied_database: Database, kind: str) -> None:
    @given(example=systems_with_requests(kind, filtered=False), chance=st.randoms(use_true_random=True))
    def compare(example: tuple[System, Request], chance: Random) -> None:
        system, request = example
        expected = system.copy()
        counts = _changed(request.apply_to(expected))
        _fill(emptied_database, system)
        applied: dict[int, Rows] = {}
        for chunk in _chunks(request.users, chance):
            applied |= _apply(emptied_database, request, chunk)
        assert _as_counts(applied) == counts
        with emptied_database.read() as connection:
            assert _records(connection) == _model_records(expected)
            assert _archived(connection) == _lost(system, expected)

    _try_examples(emptied_database, compare, share=0.25)


def _try_examples(database: Database, compare: Callable[[], None], share: float = 1) -> None:
    examples = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0")) or int(EXAMPLES[database.dialect] * share)
    settings(max_examples=examples, deadline=None)(compare)()


def _compare(database: Database, system: System, request: Request) -> None:
    expected = system.copy()
    counts = _changed(request.apply_to(expected))
    _fill(database, system)
    with database.read() as connection:
        _assert_content(connection, system, request.selection)
        counted = _engine(connection, request).count(connection, request.users)
        assert _records(connection) == _model_records(system), "counting wrote to the records"
    applied = _apply(database, request, request.users)
    with database.read() as connection:
        records, archived = _records(connection), _archived(connection)
    for table in RECORD_TABLES:
        assert records[table] == _model_records(expected)[table], table
        assert archived[table] == _lost(system, expected)[table], f"archive of {table}"
    assert _as_counts(applied) == counts
    assert _as_counts(counted) == counts, "counted before"

    assert _apply(database, request, request.users) == {}, "a second time"
    with database.read() as connection:
        assert _records(connection) == records, "a second time"
        assert _archived(connection) == archived, "a second time"


def _assert_content(connection: Connection, system: System, selection: Selection) -> None:
    courses, direct = chosen_content(system, selection)
    chapters_of = system.chapters_of_courses()
    chapters = direct.union(*(chapters_of[course] for course in courses))
    content = resolve_content(connection, _selection(selection))
    assert content.courses == courses
    assert content.direct == direct
    assert content.chapters == chapters
    assert content.structure == {
        (course, chapter)
        for course, held in chapters_of.items()
        for chapter in held
        if course in courses or held & chapters
    }


def _selection(selection: Selection) -> ContentSelection:
    return ContentSelection(
        content_roles=selection.content_roles,
        categories=selection.categories,
        courses=selection.courses,
        chapters=selection.chapters,
        all_content=selection.all_content,
        all_chapters=selection.all_chapters,
    )


def _engine(connection: Connection, request: Request) -> ResetEngine:
    return ResetEngine(
        kind=Kind(request.kind),
        content=resolve_content(connection, _selection(request.selection)),
        cutoff=request.cutoff,
        dialect=connection.dialect.name,
    )


def _apply(database: Database, request: Request, users: tuple[int, ...]) -> dict[int, Rows]:
    with database.write("REPEATABLE READ") as connection:
        return _engine(connection, request).apply(connection, JOB, users)


def _chunks(users: tuple[int, ...], chance: Random) -> list[tuple[int, ...]]:
    shuffled = chance.sample(users, len(users))
    chunks: list[tuple[int, ...]] = []
    while shuffled:
        size = chance.randint(1, len(shuffled))
        chunks.append(tuple(shuffled[:size]))
        shuffled = shuffled[size:]
    return chunks


def _fill(database: Database, system: System) -> None:
    with database.write() as connection:
        for table in (*ARCHIVE.values(), *reversed(RECORD_FORMAT)):
            connection.execute(table.delete())
        for table in RECORD_FORMAT:
            if rows := system.rows(table.name):
                connection.execute(insert(table), rows)


def _records(connection: Connection) -> dict[str, list[Row]]:
    return {
        table.name: _in_order(table.name, [dict(row) for row in connection.execute(select(table)).mappings()])
        for table in ARCHIVE
    }


def _archived(connection: Connection) -> dict[str, list[Row]]:
    archived = {}
    for table, twin in ARCHIVE.items():
        rows = [dict(row) for row in connection.execute(select(twin)).mappings()]
        assert all(row.pop("job_id") == JOB for row in rows)
        archived[table.name] = _in_order(table.name, rows)
    return archived


def _model_records(system: System) -> dict[str, list[Row]]:
    return {table: system.rows(table) for table in RECORD_TABLES}


def _lost(before: System, after: System) -> dict[str, list[Row]]:
    """Give the rows as they were before that changed or vanished."""
    return {
        table: [
            row
            for row in before.rows(table)
            if after.tables[table].get(tuple(row[column] for column in KEYS[table])) != row
        ]
        for table in RECORD_TABLES
    }


def _in_order(table: str, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: tuple(row[column] for column in KEYS[table]))


def _changed(counts: dict[int, Counts]) -> dict[int, Counts]:
    return {user: count for user, count in counts.items() if count.outcome == "changed"}


def _as_counts(rows: dict[int, Rows]) -> dict[int, Counts]:
    return {
        user: Counts(
            attempts_erased=count.attempts_erased,
            chapters_reset=count.chapters_reset,
            courses_reset=count.courses_reset,
        )
        for user, count in rows.items()
    }
