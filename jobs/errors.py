"""Everything that can go wrong in a way that its user can mend.

    TrainingResetError
    ├── InputRefused              the request names something unknown, or says too little
    │   ├── NothingMeant          everything that it names is there, but nobody and nothing is meant by it
    │   └── RecordsRefused        a file of records is wrong, at a line and a column
    ├── NotFound                  no such job, location or user for this actor
    ├── NotPermitted              the actor may not do this
    ├── Conflict                  the state of things forbids it now
    ├── DatabaseUnavailable       no database, or not one of this version
    └── BrokerUnavailable         no broker, and nothing could be recorded without it

Each carries one sentence with the value that is wrong and what to do about it. The command line gives each
branch its exit code; nothing below it knows of exit codes.
"""

import re
from collections.abc import Mapping, Sequence


class TrainingResetError(Exception):
    """The root of the tree.

    Args:
        message: what is wrong, with the value, and after a semicolon what to do.
        data: what a program would want to know, such as the unknown ids; must fit into JSON.

    """

    code = "error"

    def __init__(self, message: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = dict(data or {})


class InputRefused(TrainingResetError):
    """The request names something unknown or says too little; nothing was done."""

    code = "input_refused"


class NothingMeant(InputRefused):
    """What the request names is there, but holds no user or no content; for a schedule that is no error."""


def joined(refusals: Sequence[InputRefused]) -> InputRefused:
    """Make one refusal of several, so that everything that is wrong is said at once."""
    if len(refusals) == 1:
        return refusals[0]
    data = {name: value for refusal in refusals for name, value in refusal.data.items()}
    kind = NothingMeant if all(isinstance(refusal, NothingMeant) for refusal in refusals) else InputRefused
    return kind("; ".join(refusal.message for refusal in refusals), data)


class RecordsRefused(InputRefused):
    """Records to import are wrong; nothing was imported."""

    code = "records_refused"


class NotFound(TrainingResetError):
    """There is no such thing, or none that this actor may know of."""

    code = "not_found"


class NotPermitted(TrainingResetError):
    """The actor may not do this."""

    code = "not_permitted"


class Conflict(TrainingResetError):
    """The state of the job or of the records forbids it now."""

    code = "conflict"


class DatabaseUnavailable(TrainingResetError):
    """The database is out of reach, holds no schema, or one of another version."""

    code = "database_unavailable"


class BrokerUnavailable(TrainingResetError):
    """The broker is out of reach and nothing could be recorded."""

    code = "broker_unavailable"


_LONGEST_SHOWN = 80


def shown(word: str) -> str:
    """Give a word as a sentence about it shows it: cut where it is very long, without the password of a URL."""
    word = re.sub(r"(://[^:/@]*:).*@", r"\1***@", word)
    return word if len(word) <= _LONGEST_SHOWN else f"{word[:_LONGEST_SHOWN]}… ({len(word):,} characters)"
