"""What a request asks for: whose records, which content, since when. Words only; nothing is looked up here.

`check` refuses what no database is needed to refuse. The words of a request have one canonical form, which
tells whether an idempotency key comes back with the same words.
"""

import json
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from jobs.errors import InputRefused
from jobs.model import Kind
from jobs.targets import check_targets
from jobs.windows import Window

Everywhere = Literal["all"]
Cutoff = datetime | timedelta
"""A moment, or an age counted back from the moment of submission."""


@dataclass(frozen=True, kw_only=True)
class UserSelection:
    """Whose records: everybody at the location, or those named; less those excluded."""

    ids: tuple[int, ...] = ()
    logins: tuple[str, ...] = ()
    all_users: bool = False
    excluded_ids: tuple[int, ...] = ()
    excluded_logins: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether users are named one by one."""
        return bool(self.ids or self.logins)


@dataclass(frozen=True, kw_only=True)
class ContentSelection:
    """Which content: ids of each kind, or everything.

    Attributes:
        all_content: every course as a whole and every chapter.
        all_chapters: every chapter and no course as a whole, the profile's "reset ALL in-progress chapters".

    """

    content_roles: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    courses: tuple[int, ...] = ()
    chapters: tuple[int, ...] = ()
    all_content: bool = False
    all_chapters: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing at all was chosen."""
        return self == ContentSelection()


@dataclass(frozen=True, kw_only=True)
class ResetRequest:
    """One request, as it was said.

    Attributes:
        location: an id, "all", or None for the location where the actor stands.
        cutoff: `completed before` for training, `idle since` for in-progress.

    """

    kind: Kind
    users: UserSelection = field(default_factory=UserSelection)
    content: ContentSelection = field(default_factory=ContentSelection)
    location: int | Everywhere | None = None
    cutoff: Cutoff | None = None

    def check(self) -> None:
        """Refuse a request that says too little or contradicts itself.

        Raises:
            InputRefused: no users, no content, or both "all" and a choice.

        """
        if self.users.all_users and self.users.named:
            raise InputRefused("--all-users and named users were both given; leave one of them out")
        if not (self.users.all_users or self.users.named or self.content.content_roles):
            raise InputRefused(
                "no users were given; name them with --user or --users-file, or give --all-users or --content-role"
            )
        if self.content.empty:
            raise InputRefused(f"no content was given; {_CONTENT_MEND[self.kind]}")

    def resolve_cutoff(self, now: datetime) -> datetime | None:
        """Give the moment of the cut-off, an age being counted back from `now`.

        Raises:
            InputRefused: the age reaches back before the calendar.

        """
        if not isinstance(self.cutoff, timedelta):
            return self.cutoff
        try:
            return now - self.cutoff
        except OverflowError as error:
            raise InputRefused(
                f"an age of {self.cutoff.days} days reaches before year 1; give a shorter one"
            ) from error


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """How a job runs, apart from what it resets.

    Attributes:
        on_result: the targets that its result is sent to when it has ended.
        windows: when it may run; none means always.
        urgent: it goes ahead although the system would make it wait; its own windows hold all the same.

    """

    reason: str
    priority: int = 1
    max_rate: float | None = None
    chunk_size: int | None = None
    not_before: datetime | None = None
    windows: tuple[Window, ...] = ()
    urgent: bool = False
    idempotency_key: str | None = None
    on_result: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse a blank reason, numbers out of range and targets that nothing can be sent to.

        Raises:
            InputRefused: naming the value.

        """
        if not self.reason.strip():
            raise InputRefused("the reason is blank; say with --reason why these records are reset")
        if self.max_rate is not None and not MIN_RATE <= self.max_rate <= MAX_RATE:
            raise InputRefused(
                f"--max-rate {self.max_rate:g} is out of range; give {MIN_RATE:g} to {MAX_RATE:,} users a second"
            )
        if self.chunk_size is not None and not 1 <= self.chunk_size <= MAX_CHUNK_SIZE:
            raise InputRefused(f"--chunk-size {self.chunk_size} is out of range; give 1 to {MAX_CHUNK_SIZE}, or auto")
        if self.idempotency_key is not None and not self.idempotency_key.strip():
            raise InputRefused(
                "the idempotency key is blank; give --idempotency-key a word of your own or leave it out"
            )
        check_targets(self.on_result)


MAX_CHUNK_SIZE = 10_000
MIN_RATE, MAX_RATE = 0.001, 1_000_000
"""Users a second; slower than this, the time of the next chunk is soon beyond the calendar."""
PRIORITIES = {"low": 0, "normal": 1, "high": 2}

_CONTENT_MEND = {
    Kind.TRAINING: "choose it with --course, --chapter, --category, --content-role or --all-content",
    Kind.IN_PROGRESS: "choose it with --id-type and --id, --content-role, --all or --all-chapters",
}


def canonical_words(request: ResetRequest, options: JobOptions) -> str:
    """Write a request down so that the same words give the same text, whatever the order of ids."""
    return json.dumps({"request": _plain(request), "options": _plain(options)}, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, Window):
        return str(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return sorted({_plain(item) for item in value})  # type: ignore[type-var]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        return f"age {value.total_seconds()}"
    return value
