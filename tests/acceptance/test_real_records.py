"""The main job on real records, as an administrator does it: import, preview, submit, wait, read the report.

Everything goes through the program and a real worker; every expected value comes from the plain model. With
`pytest -rP tests/acceptance/test_real_records.py` the figures of each reset are shown.
"""

import csv
import gc
import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.oulad import (
    LEARNERS,
    RECORDS,
    RESETS,
    Installation,
    Reset,
    everything_of_everybody,
    first_difference,
)
from tests.model import Counts
from tests.plainsystem import FORMAT, RECORD_TABLES, System, read_table
from tests.servers import create_database, drop_database

Texts = dict[str, str]


@pytest.fixture
def _garbage_is_kept() -> Iterator[None]:
    """Look for no garbage, which would be to walk through the model's millions of rows again and again."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    name = f"records_{uuid.uuid4().hex}"
    yield create_database(postgres_url, name)
    drop_database(postgres_url, name)


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """A data directory and an empty database, once of each kind."""
    home = tmp_path / "home"
    home.mkdir()
    url = (
        f"sqlite:///{tmp_path / 'records.sqlite3'}"
        if request.param == "sqlite"
        else request.getfixturevalue("empty_postgres_url")
    )
    return Installation(home, url)


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_garbage_is_kept")
def test_every_reset_of_real_records_does_through_the_program_what_the_plain_rules_say(
    installation: Installation, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    installation.run("db", "upgrade")
    if RECORDS.is_dir():
        _say(f"input: {RECORDS}")
        installation.run_measured("records", "import", f"{RECORDS}")
        system = System.load(RECORDS)
        records = _export(installation, tmp_path / "imported")
        with subtests.test("what was imported is exported"):
            _assert_same(_texts(system), records)
    else:
        _say(f"input: made-up records of {LEARNERS} learners; {RECORDS} is absent")
        installation.run_measured("records", "generate", "--users", f"{LEARNERS}", "--seed", "1")
        records = _export(installation, tmp_path / "generated")
        system = System.load(tmp_path / "generated")

    books = Books(installation, tmp_path, system, records)
    with installation.up():
        for make_reset in RESETS:
            if make_reset is everything_of_everybody:
                _verify(installation, subtests)
            reset = make_reset(books.expected, tmp_path)
            with subtests.test(reset.name):
                _say(_reset_and_count(installation, reset, books.expected))
            with subtests.test(f"the records after {reset.name}"):
                books.compare(set(reset.users))
        _verify(installation, subtests)
    peaks = sorted(installation.peaks.items())
    _say("peak memory: " + ", ".join(f"{name} {size} MiB" for name, size in peaks))


@dataclass
class Books:
    """What the records must be by now, and what they were when they were last exported."""

    installation: Installation
    directory: Path
    expected: System
    records: Texts

    def compare(self, users: set[int]) -> None:
        """Compare every table after these users were reset; go on from what is there, so that a fault is told once."""
        exported = self.directory / f"export_{uuid.uuid4().hex}"
        before, self.records = self.records, _export(self.installation, exported)
        try:
            _assert_same(_texts(self.expected), self.records)
            _assert_others_unchanged(users, before, self.records)
        except AssertionError:
            self.expected = System.load(exported)
            raise


def _verify(installation: Installation, subtests: pytest.Subtests) -> None:
    """Look for what an export does not show: how values are stored, and the next attempt's id.

    What one reset broke there stays broken, unless a later one rewrites the row. So it is enough to look once before
    the reset that rewrites everything, and once after it.
    """
    with subtests.test("every rule holds"):
        installation.run("records", "verify")


def _reset_and_count(installation: Installation, reset: Reset, system: System) -> str:
    """Ask for one reset, compare what the program says of it with the model, and give a line of figures."""
    counts = reset.apply_to(system)
    rows = sum(counts.values(), Counts())

    (preview,) = installation.ask("preview", reset.command, *reset.options)
    assert _users(preview) == _expected_users(counts), "preview"
    assert _rows(preview) == rows, "preview"

    status = _ask_for(installation, reset)
    assert (status["state"], status["users"]["failed"]) == ("succeeded", 0), status
    assert status["users"]["done"] == len(counts)
    assert _users(status) == _expected_users(counts), "status"
    assert _rows(status) == rows, "status"
    assert status["kind"] == preview["kind"]
    assert _reported(installation, status["id"]) == _expected_report(system, counts)
    return _figures(reset, status, rows)


def _ask_for(installation: Installation, reset: Reset) -> dict[str, Any]:
    """Ask for a reset, wait for its end, and give its status."""
    if reset.learner is None:
        reason = f"acceptance: {reset.name}"
        submitted = installation.ask("submit", reset.command, *reset.options, "--reason", reason, "--yes", "--wait")
        return submitted[-1]
    earlier = {job["id"] for job in installation.ask("job", "list")}
    installation.run("me", "reset-in-progress", actor=reset.learner)
    (job,) = {job["id"] for job in installation.ask("job", "list")} - earlier
    (status,) = installation.ask("job", "status", f"{job}")
    return status


def _export(installation: Installation, directory: Path) -> Texts:
    installation.run("records", "export", f"{directory}")
    return {table: read_table(directory, table) for table in FORMAT}


def _texts(system: System) -> Texts:
    return {table: system.text(table) for table in FORMAT}


def _assert_same(expected: Texts, actual: Texts) -> None:
    for table in FORMAT:
        difference = first_difference(expected[table], actual[table])
        assert difference is None, f"{table}: {difference}"


def _assert_others_unchanged(users: set[int], before: Texts, after: Texts) -> None:
    for table, columns in FORMAT.items():
        if before[table] == after[table]:
            continue
        differing = set(before[table].splitlines()) ^ set(after[table].splitlines())
        if table in RECORD_TABLES:
            # The user's id stands in the first column or, after an attempt's id, in the second, never quoted.
            place = list(columns).index("user_id")
            differing = {line for line in differing if int(line.split(",", place + 1)[place]) not in users}
        assert not differing, f"{table} of users outside: {sorted(differing)[:5]}"


def _users(answer: dict[str, Any]) -> dict[str, int]:
    return {name: answer["users"][name] for name in ("total", "changed", "unchanged")}


def _expected_users(counts: dict[int, Counts]) -> dict[str, int]:
    changed = sum(count.outcome == "changed" for count in counts.values())
    return {"total": len(counts), "changed": changed, "unchanged": len(counts) - changed}


def _rows(answer: dict[str, Any]) -> Counts:
    return Counts(**answer["rows"])


def _reported(installation: Installation, job: int) -> list[dict[str, str]]:
    text = installation.run("job", "report", f"{job}", "--format", "csv")
    return sorted(csv.DictReader(io.StringIO(text, newline="")), key=lambda line: int(line["user_id"]))


def _expected_report(system: System, counts: dict[int, Counts]) -> list[dict[str, str]]:
    return [
        {
            "user_id": f"{user}",
            "login": system.tables["users"][user,]["login"],
            "outcome": count.outcome,
            "attempts_erased": f"{count.attempts_erased}",
            "chapters_reset": f"{count.chapters_reset}",
            "courses_reset": f"{count.courses_reset}",
            "error": "",
        }
        for user, count in sorted(counts.items())
    ]


def _say(line: str) -> None:
    print(line)  # noqa: T201 - shown by `pytest -rP`


def _figures(reset: Reset, status: dict[str, Any], rows: Counts) -> str:
    begun, ended = (datetime.fromisoformat(status[name]) for name in ("created_at", "finished_at"))
    seconds = (ended - begun).total_seconds()
    return (
        f"{reset.name}: {len(reset.users)} users; {rows.attempts_erased} attempts, "
        f"{rows.chapters_reset} chapters and {rows.courses_reset} courses; "
        f"{seconds:.2f} s from submit to the end, {len(reset.users) / max(seconds, 0.001):.0f} users/s"
    )
