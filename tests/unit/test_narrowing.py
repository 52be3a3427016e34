"""The filter `completed before`: what is left of a job's content for each user."""

from jobs.model import Content
from jobs.records.narrowing import narrow

ADA, BORIS = 1, 2
CHOSEN, OTHER, ANOTHER = 101, 102, 103
CONTENT = Content(
    courses=frozenset({CHOSEN}),
    chapters=frozenset({1001, 1002, 1003}),
    direct=frozenset({1003}),
    structure=frozenset(
        {(CHOSEN, 1001), (CHOSEN, 1002), (OTHER, 1002), (OTHER, 1003), (ANOTHER, 1003), (ANOTHER, 1004)}
    ),
)


def test_a_chosen_course_that_a_user_completed_stays_with_all_its_chapters() -> None:
    left = narrow(CONTENT, [(ADA, CHOSEN)])
    assert left.courses == {(ADA, CHOSEN)}
    assert left.chapters == {(ADA, 1001), (ADA, 1002)}


def test_a_chapter_chosen_directly_stays_where_any_course_that_holds_it_was_completed() -> None:
    assert narrow(CONTENT, [(ADA, OTHER)]).chapters == {(ADA, 1003)}
    assert narrow(CONTENT, [(ADA, ANOTHER)]).chapters == {(ADA, 1003)}
    assert narrow(CONTENT, [(ADA, OTHER)]).courses == frozenset()


def test_each_user_keeps_what_it_completed_itself() -> None:
    left = narrow(CONTENT, [(ADA, CHOSEN), (BORIS, ANOTHER)])
    assert left.courses == {(ADA, CHOSEN)}
    assert left.chapters == {(ADA, 1001), (ADA, 1002), (BORIS, 1003)}


def test_nothing_is_left_for_whoever_completed_nothing() -> None:
    left = narrow(CONTENT, [])
    assert (left.courses, left.chapters) == (frozenset(), frozenset())


def test_a_chapter_in_no_course_is_never_left() -> None:
    loose = Content(courses=frozenset(), chapters=frozenset({7}), direct=frozenset({7}), structure=frozenset())
    assert narrow(loose, [(ADA, CHOSEN)]).chapters == frozenset()


def test_a_chapter_of_a_chosen_course_is_not_kept_by_another_course_alone() -> None:
    assert (ADA, 1002) not in narrow(CONTENT, [(ADA, OTHER)]).chapters
