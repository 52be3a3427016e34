"""The documentation says what the program does: its commands run, its tables are the code's."""

import base64
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import SecretStr

from cli import main_group  # noqa: TID251 - the tree of commands is what the documentation is held against
from commands.schedule import NamedGroup
from jobs.settings import Settings
from tests.documentation import ROOT, STATES, states, undocumented_settings
from tests.receivers import SECRET, Receiver
from worker.webhook import post_result

PROGRAM = Path(sys.executable).with_name("training-reset")


def commands(group: click.Group, *path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group) and not isinstance(command, NamedGroup):  # its commands are words of submit
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name))


def test_every_command_stands_in_the_reference() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text()
    named = set(re.findall(r"`([a-z -]+?)(?: [A-Z\[…(|\\-].*?)?`", reference))
    aliases = {f"{group} {number}" for group in ("preview", "submit") for number in ("203", "204")}
    assert {command for command in commands(main_group) if command not in named} - aliases == set()


def test_the_states_of_a_job_are_documented_as_they_are() -> None:
    assert STATES.read_text() == states(), "run 'make docs'"


def test_every_setting_is_documented_with_its_default() -> None:
    assert undocumented_settings() == []


def test_the_receiver_s_code_takes_what_is_posted_and_nothing_else() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "results.md").read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - as a receiver would
    read_result = names["read_result"]
    settings, body = Settings(result_secret=SecretStr(SECRET)), b'{"id": 1}'
    with Receiver().serving() as receiver:
        for moment in (datetime.now(UTC), datetime.now(UTC) - timedelta(minutes=6)):
            post_result(settings, receiver.url(), "msg_1", moment, body)
    post, old = receiver.posts
    assert read_result(SECRET, post.headers, post.body) == {"id": 1}
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    for secret, headers, posted in (
        (other, post.headers, body),
        (SECRET, post.headers, body + b" "),
        (SECRET, post.headers | {"webhook-id": "msg_2"}, body),
        (SECRET, old.headers, body),
    ):
        with pytest.raises(ValueError, match=r"not signed|too long ago"):
            read_result(secret, headers, posted)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "TRAINING_RESET_HOME": str(tmp_path / "home"),
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
    }


def test_the_commands_of_the_readme_work_as_they_stand_there(tmp_path: Path, environment: dict[str, str]) -> None:
    text = (ROOT / "README.md").read_text().partition("## Use it")[2].partition("In production")[0]
    blocks = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    up = lines.index(["training-reset", "up"])
    assert len(lines) > up + 5
    for line in lines[:up]:
        run(line, environment, tmp_path)
    with subprocess.Popen(lines[up], env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            await_worker(environment)
            for line in lines[up + 1 :]:
                if line[0] == "export":
                    environment |= dict([line[1].split("=", 1)])
                else:
                    run([*line, *(["--yes"] if line[1] == "submit" else [])], environment, tmp_path)
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
    report = (tmp_path / "report.csv").read_text().splitlines()
    assert report[0].startswith("user_id,login,outcome")
    assert len(report) > 1


def run(line: list[str], environment: dict[str, str], directory: Path) -> None:
    done = subprocess.run(line, env=environment, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{shlex.join(line)}: {done.stderr}"


def await_worker(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run([PROGRAM, "doctor"], env=environment, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, "no worker came up"
