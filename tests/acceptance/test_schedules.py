"""Schedules from the command line, fired by a real worker."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.program import PROGRAM, Program
from tests.installation import eventually

REQUEST = ("training", "--all-content", "--all-users", "--reason", "maintenance")


@contextmanager
def up(program: Program) -> Iterator[None]:
    """Let everything run in one process tree."""
    command = [PROGRAM, "up", "--concurrency", "1"]
    with subprocess.Popen(command, env=program.environment(), stderr=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0


def show(program: Program, name: str) -> Any:  # noqa: ANN401 - parsed JSON
    shown = program.run("--json", "schedule", "show", name)
    assert shown.code == 0, shown
    return json.loads(shown.out)


# Waiting asks the database: starting the program for every look would keep a core busy.


def await_runs(program: Program, name: str, runs: int) -> list[Any]:
    query = "SELECT name FROM schedule_runs JOIN schedules ON schedules.id = schedule_id"
    eventually(lambda: program.read(query).count((name,)) >= runs, why=lambda: f"{name} did not run")
    return show(program, name)["runs"][::-1]  # type: ignore[no-any-return]


def await_job(program: Program, job: int) -> Any:  # noqa: ANN401 - parsed JSON
    query = "SELECT id FROM jobs WHERE finished_at IS NOT NULL"
    eventually(lambda: (job,) in program.read(query), why=lambda: f"job {job} did not end")
    return json.loads(program.run("--json", "job", "status", f"{job}").out)


def test_a_worker_fires_what_is_due_and_the_job_runs(program: Program) -> None:
    with up(program):
        once = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
        assert program.run("schedule", "add", "once", "--once", once.isoformat(), *REQUEST).code == 0
        added = program.run("--json", "schedule", "add", "often", "--every", "2s", "in-progress", *REQUEST[2:], "--all")
        assert added.code == 0, added
        assert json.loads(added.out)["timing"] == {"every": "2s"}

        (run,) = await_runs(program, "once", 1)
        assert (run["outcome"], run["late"]) == ("submitted", False)
        assert datetime.fromisoformat(run["fire_time"]) == once
        status = await_job(program, run["job"])
        assert (status["state"], status["users"]["changed"]) == ("succeeded", 2)
        waited = datetime.fromisoformat(status["created_at"]) - once
        sys.stdout.write(f"fired {waited.total_seconds():.2f} s after its time\n")

        runs = await_runs(program, "often", 3)
        times = [datetime.fromisoformat(run["fire_time"]) for run in runs]
        assert all((time - times[0]) % timedelta(seconds=2) == timedelta(0) for time in times)
        assert len(set(times)) == len(times)
        assert {run["outcome"] for run in runs[1:]} <= {"nothing", "submitted", "skipped"}
    assert show(program, "once")["state"] == "ended"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nightly", *REQUEST), 2, ("--cron",)),
        (("nightly", "--cron", "0 2 * * *"), 2, ("Missing command",)),
        (("--cron", "0 2 * * *", *REQUEST), 2, ("NAME",)),
        (("nightly", "--cron", "0 2 * * *", "--every", "6h", *REQUEST), 2, ("--cron", "--every")),
        (("nightly", "--every", "6h", "--timezone", "UTC", *REQUEST), 2, ("--timezone", "--cron")),
        (("nightly", "--every", "6 hours", *REQUEST), 2, ("6 hours",)),
        (("nightly", "--every", "0s", *REQUEST), 3, ("--every",)),
        (("nightly", "--every", "99999999999999999999w", *REQUEST), 2, ("calendar",)),
        (("nightly", "--cron", "0 0 30 2 *", *REQUEST), 3, ("0 0 30 2 *",)),
        (("nightly", "--cron", "every day", *REQUEST), 3, ("every day",)),
        (("nightly", "--cron", "0 2 * * *", "--timezone", "Mars/Olympus", *REQUEST), 3, ("Mars/Olympus",)),
        (("nightly", "--once", "2020-01-01T00:00Z", *REQUEST), 3, ("2020-01-01",)),
        (("nightly", "--once", "tomorrow", *REQUEST), 2, ("tomorrow",)),
        (("nightly", "--every", "6h", "--max-users", "many", *REQUEST), 2, ("many",)),
        (("a b", "--every", "6h", *REQUEST), 3, ("a b",)),
        (("nightly", "--every", "6h", *REQUEST, "--course", "99"), 3, ("99",)),
        (("nightly", "--every", "6h", *REQUEST, "--not-before", "2030-01-01"), 3, ("--not-before",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_schedule_that_cannot_be_is_refused(
    on_sqlite: Program, words: tuple[str, ...], code: int, says: tuple[str, ...]
) -> None:
    on_sqlite.refuses("schedule", "add", *words, code=code, says=says)


def test_name_and_options_stand_in_any_order_before_the_words(on_sqlite: Program) -> None:
    orders = (("a", "--every", "6h", "--overlap", "queue"), ("--every", "6h", "b", "--overlap", "queue"))
    for order in orders:
        assert on_sqlite.run("schedule", "add", *order, *REQUEST).code == 0
    listed = [json.loads(line) for line in on_sqlite.run("--json", "schedule", "list").out.splitlines()]
    assert [(one["name"], one["overlap"]) for one in listed] == [("a", "queue"), ("b", "queue")]


def test_every_command_about_schedules_works_on_one(on_sqlite: Program) -> None:
    def run(*words: str) -> str:
        done = on_sqlite.run("schedule", *words, broker_url="redis+socket:///nowhere")
        assert done.code == 0, done
        return done.out

    assert "of whom 2 would change" in run("add", "nightly", "--cron", "0 2 * * *", "--dry-run", *REQUEST)
    on_sqlite.refuses("schedule", "show", "nightly", code=3, says=("nightly",))
    added = run("add", "nightly", "--cron", "0 2 * * *", "--timezone", "Europe/London", "--max-users", "1", *REQUEST)
    assert "0 2 * * * (Europe/London)" in added
    assert "paused by root" in run("pause", "nightly")
    assert "active" in run("resume", "nightly")
    assert "held, job 1 (would change 2 users" in run("run", "nightly")
    assert "nightly" in run("list")
    doctor = on_sqlite.run("doctor").out
    assert "nightly held: job 1 would change 2 users" in doctor
    assert on_sqlite.run("job", "cancel", "1").code == 0
    edited = run("edit", "nightly", "--max-users", "none", "--every", "12h", "in-progress", "--all", *REQUEST[2:])
    assert "every 12h" in edited
    assert "in-progress --all-users --all --location 1" in edited
    assert "submitted, job 2" in run("run", "nightly")
    shown = run("show", "nightly")
    assert shown.count("Z") >= 7
    run("remove", "nightly")
    assert run("list").splitlines() == ["name  state  runs  next  last run  outcome  attention"]
