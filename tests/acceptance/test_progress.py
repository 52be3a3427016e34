"""Progress, as it is drawn at a terminal and as it is told where there is none."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.database import Database
from tests.small import fill_crowd, of_users, submit, work

PROGRAM = Path(sys.executable).with_name("training-reset")


@pytest.fixture
def ended_job(sqlite_database_url: str) -> dict[str, str]:
    """A job of forty users that has ended; gives the environment in which it is job 1."""
    database = Database(sqlite_database_url)
    assert submit(database, of_users(fill_crowd(database, 40)), chunk_size=7) == 1
    work(database)
    database.close()
    others = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return others | {
        "TRAINING_RESET_DATABASE_URL": sqlite_database_url,
        "TRAINING_RESET_ACTOR": "root",
        "TERM": "xterm-256color",
        "COLUMNS": "120",
    }


def test_a_bar_is_drawn_at_a_terminal(ended_job: dict[str, str]) -> None:
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", watch_at_a_terminal(ended_job))
    assert "job 1 succeeded" in drawn
    assert "━" in drawn
    assert "40/40 users" in drawn
    assert '{"id": 1, "kind": "training", "state": "succeeded"' in drawn


def test_nothing_is_drawn_where_no_color_is_set(ended_job: dict[str, str]) -> None:
    shown = watch_at_a_terminal(ended_job | {"NO_COLOR": "1"})
    assert shown.startswith("job 1 succeeded: 40 of 40 users")
    assert "\x1b" not in shown


def test_nothing_is_drawn_where_the_data_goes_elsewhere(ended_job: dict[str, str]) -> None:
    screen, terminal = pty.openpty()
    watching = subprocess.run(
        [PROGRAM, "--json", "job", "watch", "1"], env=ended_job, stdout=subprocess.PIPE, stderr=terminal, check=False
    )
    os.close(terminal)
    assert watching.returncode == 0
    assert "\x1b" not in read_all(screen)
    assert watching.stdout.startswith(b'{"id": 1, "kind": "training", "state": "succeeded"')


def watch_at_a_terminal(environment: dict[str, str]) -> str:
    screen, terminal = pty.openpty()
    watching = subprocess.run(
        [PROGRAM, "--json", "job", "watch", "1"], env=environment, stdout=terminal, stderr=terminal, check=False
    )
    os.close(terminal)
    assert watching.returncode == 0
    return read_all(screen)


def test_without_a_terminal_progress_is_told_in_plain_lines(ended_job: dict[str, str]) -> None:
    watching = subprocess.run(
        [PROGRAM, "job", "watch", "1"], env=ended_job, capture_output=True, text=True, check=False
    )
    assert watching.returncode == 0
    assert watching.stderr.startswith("job 1 succeeded: 40 of 40 users")
    assert "\x1b" not in watching.stdout + watching.stderr


def read_all(screen: int) -> str:
    parts = []
    try:
        while part := os.read(screen, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(screen)
    return b"".join(parts).decode()
