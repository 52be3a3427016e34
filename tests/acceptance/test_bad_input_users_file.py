"""Files of users that are missing, broken, full of junk or very large. Each is refused, and nothing written."""

import json
import sys
from pathlib import Path

import pytest

from tests.acceptance.program import Program

SUBMIT = ("submit", "training", "--all-content", "--location", "all", "--reason", "a test", "--yes")
TWO_MILLION = 2_000_000
MEBIBYTE = 1024 * (1 if sys.platform != "darwin" else 1024)
"""One MiB in the unit of `ru_maxrss`."""

# Only the parent that waited for no other process knows the peak memory of one.
WITH_PEAK_MEMORY = (
    "import pathlib, resource, subprocess, sys; code = subprocess.call(sys.argv[2:]);"
    "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss;"
    "pathlib.Path(sys.argv[1]).write_text(str(peak)); sys.exit(code)"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "nobody", id="empty"),
        pytest.param(b"11\nj\xf6rg\n", "UTF-8", id="Latin-1"),
        pytest.param(b"11\n1\x002\n", "line 2", id="a NUL byte"),
        pytest.param(b"11\n;;;\n=1+1\nada\n<html>\n", ";;;, <html>, =1+1", id="junk lines"),
        pytest.param(b"name,email\nAda,a@example.org\n", "id or login", id="CSV without such a column"),
        pytest.param(b"name,id\nAda,11\nBob,\n", "'Bob,'", id="CSV with a gap"),
        pytest.param(b"id,name\n11,Ada\nbob,Bob\n", "'bob'", id="CSV with a word as id"),
        pytest.param(b'id,name\n11,"Ada\n12,Bob\n', "quotes", id="CSV with an open quote"),
        pytest.param(b"x" * 5_000_000, "line 1", id="one endless line"),
    ],
)
def test_a_file_that_names_no_users_is_refused(on_sqlite: Program, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "users.txt"
    file.write_bytes(content)
    refused = on_sqlite.refuses(*SUBMIT, "--users-file", f"{file}", code=3, says=(said,))
    assert len(refused.err) < 500


def test_a_file_that_is_missing_is_named(on_sqlite: Program, tmp_path: Path) -> None:
    file = tmp_path / "missing.txt"
    on_sqlite.refuses(*SUBMIT, "--users-file", f"{file}", code=3, says=(f"{file}",))


@pytest.mark.parametrize(("given", "said"), [(b"", "nobody"), (b"\xff", "UTF-8")], ids=["nothing", "no text"])
def test_standard_input_is_refused_like_a_file(on_sqlite: Program, given: bytes, said: str) -> None:
    on_sqlite.refuses(*SUBMIT, "--users-file", "-", stdin=given, code=3, says=(said,))


def test_two_million_lines_of_two_users_are_two_users(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text("11\nbob\n" * (TWO_MILLION // 2))
    words = ("preview", "training", "--all-content", "--users-file", f"{file}")
    result = program.run("--json", *words, before=measured(tmp_path), seconds=30)
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["users"]["total"] == 2
    assert peak_memory(tmp_path) < 200 * MEBIBYTE


def test_two_million_unknown_ids_are_refused_in_a_line_that_can_be_read(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text("".join(f"{1_000_000 + number}\n" for number in range(TWO_MILLION)))
    words = (*SUBMIT, "--users-file", f"{file}")
    said = ("1000000, 1000001", "1,999,000 more")
    refused = program.refuses(*words, before=measured(tmp_path), seconds=30, code=3, says=said)
    assert len(refused.err) < 20_000
    assert peak_memory(tmp_path) < 800 * MEBIBYTE


def measured(directory: Path) -> tuple[str, ...]:
    """Give what goes before a command so that `peak_memory` tells how much it took."""
    return (sys.executable, "-c", WITH_PEAK_MEMORY, f"{directory / 'peak'}")


def peak_memory(directory: Path) -> int:
    return int((directory / "peak").read_text())
