"""Answers at the prompt of a submit, and readers of the output who have had enough."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.acceptance.program import PROGRAM, Program
from tests.installation import eventually

SUBMIT = ("--json", "submit", "training", "--all-content", "--all-users", "--reason", "a test")
PROMPT = re.compile(r"users\? \[y/N\]: ")
CTRL_C, CTRL_D = "\x03", "\x04"

# Takes the terminal on its standard input for its own, as a shell gives it, so that Ctrl-C reaches it.
AT_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A terminal at which the program asks; its data goes elsewhere."""

    def __init__(self, program: Program) -> None:
        self._screen, keyboard = pty.openpty()
        self._shown = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, PROGRAM, *SUBMIT],
            env=program.environment(broker_url="redis+socket:///nowhere"),
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=keyboard,
        )
        os.close(keyboard)

    def prompts(self, times: int) -> str:
        """Wait until it has asked so many times in all and waits for the answer; give what it has shown."""
        deadline = time.monotonic() + 30
        while len(PROMPT.findall(self._shown)) < times:
            assert self._read(deadline), self._shown
        # Python overlooks a Ctrl-C that falls between its question and its waiting for the answer.
        eventually(lambda: psutil.Process(self._process.pid).status() == psutil.STATUS_SLEEPING)
        return self._shown

    def answer(self, keys: str) -> None:
        """Type something."""
        os.write(self._screen, keys.encode())

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; give the code, what was shown and the data."""
        deadline = time.monotonic() + 30
        while self._read(deadline):
            pass
        data = self._process.communicate(timeout=30)[0].decode()
        return self._process.returncode, self._shown, data

    def close(self) -> None:
        """Leave nothing behind."""
        self._process.kill()
        self._process.communicate()
        os.close(self._screen)

    def _read(self, deadline: float) -> bool:
        """Read what is shown next; False at the end."""
        ready, _, _ = select.select([self._screen], [], [], max(0, deadline - time.monotonic()))
        assert ready, self._shown
        try:
            text = os.read(self._screen, 4096).decode()
        except OSError:  # Linux says so that nobody holds the other end any more
            return False
        self._shown += text.replace("\r\n", "\n")
        return bool(text)


@contextmanager
def asked(program: Program) -> Iterator[Terminal]:
    """Submit at a terminal, up to the question."""
    terminal = Terminal(program)
    try:
        assert "Alpha" in terminal.prompts(1)
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        (CTRL_C, 130, "interrupted"),
        (CTRL_D, 130, "interrupted"),
        ("n\n", 3, "nothing was submitted"),
    ],
    ids=["Ctrl-C", "Ctrl-D", "n"],
)
def test_whatever_is_not_yes_submits_nothing(on_sqlite: Program, keys: str, code: int, said: str) -> None:
    contents = on_sqlite.contents()
    with asked(on_sqlite) as terminal:
        terminal.answer(keys)
        ended, shown, data = terminal.end()
    assert (ended, data) == (code, "")
    assert said in shown
    assert "Traceback" not in shown
    assert on_sqlite.contents() == contents


def test_yes_submits_what_was_shown(on_sqlite: Program) -> None:
    with asked(on_sqlite) as terminal:
        terminal.answer("y\n")
        code, _, data = terminal.end()
    assert code == 0
    assert json.loads(data)["users"]["total"] == 4


def test_users_who_changed_between_the_preview_and_the_answer_are_asked_about_again(program: Program) -> None:
    with asked(program) as terminal:
        program.change("UPDATE users SET location_id = 2 WHERE login = 'bob'")
        contents = program.contents()
        terminal.answer("y\n")
        shown = terminal.prompts(2)
        assert program.contents() == contents
        terminal.answer("y\n")
        code, _, data = terminal.end()
    first, second = re.findall(r"records of (\d+) users", shown)
    assert (first, second, code) == ("4", "3", 0)
    assert json.loads(data)["users"]["total"] == 3


@pytest.mark.parametrize(
    "command",
    [
        ("job", "report", "1"),
        ("--json", "job", "list"),
        ("records", "export", "exported"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_reader_who_left_before_the_first_line_is_no_error(on_sqlite: Program, command: tuple[str, ...]) -> None:
    on_sqlite.submit("training", "--all-content", "--all-users")
    assert read(on_sqlite, command, lines=0) == (0, [], "")


def test_a_reader_who_has_enough_after_one_line_is_no_error(on_sqlite: Program) -> None:
    on_sqlite.change(
        "INSERT INTO users (id, login, name, location_id, access) WITH RECURSIVE n(i) AS"
        " (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " SELECT i, 'l' || i, 'Learner', 1, 'learner' FROM n"
    )
    on_sqlite.submit("training", "--all-content", "--all-users")
    header = "user_id,login,outcome,attempts_erased,chapters_reset,courses_reset,error\n"
    assert read(on_sqlite, ("job", "report", "1", "--format", "csv"), lines=1) == (0, [header], "")
    code, lines, err = read(on_sqlite, ("--json", "user", "list"), lines=1)
    assert (code, json.loads(lines[0])["login"], err) == (0, "root", "")


def test_a_standard_output_that_is_closed_from_the_start_is_no_error(on_sqlite: Program) -> None:
    result = on_sqlite.run("job", "list", before=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (result.code, result.out, result.err) == (0, "", "")


def read(program: Program, command: tuple[str, ...], *, lines: int) -> tuple[int, list[str], str]:
    """Run a command, read so many lines, close its output; give its code, the lines and what it said on stderr."""
    with subprocess.Popen(
        [PROGRAM, *command],
        cwd=program.home,
        env=program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = [process.stdout.readline() for _ in range(lines)]
        process.stdout.close()
        said = process.stderr.read()
        return process.wait(60), found, said
