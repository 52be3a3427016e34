"""What is asked for: one reset, in the words of the command line and as the conditions of a script."""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.model import Kind


@dataclass(frozen=True, kw_only=True)
class Reset:
    """One kind of reset, of whom and of what.

    Attributes:
        name: how tables and charts call it.
        users: the learners, or None for everybody.
        chapters: single chapters, of [203] only, or None for every course and chapter.
        max_rate: the most users a second that the program may reset, or None.

    Raises:
        ValueError: it is [204] of single chapters.

    """

    name: str
    kind: Kind
    users: tuple[int, ...] | None = None
    chapters: tuple[int, ...] | None = None
    max_rate: int | None = None

    def __post_init__(self) -> None:
        if self.kind is Kind.IN_PROGRESS and self.chapters is not None:
            raise ValueError("[204] is measured on every chapter only; leave the chapters out")

    @property
    def words(self) -> list[str]:
        """The words that submit it."""
        kind = self.kind.value.replace("_", "-")
        users = ["--all-users"] if self.users is None else ["--user", _listed(self.users)]
        everything = "--all-content" if self.kind is Kind.TRAINING else "--all"
        content = [everything] if self.chapters is None else ["--chapter", _listed(self.chapters)]
        pace = [] if self.max_rate is None else ["--max-rate", str(self.max_rate)]
        return ["submit", kind, *users, *content, *pace, "--location", "all", "--reason", "benchmark", "--yes"]

    def of_users(self, column: str = "user_id") -> str:
        """Give the condition that chooses its users."""
        return "TRUE" if self.users is None else f"{column} IN ({_listed(self.users)})"

    def of_chapters(self, column: str = "chapter_id") -> str:
        """Give the condition that chooses its chapters."""
        return "TRUE" if self.chapters is None else f"{column} IN ({_listed(self.chapters)})"


EVERYTHING = Reset(name="[203] everything", kind=Kind.TRAINING)
IN_PROGRESS = Reset(name="[204] everything", kind=Kind.IN_PROGRESS)


def _listed(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids))
