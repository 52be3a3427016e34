"""What the acceptance test of the main job is made of: input, the resets asked for, an installation to ask.

The input is the real records in `../shared/data/oulad`, beside this repository; where they are missing, as
for a stranger's clone, the test makes up records of the same size.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.installation import eventually
from tests.model import Counts, Selection, chosen_content, chosen_users, reset_in_progress, reset_training
from tests.plainsystem import System

RECORDS = Path(__file__).parents[2].parent / "shared" / "data" / "oulad"
LEARNERS = 28_785
PROGRAM = Path(sys.executable).with_name("training-reset")

# The largest memory of one process, in KiB on Linux: known only to the parent that waited for no other.
_WITH_PEAK_MEMORY = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
)


@dataclass(frozen=True, kw_only=True)
class Reset:
    """One reset of the acceptance test: the options that ask for it, and the same in the model's words.

    Attributes:
        options: those of `submit` and `preview` that choose users, content and filter.
        learner: who asks with `me reset-in-progress`; then `options` are those of an equal preview.

    """

    name: str
    kind: str
    options: tuple[str, ...]
    users: list[int]
    selection: Selection
    cutoff: datetime | None = None
    learner: str | None = None

    @property
    def command(self) -> str:
        """The kind as the command line names it."""
        return "training" if self.kind == "training" else "in-progress"

    def apply_to(self, system: System) -> dict[int, Counts]:
        """Reset a system by the plain rules and give the counts of each user."""
        rule = reset_training if self.kind == "training" else reset_in_progress
        return rule(system, self.users, *chosen_content(system, self.selection), self.cutoff)


def role_at_location(system: System, _directory: Path) -> Reset:
    role, location = _nth(system, "content_roles", 3), _nth(system, "locations", 4)
    return Reset(
        name=f"[203] content role {role} at location {location}",
        kind="training",
        options=("--content-role", f"{role}", "--location", f"{location}"),
        users=chosen_users(system, location=location, content_roles={role}),
        selection=Selection(content_roles=(role,)),
    )


def category_at_location(system: System, _directory: Path) -> Reset:
    category, location = _nth(system, "categories", 2), _nth(system, "locations", 7)
    return Reset(
        name=f"[203] category {category} for everyone at location {location}",
        kind="training",
        options=("--category", f"{category}", "--all-users", "--location", f"{location}"),
        users=chosen_users(system, location=location, all_users=True),
        selection=Selection(categories=(category,)),
    )


def all_content_for_a_users_file(system: System, directory: Path) -> Reset:
    learners = [user for user in system.rows("users") if user["access"] == "learner"]
    chosen = learners[:: len(learners) // 500][:500]
    file = directory / "users.txt"
    named = [
        user["login"] if number % 2 and not user["login"].isdigit() else f"{user['id']}"
        for number, user in enumerate(chosen)
    ]
    file.write_text("\n".join(named) + "\n")
    return Reset(
        name="[203] all content for a users file of 500",
        kind="training",
        options=("--all-content", "--users-file", f"{file}", "--location", "all"),
        users=[user["id"] for user in chosen],
        selection=Selection(all_content=True),
    )


def in_progress_by_courses(system: System, _directory: Path) -> Reset:
    first, second, third = (_nth(system, "courses", number) for number in (9, 11, 16))
    location = _nth(system, "locations", 6)
    ids = ("--id", f"{first},{second}", "--id", f"{third}")
    return Reset(
        name=f"[204] courses {first}, {second} and {third} for everyone at location {location}",
        kind="in_progress",
        options=("--id-type", "course", *ids, "--all-users", "--location", f"{location}"),
        users=chosen_users(system, location=location, all_users=True),
        selection=Selection(courses=(first, second, third)),
    )


def in_progress_by_category(system: System, _directory: Path) -> Reset:
    category = _nth(system, "categories", 3)
    return Reset(
        name=f"[204] category {category} for everyone everywhere",
        kind="in_progress",
        options=("--id-type", "category", "--id", f"{category}", "--all-users", "--location", "all"),
        users=chosen_users(system, all_users=True),
        selection=Selection(categories=(category,)),
    )


def everything_in_progress_of_one_user(system: System, _directory: Path) -> Reset:
    user, location, _login = _busiest_learner(system)
    return Reset(
        name=f"[204] everything for user {user}",
        kind="in_progress",
        options=("--all", "--user", f"{user}", "--location", f"{location}"),
        users=[user],
        selection=Selection(all_content=True),
    )


def all_chapters_in_progress_of_one_user(system: System, _directory: Path) -> Reset:
    user, location, login = _busiest_learner(system)
    return Reset(
        name=f"[204] all chapters for user {user}",
        kind="in_progress",
        options=("--all-chapters", "--user", login, "--location", f"{location}"),
        users=[user],
        selection=Selection(all_chapters=True),
    )


def training_completed_before(system: System, _directory: Path) -> Reset:
    whole, chapters = _nth(system, "content_roles", 1), _nth(system, "content_roles", 3)
    location = _nth(system, "locations", 12)
    day = _middle_day(row["completed_at"] for row in system.rows("course_progress"))
    return Reset(
        name=f"[203] content roles {whole}, {chapters} completed before {day:%Y-%m-%d}, location {location}",
        kind="training",
        options=(
            *("--content-role", f"{whole}", "--content-role", f"{chapters}"),
            *("--completed-before", f"{day:%Y-%m-%d}", "--location", f"{location}"),
        ),
        users=chosen_users(system, location=location, content_roles={whole, chapters}),
        selection=Selection(content_roles=(whole, chapters)),
        cutoff=day,
    )


def in_progress_idle_since(system: System, _directory: Path) -> Reset:
    role, location = _nth(system, "content_roles", 2), _nth(system, "locations", 9)
    left_out = _busiest_learner(system, location)
    day = _middle_day(
        row["last_activity_at"] for row in system.rows("chapter_progress") if row["status"] == "in_progress"
    )
    return Reset(
        name=f"[204] content role {role} idle since {day:%Y-%m-%d}, all but one at location {location}",
        kind="in_progress",
        options=(
            *("--content-role", f"{role}", "--all-users", "--exclude-user", left_out[2]),
            *("--idle-since", f"{day:%Y-%m-%d}", "--location", f"{location}"),
        ),
        users=chosen_users(system, location=location, all_users=True, excluded=(left_out[0],)),
        selection=Selection(content_roles=(role,)),
        cutoff=day,
    )


def by_a_learner(system: System, _directory: Path) -> Reset:
    user, location, login = _busiest_learner(system)
    return Reset(
        name=f"[204] user {user}'s own chapters",
        kind="in_progress",
        options=("--all-chapters", "--user", f"{user}", "--location", f"{location}"),
        users=[user],
        selection=Selection(all_chapters=True),
        learner=login,
    )


def everything_of_everybody(system: System, _directory: Path) -> Reset:
    return Reset(
        name="[203] all content for everyone everywhere",
        kind="training",
        options=("--all-content", "--all-users", "--location", "all"),
        users=chosen_users(system, all_users=True),
        selection=Selection(all_content=True),
    )


RESETS: tuple[Callable[[System, Path], Reset], ...] = (
    role_at_location,
    category_at_location,
    all_content_for_a_users_file,
    in_progress_by_courses,
    in_progress_by_category,
    everything_in_progress_of_one_user,
    all_chapters_in_progress_of_one_user,
    training_completed_before,
    in_progress_idle_since,
    by_a_learner,
    everything_of_everybody,
)
"""The resets in the order in which they are asked for; each is made up from the records as they then are."""


def _nth(system: System, table: str, number: int) -> int:
    """Give the nth id of a table, the first after the last; in the real records these are the ids meant."""
    ids = system.ids(table)
    return ids[(number - 1) % len(ids)]


def _busiest_learner(system: System, location: int | None = None) -> tuple[int, int, str]:
    """Give id, location and login of a learner with much in progress.

    That is: a course too, no chapter completed if that can be, so that the course follows; most chapters.
    """

    def busyness(user: dict[str, Any]) -> tuple[bool, int, int]:
        courses, chapters = (
            [row["status"] for row in system.of_user(table, user["id"]).values()]
            for table in ("course_progress", "chapter_progress")
        )
        begun = chapters.count("in_progress")
        return ("in_progress" in courses and begun > 0, -chapters.count("completed"), begun)

    learners = [
        user for user in system.rows("users") if user["access"] == "learner" and location in (None, user["location_id"])
    ]
    user = max(learners, key=busyness)
    return user["id"], user["location_id"], user["login"]


def _middle_day(times: Iterator[datetime | None]) -> datetime:
    """Give the midnight of the day in the middle of those that are known."""
    known = sorted(time for time in times if time is not None)
    return known[len(known) // 2].astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass
class Installation:
    """The program as an operator has it: a data directory, a database, processes."""

    home: Path
    database_url: str
    peaks: dict[str, int] = field(default_factory=dict)
    """The largest memory of processes that ended, in MiB, by what they were."""

    def run(self, *arguments: str, actor: str = "root", seconds: float = 400) -> str:
        """Run a command that must succeed and give what it printed.

        Args:
            arguments: those of the program.
            actor: the login of who acts.
            seconds: how long it may take.

        """
        return self._finish([f"{PROGRAM}", *arguments], actor, seconds).stdout

    def run_measured(self, *arguments: str) -> str:
        """Run a command that must succeed, note its largest memory and give what it printed."""
        command = [sys.executable, "-c", _WITH_PEAK_MEMORY, f"{PROGRAM}", *arguments]
        result = self._finish(command, "root", 400)
        self.peaks[" ".join(arguments[:2])] = int(result.stderr.splitlines()[-1]) // 1024
        return result.stdout

    def ask(self, *arguments: str, actor: str = "root") -> list[dict[str, Any]]:
        """Run a command with `--json` and give the objects that it printed."""
        text = self.run("--json", *arguments, actor=actor).strip()
        objects, decoder = [], json.JSONDecoder()
        while text:
            value, end = decoder.raw_decode(text)
            objects.append(value)
            text = text[end:].lstrip()
        return objects

    @contextmanager
    def up(self) -> Iterator[None]:
        """Keep `up` running, from the moment when `doctor` finds nothing wrong, and end it by Ctrl-C."""
        log = self.home / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PROGRAM, "up", "--concurrency", "2"],
                env=self._environment("root"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(process, log)
            yield
            self._note_peaks(process.pid)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                code = process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        assert code in (0, 130), f"`up` ended with {code}:\n{log.read_text()}"

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        def ready() -> bool:
            assert process.poll() is None, f"`up` ended with {process.returncode}:\n{log.read_text()}"
            return self._run([f"{PROGRAM}", "doctor"], "root", 60).returncode == 0

        eventually(ready, why=log.read_text)

    def _note_peaks(self, pid: int) -> None:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in processes:
            status = Path(f"/proc/{process.pid}/status")
            if status.exists():  # Linux only
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                self.peaks[f"{process.name()} {process.pid}"] = int(lines["VmHWM"].split()[0]) // 1024

    def _finish(self, command: list[str], actor: str, seconds: float) -> subprocess.CompletedProcess[str]:
        result = self._run(command, actor, seconds)
        said = result.stdout[-2000:] + result.stderr[-4000:]
        assert result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}\n{said}"
        return result

    def _run(self, command: list[str], actor: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self._environment(actor),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )

    def _environment(self, actor: str) -> dict[str, str]:
        return os.environ | {
            "TRAINING_RESET_HOME": f"{self.home}",
            "TRAINING_RESET_DATABASE_URL": self.database_url,
            "TRAINING_RESET_ACTOR": actor,
        }


def first_difference(expected: str, actual: str) -> str | None:
    """Say where two texts first differ, in one line; None if nowhere."""
    if expected == actual:
        return None
    wanted, found = expected.splitlines(keepends=True), actual.splitlines(keepends=True)
    for number, (left, right) in enumerate(zip(wanted, found, strict=False), 1):
        if left != right:
            return f"line {number}: {right!r} instead of {left!r}"
    return f"{len(found)} lines instead of {len(wanted)}"
