"""Every way in which record files can be wrong is refused with its place, and nothing is imported."""

import gzip
from pathlib import Path

import pytest

from jobs.database import Database
from jobs.errors import RecordsRefused
from jobs.records.importer import import_records
from tests.contract.test_records_sample import SAMPLE, count_rows, write_sample

USERS = "id,login,name,location_id,access\n"
PROGRESS = "user_id,chapter_id,status,position_seconds,started_at,completed_at,last_activity_at\n"
ATTEMPTS = "id,user_id,chapter_id,started_at,finished_at,score,passed\n"


def refusal(database: Database, directory: Path) -> RecordsRefused:
    with pytest.raises(RecordsRefused) as caught:
        import_records(database, directory)
    assert set(count_rows(database).values()) == {0}
    assert "\n" not in caught.value.message
    return caught.value


def place(error: RecordsRefused) -> tuple[object, ...]:
    return tuple(error.data[name] for name in ("file", "line", "column", "value"))


@pytest.mark.parametrize(
    ("table", "text", "line", "column", "value"),
    [
        ("locations", "id,name\n1,North\n0,South\n", 3, "id", "0"),
        ("locations", "id,name\n1,North\n9223372036854775808,South\n", 3, "id", "9223372036854775808"),
        ("locations", "id,name\nx,North\n", 2, "id", "x"),
        ("locations", "id,name\n1,\n", 2, "name", ""),
        ("locations", "id,name\n1,a\0b\n", 2, "name", "a\0b"),
        ("users", USERS + "1,root,Root,1,boss\n", 2, "access", "boss"),
        ("users", USERS + '1,root,"two\nlines",1,admin\n2,x,X,one,learner\n', 4, "location_id", "one"),
        ("users", 'name,id,login,access,location_id\n"a\r\nb\n\nc",1,root,boss,1\n', 2, "access", "boss"),
        ("course_chapters", "course_id,chapter_id,position\n1,10,-1\n", 2, "position", "-1"),
        (
            "course_chapters",
            "course_id,chapter_id,position\n1,10,2147483648\n",
            2,
            "position",
            "2147483648",
        ),
        ("chapter_progress", PROGRESS + "5,10,done,0,,,\n", 2, "status", "done"),
        ("chapter_progress", PROGRESS + "5,10,completed,1.5,,,\n", 2, "position_seconds", "1.5"),
        (
            "chapter_progress",
            PROGRESS + "5,10,completed,1,2026-01-05T08:00:00,,\n",
            2,
            "started_at",
            "2026-01-05T08:00:00",
        ),
        ("attempts", ATTEMPTS + "1,5,10,2026-01-05T08:00:00Z,,nan,\n", 2, "score", "nan"),
        ("attempts", ATTEMPTS + "1,5,10,2026-01-05T08:00:00Z,,,yes\n", 2, "passed", "yes"),
        ("attempts", ATTEMPTS + "1,5,10,,,,\n", 2, "started_at", ""),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    database: Database, tmp_path: Path, table: str, text: str, line: int, column: str, value: str
) -> None:
    error = refusal(database, write_sample(tmp_path / "records", **{table: text}))
    assert place(error) == (f"{table}.csv", line, column, value)
    assert error.message.startswith(f"{table}.csv:{line}: column '{column}': value {value!r} ")
    assert "; " in error.message


@pytest.mark.parametrize(
    ("table", "row", "column", "target"),
    [
        ("users", "9,eve,Eve,99,learner", "location_id", "locations"),
        ("user_content_roles", "99,1", "user_id", "users"),
        ("user_content_roles", "1,99", "content_role_id", "content_roles"),
        ("courses", "9,99,Lost", "category_id", "categories"),
        ("course_chapters", "99,10,1", "course_id", "courses"),
        ("content_role_chapters", "1,99", "chapter_id", "chapters"),
        ("chapter_progress", "99,10,completed,0,,,", "user_id", "users"),
        ("course_progress", "6,99,completed,,,", "course_id", "courses"),
        ("attempts", "9,5,99,2026-01-05T08:00:00Z,,,", "chapter_id", "chapters"),
    ],
)
def test_a_reference_to_nothing_is_named_with_its_place(
    database: Database, tmp_path: Path, table: str, row: str, column: str, target: str
) -> None:
    before = SAMPLE[table]
    error = refusal(database, write_sample(tmp_path / "records", **{table: f"{before}{row}\n"}))
    assert place(error) == (f"{table}.csv", before.count("\n") + 1, column, "99")
    assert f"refers to no row of table {target}; " in error.message


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "lines"),
    [
        ("locations", "2,Again", "id", "2", (3, 4)),
        ("users", "5,eve,Eve,1,learner", "id", "5", (3, 6)),
        ("users", "9,ada,Eve,1,learner", "login", "ada", (3, 6)),
        ("user_content_roles", "5,1", "user_id,content_role_id", "5,1", (2, 4)),
        ("chapter_progress", "5,10,not_started,0,,,", "user_id,chapter_id", "5,10", (2, 4)),
        ("attempts", "7,6,11,2026-01-05T08:00:00Z,,,", "id", "7", (3, 5)),
    ],
)
def test_a_key_given_twice_is_named_with_both_lines(
    database: Database, tmp_path: Path, table: str, row: str, column: str, value: str, lines: tuple[int, int]
) -> None:
    error = refusal(database, write_sample(tmp_path / "records", **{table: f"{SAMPLE[table]}{row}\n"}))
    assert place(error) == (f"{table}.csv", lines[1], column, value)
    assert f"was given before, in line {lines[0]}; " in error.message


def test_a_key_given_twice_is_found_across_batches(database: Database, tmp_path: Path) -> None:
    rows = "".join(f"{number},Place {number}\n" for number in range(1, 25_001))
    text = f"id,name\n{rows}17,Again\n"
    error = refusal(database, write_sample(tmp_path / "records", locations=text))
    assert place(error) == ("locations.csv", 25_002, "id", "17")
    assert "in line 18; " in error.message


def test_a_row_too_large_for_the_database_is_named_with_its_line(postgres_database_url: str, tmp_path: Path) -> None:
    database = Database(postgres_database_url)
    login = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5_000))
    directory = write_sample(tmp_path / "records", users=f"{SAMPLE['users']}9,{login},Eve,1,learner\n")
    error = refusal(database, directory)
    assert place(error) == ("users.csv", 6, None, None)
    assert "the database refuses the row" in error.message
    database.close()


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("id,name,colour\n1,North,red\n", "colour", "is none of table locations; "),
        ("id\n1\n", "name", "is missing; "),
        ("id,id,name\n1,1,North\n", "id", "stands in the header twice; "),
        ("", None, "the header is missing; "),
        ("\nid,name\n", None, "the header is missing; "),
    ],
)
def test_a_wrong_header_is_named(
    database: Database, tmp_path: Path, text: str, column: str | None, problem: str
) -> None:
    error = refusal(database, write_sample(tmp_path / "records", locations=text))
    assert place(error) == ("locations.csv", 1, column, None)
    assert problem in error.message


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("id,name\n1,North\n2\n", 3, "the line has 1 field and the header 2; "),
        ("id,name\n1,North,red\n", 2, "the line has 3 fields and the header 2; "),
        ("id,name\n1,North\n\n2,South\n", 3, "the line is blank; "),
        ('id,name\n1,North\n2,"South\n3,East\n', 3, "the line is no CSV"),
        ('id,name\n1,"North" Pole\n', 2, "the line is no CSV"),
        (f"id,name\n1,{'x' * 200_000}\n", 2, "the line is no CSV"),
    ],
)
def test_a_line_of_the_wrong_shape_is_named(
    database: Database, tmp_path: Path, text: str, line: int, problem: str
) -> None:
    error = refusal(database, write_sample(tmp_path / "records", locations=text))
    assert place(error) == ("locations.csv", line, None, None)
    assert problem in error.message


def test_a_missing_file_is_named(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "attempts.csv").unlink()
    error = refusal(database, directory)
    assert place(error) == ("attempts.csv", None, None, None)
    assert error.message.startswith("attempts.csv: is missing")


def test_a_missing_directory_is_named(database: Database, tmp_path: Path) -> None:
    error = refusal(database, tmp_path / "nowhere")
    assert error.data["file"] == str(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["marks.csv", "marks.csv.gz", "Users.CSV"])
def test_a_csv_file_of_no_table_is_refused(database: Database, tmp_path: Path, name: str) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / name).write_text("id\n")
    assert place(refusal(database, directory)) == (name, None, None, None)


def test_a_table_with_two_files_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "users.csv.gz").write_bytes(gzip.compress(SAMPLE["users"].encode()))
    error = refusal(database, directory)
    assert place(error) == ("users.csv.gz", None, None, None)
    assert "stands beside users.csv; " in error.message


def test_a_directory_in_the_place_of_a_file_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "users.csv").unlink()
    (directory / "users.csv").mkdir()
    assert place(refusal(database, directory)) == ("users.csv", None, None, None)


def test_bytes_that_are_no_utf8_are_named_with_their_column(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "locations.csv").write_bytes(b"id,name\n1,North\n2,caf\xe9\n")
    assert place(refusal(database, directory)) == ("locations.csv", 3, "name", "caf\\udce9")


def test_a_header_that_is_no_utf8_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "locations.csv").write_bytes("id,name\n1,North\n".encode("utf-16"))
    assert refusal(database, directory).data["file"] == "locations.csv"


def test_a_cut_off_gzip_file_is_refused(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "locations.csv").unlink()
    packed = gzip.compress(b"id,name\n" + b"".join(b"%d,Place\n" % number for number in range(1, 5000)))
    (directory / "locations.csv.gz").write_bytes(packed[:-20])
    error = refusal(database, directory)
    assert error.data["file"] == "locations.csv.gz"
    assert isinstance(error.data["line"], int)
    assert "the gzip file is broken or cut off" in error.message


# The time in the header is fixed, for parallel test processes must find the same names.
@pytest.mark.parametrize(
    "content", [b"id,name\n1,North\n", gzip.compress(b"id,name\n1,N\n", mtime=0)[:12] + b"\xff" * 40]
)
def test_a_file_that_is_no_gzip_is_refused(database: Database, tmp_path: Path, content: bytes) -> None:
    directory = write_sample(tmp_path / "records")
    (directory / "locations.csv").unlink()
    (directory / "locations.csv.gz").write_bytes(content)
    error = refusal(database, directory)
    assert place(error) == ("locations.csv.gz", 1, None, None)
    assert "the gzip file is broken or cut off" in error.message


def test_a_very_long_value_is_shortened(database: Database, tmp_path: Path) -> None:
    directory = write_sample(tmp_path / "records", locations=f"id,name\n{'7' * 100_000},North\n")
    error = refusal(database, directory)
    assert error.data["value"] == "7" * 59 + "…"
    assert len(error.message) < 200
