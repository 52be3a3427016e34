"""Exporting records: canonical files, written whole or not at all, that give back the same rows."""

import gzip
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from jobs.database import Database
from jobs.errors import Conflict, InputRefused
from jobs.records import tables
from jobs.records.exporter import export_records
from jobs.records.generate import generate_records
from jobs.records.importer import import_records
from tests.contract.test_records_sample import SAMPLE, SAMPLE_COUNTS, write_sample

ROOT = Path(__file__).parents[2]

EXPORT_WITH_SMALL_FILES_ONLY = """
import resource, signal, sys
from pathlib import Path
from jobs.database import Database
from jobs.errors import InputRefused
from jobs.records.exporter import export_records
database = Database(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if sys.argv[3] == "killed" else signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    export_records(database, Path(sys.argv[2]))
except InputRefused as error:
    print(error)
"""

KEY_COLUMNS = {table.name: len(table.primary_key.columns) for table in tables.RECORD_FORMAT}


def read(directory: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in directory.iterdir()}


def sorted_by_key(table: str, content: str) -> str:
    """Sort the lines of a file without quoted newlines; every table's key is its first columns."""
    header, *lines = content.splitlines()
    lines.sort(key=lambda line: [int(part) for part in line.split(",")[: KEY_COLUMNS[table]]])
    return "\n".join([header, *lines, ""])


def test_canonical_files_come_back_byte_for_byte(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "in"))
    assert export_records(database, tmp_path / "out") == SAMPLE_COUNTS
    assert read(tmp_path / "out") == {f"{table}.csv": content for table, content in SAMPLE.items()}


def test_other_spellings_come_out_canonically_and_in_order_of_keys(database: Database, tmp_path: Path) -> None:
    scattered = (
        "passed,score,finished_at,started_at,chapter_id,user_id,id\r\n"
        ",,,2026-01-06T09:00:00+01:00,10,6,8\r\n"
        'true,6.25e1,2026-01-05T09:00Z,2026-01-05T08:40:00.000Z,10,5,"7"\r\n'
        "false,40.0,2026-01-05T03:30:00-05:00,2026-01-05T08:00:00Z,10,5,03\r\n"
    )
    import_records(database, write_sample(tmp_path / "in", attempts=scattered))
    export_records(database, tmp_path / "out")
    assert (tmp_path / "out" / "attempts.csv").read_text() == SAMPLE["attempts"]


def test_generated_records_come_back_the_same(database: Database, tmp_path: Path) -> None:
    """Real ones do so in tests/acceptance/test_real_records.py."""
    source = tmp_path / "generated"
    generate_records(database, users=2000)
    export_records(database, source, compress=True)
    counts = import_records(database, source, replace=True)
    assert export_records(database, tmp_path / "out") == counts
    for table, count in counts.items():
        content = gzip.decompress((source / f"{table}.csv.gz").read_bytes()).decode()
        exported = (tmp_path / "out" / f"{table}.csv").read_bytes().decode()
        assert exported == sorted_by_key(table, content)
        assert exported.count("\n") == count + 1


def test_compressed_files_hold_the_same_and_are_equal_each_time(database: Database, tmp_path: Path) -> None:
    import_records(database, write_sample(tmp_path / "in"))
    export_records(database, tmp_path / "one", compress=True)
    export_records(database, tmp_path / "two", compress=True)
    for table, content in SAMPLE.items():
        packed = (tmp_path / "one" / f"{table}.csv.gz").read_bytes()
        assert gzip.decompress(packed).decode() == content
        assert packed[4:8] == bytes(4)  # the time in a gzip header
        assert packed == (tmp_path / "two" / f"{table}.csv.gz").read_bytes()


def test_an_empty_database_gives_files_with_headers_only(database: Database, tmp_path: Path) -> None:
    assert set(export_records(database, tmp_path / "out").values()) == {0}
    headers = {f"{table}.csv": content.partition("\n")[0] + "\n" for table, content in SAMPLE.items()}
    assert read(tmp_path / "out") == headers


def test_an_empty_directory_is_used_and_another_one_refused(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export_records(database, out)
    with pytest.raises(InputRefused, match="is not empty; give an empty or a new one"):
        export_records(database, out)


@pytest.mark.parametrize("name", ["file", "nowhere/out"])
def test_a_place_that_cannot_be_written_is_refused(database: Database, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputRefused, match="cannot be written"):
        export_records(database, tmp_path / name)


def break_a_name(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(tables.locations).values(id=1, name=""))


def break_a_time(database: Database) -> None:
    wrong = "not a time" if database.dialect == "sqlite" else "infinity"
    with database.write() as connection:
        connection.execute(text(f"UPDATE attempts SET started_at = '{wrong}' WHERE id = 7"))  # noqa: S608 - of two lines above


@pytest.mark.parametrize("damage", [break_a_name, break_a_time])
def test_a_value_without_a_place_in_the_format_leaves_no_files(
    database: Database, tmp_path: Path, damage: Callable[[Database], None]
) -> None:
    if damage is break_a_time:
        import_records(database, write_sample(tmp_path / "in"))
    damage(database)
    with pytest.raises(Conflict, match="has no place in a record file; run 'training-reset records verify'"):
        export_records(database, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_file_has_its_name_before_all_are_written(database: Database, tmp_path: Path) -> None:
    """The last table fails; the directory was there before and stays, empty."""
    import_records(database, write_sample(tmp_path / "in"))
    break_a_time(database)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(Conflict):
        export_records(database, out)
    assert list(out.iterdir()) == []


def export_until_a_file_is_too_large(url: str, out: Path, *, ending: str) -> subprocess.CompletedProcess[str]:
    """Export in a process that the kernel stops when a file passes 100,000 bytes: by a signal or an error."""
    database = Database(url)
    generate_records(database, users=3000)
    database.close()
    command = [sys.executable, "-c", EXPORT_WITH_SMALL_FILES_ONLY, url, str(out), ending]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)


def test_a_killed_export_leaves_no_file_that_looks_whole(database_url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = export_until_a_file_is_too_large(database_url, out, ending="killed")
    assert ended.returncode == -signal.SIGXFSZ
    assert {path.suffix for path in out.iterdir()} == {".unfinished"}


def test_an_export_that_finds_no_room_is_refused_and_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = export_until_a_file_is_too_large(database_url, out, ending="refused")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "cannot be written (File too large); give another one" in ended.stdout
    assert not out.exists()
