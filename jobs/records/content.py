"""Resolve the content that a request chooses to ids of chapters and courses, with the structure around them."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, Select, select

from jobs.errors import InputRefused, NothingMeant
from jobs.idsets import id_sets
from jobs.model import Content
from jobs.records import tables
from jobs.schema import MAX_ID
from jobs.scope import ContentSelection


def resolve_content(connection: Connection, selection: ContentSelection) -> Content:
    """Look up what a selection means now.

    Raises:
        InputRefused: ids that are unknown or of another kind, all of them named.
        NothingMeant: the choice holds nothing.

    """
    _refuse_unknown(connection, selection)
    courses = _chosen_courses(connection, selection)
    direct = _direct_chapters(connection, selection)
    links = tables.course_chapters.c
    of_courses = _pairs(connection, select(links.course_id, links.chapter_id), links.course_id, courses)
    chapters = direct | {chapter for _, chapter in of_courses}
    holders = _pairs(connection, select(links.course_id, links.chapter_id), links.chapter_id, chapters)
    parents = {course for course, _ in holders} - courses
    of_parents = _pairs(connection, select(links.course_id, links.chapter_id), links.course_id, parents)
    if not courses and not chapters:
        raise NothingMeant("the chosen content holds no chapter and no course; choose other content")
    return Content(
        courses=frozenset(courses),
        chapters=frozenset(chapters),
        direct=frozenset(direct),
        structure=frozenset(of_courses | of_parents),
    )


_CHOICES = (
    ("content role", "content_roles", tables.content_roles),
    ("category", "categories", tables.categories),
    ("course", "courses", tables.courses),
    ("chapter", "chapters", tables.chapters),
)


def _refuse_unknown(connection: Connection, selection: ContentSelection) -> None:
    unknown: dict[str, list[int]] = {}
    sentences = []
    for name, field, table in _CHOICES:
        wanted = set(getattr(selection, field))
        missing = sorted(wanted - _known(connection, table, wanted))
        if not missing:
            continue
        unknown[field] = missing
        sentences.append(f"no {name} has the id {_listed(missing)}{_found_elsewhere(connection, table, missing)}")
    if sentences:
        raise InputRefused(f"{'; '.join(sentences)}; correct the ids", {"unknown": unknown})


def _found_elsewhere(connection: Connection, table: object, missing: Collection[int]) -> str:
    """Say which other kind of content has those ids, since ids of one kind are often given for another."""
    hints = []
    for name, _, other in _CHOICES:
        if other is not table and (found := _known(connection, other, missing)):
            hints.append(f"{_listed(sorted(found))} is a {name}")
    return f" ({', '.join(hints)})" if hints else ""


def _known(connection: Connection, table: object, ids: Collection[int]) -> set[int]:
    if not ids:
        return set()
    column = table.c.id  # type: ignore[attr-defined]
    return _ids(connection, select(column), column, [i for i in ids if 0 < i <= MAX_ID])


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(i) for i in ids)


def _chosen_courses(connection: Connection, selection: ContentSelection) -> set[int]:
    courses, of_roles = tables.courses.c, tables.content_role_courses.c
    if selection.all_content:
        return set(connection.execute(select(courses.id)).scalars())
    return (
        set(selection.courses)
        | _ids(connection, select(courses.id), courses.category_id, selection.categories)
        | _ids(connection, select(of_roles.course_id), of_roles.content_role_id, selection.content_roles)
    )


def _direct_chapters(connection: Connection, selection: ContentSelection) -> set[int]:
    if selection.all_content or selection.all_chapters:
        return set(connection.execute(select(tables.chapters.c.id)).scalars())
    of_roles = tables.content_role_chapters.c
    return set(selection.chapters) | _ids(
        connection, select(of_roles.chapter_id), of_roles.content_role_id, selection.content_roles
    )


def _ids(connection: Connection, query: Select[int], column: object, ids: Collection[int]) -> set[int]:
    return {row[0] for row in _rows(connection, query, column, ids)}


def _pairs(
    connection: Connection, query: Select[int, int], column: object, ids: Collection[int]
) -> set[tuple[int, int]]:
    return {(row[0], row[1]) for row in _rows(connection, query, column, ids)}


def _rows(connection: Connection, query: Select, column: object, ids: Collection[int]) -> Iterable[tuple]:  # type: ignore[type-arg]
    if not ids:
        return []
    sets = id_sets(connection.dialect.name)
    return connection.execute(query.where(sets.among(column, "ids")), sets.parameters("ids", ids))  # type: ignore[arg-type]
