"""The commands of docs/maintenance.md work as they stand there, on generated records."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main_group  # noqa: TID251 - the commands run in this process, which takes a fraction of the time
from tests.documentation import ROOT


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with generated records, where root acts."""
    shutil.copy(sqlite_template, tmp_path / "training-reset.sqlite3")
    monkeypatch.setenv("TRAINING_RESET_HOME", f"{tmp_path}")
    monkeypatch.setenv("TRAINING_RESET_ACTOR", "root")
    monkeypatch.setenv("TRAINING_RESET_BROKER_URL", "redis+socket:///nowhere")
    assert run(["training-reset", "records", "generate", "--users", "300"]).exit_code == 0
    assert run(["training-reset", "location", "use", "4"]).exit_code == 0
    return tmp_path


def run(line: list[str]) -> Result:
    return CliRunner().invoke(main_group, line[1:], prog_name=line[0])


@pytest.mark.usefixtures("home")
def test_the_commands_of_the_page_about_maintenance_work_as_they_stand_there() -> None:
    text = (ROOT / "docs" / "maintenance.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) > 12
    shown = {}
    for line in lines:
        done = run(line)
        wanted = 6 if line[1] == "doctor" else 0  # no worker runs here
        assert done.exit_code == wanted, f"{shlex.join(line)}: {done.output}"
        shown[" ".join(line[1:])] = done.stdout
    assert "of whom" in next(iter(shown.values()))
    assert shown["schedule due recertify --within 365d --format csv"].startswith(
        "user_id,login,course_id,completed_at,due_at\n"
    )
    assert "ok    schedules" in shown["doctor"]
    left = run(["training-reset", "schedule", "list"]).stdout.splitlines()
    assert [line.split()[0] for line in left] == ["name", "clean", "recertify"]
