"""The program as somebody at a shell has it, on a small learning system of which everything is known.

Two locations: Alpha (1) with the super user `root`, the administrator `admin.alpha` and the learners `ada`
and `bob`; Beta (2) with the administrator `admin.beta` and the learner `cleo`. The content role 5 holds course 31
and is ada's; the content role 6 holds nothing and is nobody's.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

PROGRAM = Path(sys.executable).with_name("training-reset")
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""What goes before a command so that file permissions hold for it, even if these tests run as root."""

RECORDS = {
    "locations": "id,name\n1,Alpha\n2,Beta\n",
    "users": (
        "id,login,name,location_id,access\n"
        "1,root,Root,1,super_user\n2,admin.alpha,Al,1,admin\n3,admin.beta,Be,2,admin\n"
        "11,ada,Ada,1,learner\n12,bob,Bob,1,learner\n21,cleo,Cleo,2,learner\n"
    ),
    "content_roles": "id,name\n5,Staff\n6,Nothing\n",
    "user_content_roles": "user_id,content_role_id\n11,5\n",
    "categories": "id,name\n7,Safety\n8,Void\n",
    "courses": "id,category_id,name\n31,7,Fire\n",
    "chapters": "id,name\n101,Exits\n102,Alarms\n",
    "course_chapters": "course_id,chapter_id,position\n31,101,1\n31,102,2\n",
    "content_role_courses": "content_role_id,course_id\n5,31\n",
    "content_role_chapters": "content_role_id,chapter_id\n",
    "chapter_progress": (
        "user_id,chapter_id,status,position_seconds,started_at,completed_at,last_activity_at\n"
        "11,101,completed,0,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,2025-01-02T00:00:00Z\n"
        "12,102,in_progress,60,2025-01-01T00:00:00Z,,2025-01-02T00:00:00Z\n"
        "21,101,completed,0,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,2025-01-02T00:00:00Z\n"
    ),
    "course_progress": (
        "user_id,course_id,status,started_at,completed_at,last_activity_at\n"
        "11,31,completed,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,2025-01-02T00:00:00Z\n"
    ),
    "attempts": (
        "id,user_id,chapter_id,started_at,finished_at,score,passed\n"
        "1,11,101,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,0.9,true\n"
    ),
}


@dataclass(frozen=True)
class Result:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The error that a command with `--json` printed, and nothing beside it."""
        assert self.err.count("\n") == 1, self.err
        error: dict[str, Any] = json.loads(self.err)["error"]
        return error


@dataclass(frozen=True)
class Program:
    """The program with a data directory and a database of its own."""

    home: Path
    database_url: str | None = None

    def run(
        self,
        *arguments: str,
        actor: str = "root",
        stdin: bytes = b"",
        before: tuple[str, ...] = (),
        seconds: float = 60,
        **settings: str,
    ) -> Result:
        """Run a command to its end.

        Args:
            arguments: those of the program.
            actor: the login of who acts.
            stdin: what it reads there.
            before: the words of a command that runs this one.
            seconds: how long it may take.
            settings: more settings, by their names in lower case.

        """
        result = subprocess.run(
            [*before, PROGRAM, *arguments],
            env=self.environment(actor, **settings),
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return Result(result.returncode, result.stdout.decode(), result.stderr.decode())

    def refuses(self, *arguments: str, code: int, says: tuple[str, ...], **how: Any) -> Result:  # noqa: ANN401 - as `run`
        """Make sure that a command ends with `code`, one line that says what and what to do, and nothing written."""
        contents = self.contents()
        result = self.run(*arguments, **how)
        assert_one_error(result, code, says)
        assert self.contents() == contents
        return result

    def submit(self, *arguments: str) -> Any:  # noqa: ANN401 - parsed JSON
        """Submit a job that nobody runs and give its status."""
        words = ("--json", "submit", *arguments, "--reason", "a test", "--yes")
        result = self.run(*words, broker_url="redis+socket:///nowhere")
        assert result.code == 0, result
        return json.loads(result.out)

    def environment(self, actor: str = "root", **settings: str) -> dict[str, str]:
        """Give the environment of a command."""
        given = {"home": f"{self.home}", "actor": actor} | settings
        if self.database_url is not None:
            given = {"database_url": self.database_url} | given
        return os.environ | {f"TRAINING_RESET_{name.upper()}": value for name, value in given.items()}

    def contents(self) -> list[str]:
        """Give everything that the database holds."""
        if self.database_url is not None and self.database_url.startswith("postgresql"):
            return _postgres_contents(self.database_url)
        with self.open_file() as connection:
            lines = list(connection.iterdump())
        connection.close()
        return lines

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database behind the program's back."""
        if self.database_url is not None and self.database_url.startswith("postgresql"):
            with psycopg.connect(self.database_url) as server:
                return server.execute(query.encode()).fetchall()
        with closing(self.open_file()) as connection:
            return connection.execute(query).fetchall()

    def open_file(self) -> sqlite3.Connection:
        """Open the database that lies in the data directory."""
        return sqlite3.connect(self.home / "training-reset.sqlite3")

    def change(self, statement: str) -> None:
        """Change the database behind the program's back."""
        if self.database_url is not None and self.database_url.startswith("postgresql"):
            with psycopg.connect(self.database_url, autocommit=True) as server:
                server.execute(statement.encode())
            return
        with self.open_file() as connection:
            connection.execute(statement)
        connection.close()


def assert_one_error(result: Result, code: int, says: tuple[str, ...]) -> None:
    """Make sure that a command said in one line, or as JSON, what is wrong and what to do, and printed no data."""
    assert result.code == code, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    message = result.error["message"] if result.err.startswith("{") else result.err.removeprefix("error: ")
    assert message != result.err
    what, semicolon, mend = message.partition("; ")
    assert semicolon, what
    assert mend.strip()
    for words in says:
        assert words in message


def write_records(directory: Path) -> Path:
    """Write the record files of the small learning system."""
    directory.mkdir()
    for table, text in RECORDS.items():
        (directory / f"{table}.csv").write_text(text)
    return directory


def _postgres_contents(url: str) -> list[str]:
    with psycopg.connect(url) as server:
        names = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        rows = sql.SQL("SELECT t::text FROM {} t ORDER BY 1")
        return [f"{name}: {row[0]}" for (name,) in names for row in server.execute(rows.format(sql.Identifier(name)))]
