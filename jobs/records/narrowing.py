"""The filter `completed before`: what is left of a job's content for each user.

Of the courses chosen as a whole, a user keeps those completed before the cut-off, with their chapters; of
the chapters chosen directly, those that stand in any course completed before it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.model import Content


@dataclass(frozen=True)
class Narrowed:
    """Pairs (user, course) of S and (user, chapter) of C that the filter keeps."""

    courses: frozenset[tuple[int, int]]
    chapters: frozenset[tuple[int, int]]


def narrow(content: Content, completed: Iterable[tuple[int, int]]) -> Narrowed:
    """Narrow the content to what each user completed.

    Args:
        content: S, C and the structure around them.
        completed: (user, course) for every course of the structure completed before the cut-off.

    """
    chapters_of: defaultdict[int, list[int]] = defaultdict(list)
    for course, chapter in content.structure:
        if course in content.courses or chapter in content.direct:
            chapters_of[course].append(chapter)
    pairs = list(completed)
    return Narrowed(
        courses=frozenset((user, course) for user, course in pairs if course in content.courses),
        chapters=frozenset((user, chapter) for user, course in pairs for chapter in chapters_of[course]),
    )
