"""Words of a command that say too little or are out of range, and jobs that stand in the way. Nothing is written."""

import pytest

from tests.acceptance.program import Program

REQUEST = ("submit", "training", "--all-content", "--all-users")
SUBMIT = (*REQUEST, "--reason", "a test", "--yes")
PREVIEW = ("preview", "training", "--all-content", "--all-users")


def test_a_missing_reason_is_a_usage_error(on_sqlite: Program) -> None:
    on_sqlite.refuses(*REQUEST, "--yes", code=2, says=("--reason",))


def test_a_blank_reason_is_refused(on_sqlite: Program) -> None:
    on_sqlite.refuses(*REQUEST, "--reason", " \t", "--yes", code=3, says=("--reason", "blank"))


def test_without_a_terminal_a_submit_needs_yes(on_sqlite: Program) -> None:
    on_sqlite.refuses(*REQUEST, "--reason", "a test", code=2, says=("--yes",))


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--chunk-size", "0", 3),
        ("--chunk-size", "abc", 2),
        ("--max-rate", "0", 3),
        ("--max-rate", "nan", 3),
        ("--max-rate", "1e-300", 3),
        ("--not-before", "2030-01-01T10:00", 2),
        ("--idempotency-key", " ", 3),
    ],
)
def test_how_a_job_runs_has_its_range(on_sqlite: Program, option: str, value: str, code: int) -> None:
    on_sqlite.refuses(*SUBMIT, option, value, code=code, says=(option, value))


@pytest.mark.parametrize(
    ("window", "says"),
    [("22-05", "'22'"), ("someday 22:00-05:00", "'someday 22:00-05:00'"), ("22:00-05:00 Mars", "'Mars'")],
)
def test_a_window_is_a_time_of_day_with_days_and_a_zone(on_sqlite: Program, window: str, says: str) -> None:
    for command in (SUBMIT, PREVIEW):
        on_sqlite.refuses(*command, "--window", window, code=2, says=("--window", says))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("2026-02-30", "exams"), 2, "'2026-02-30' are no days"),
        (("2027-01-05..2026-12-20", "exams"), 2, "give 2026-12-20..2027-01-05"),
        (("2026-12-20",), 2, "REASON"),
        (("2026-12-20", " "), 3, "the reason is blank"),
        (("2026-12-20", "exams", "--timezone", "Mars"), 2, "'Mars' is no time zone"),
        (("2026-12-20", "exams", "--location", "77"), 3, "77"),
    ],
)
def test_a_blackout_has_days_a_reason_a_zone_and_a_location(
    on_sqlite: Program, words: tuple[str, ...], code: int, says: str
) -> None:
    on_sqlite.refuses("blackout", "add", *words, code=code, says=(says,))


@pytest.mark.parametrize(
    ("cutoff", "code"),
    [
        ("2026-02-30", 2),
        ("2026-01-01T10:00", 2),
        ("5y", 2),
        ("9999999d", 3),
    ],
)
def test_a_cut_off_is_a_date_or_a_time_with_its_zone_or_an_age(on_sqlite: Program, cutoff: str, code: int) -> None:
    on_sqlite.refuses(*PREVIEW, "--completed-before", cutoff, code=code, says=(cutoff.removesuffix("d"),))


def test_an_age_of_a_thousand_digits_is_refused(on_sqlite: Program) -> None:
    on_sqlite.refuses("preview", "204", "--all", "--all-users", "--idle-since", f"{'9' * 5000}d", code=2, says=("age",))


def test_a_word_that_is_no_text_is_refused(on_sqlite: Program) -> None:
    on_sqlite.refuses(*SUBMIT, "--idempotency-key", "\udcff", code=2, says=("UTF-8",))


@pytest.mark.parametrize("command", [("submit",), ("submit", "training", "--everything")], ids=" ".join)
def test_a_command_that_does_not_exist_says_where_help_is(on_sqlite: Program, command: tuple[str, ...]) -> None:
    on_sqlite.refuses(*command, code=2, says=(command[-1], "--help"))


def test_a_setting_out_of_range_is_named_with_its_value(on_sqlite: Program) -> None:
    on_sqlite.refuses(*SUBMIT, window="many", code=3, says=("TRAINING_RESET_WINDOW", "many"))
    on_sqlite.refuses(*SUBMIT, timezone="Mars", code=3, says=("TRAINING_RESET_TIMEZONE", "'Mars' is no time zone"))


def test_an_unknown_job_is_refused_by_every_command_that_follows_one(on_sqlite: Program) -> None:
    on_sqlite.refuses("job", "status", "7", code=3, says=("7",))
    on_sqlite.refuses("job", "watch", "7", code=3, says=("7",))
    on_sqlite.refuses("job", "report", "7", code=3, says=("7",))


def test_a_job_of_another_location_does_not_exist_for_an_administrator(on_sqlite: Program) -> None:
    job = on_sqlite.submit("training", "--all-content", "--all-users", "--location", "2")["id"]
    hidden = on_sqlite.refuses("job", "status", f"{job}", actor="admin.alpha", code=3, says=(f"{job}",))
    absent = on_sqlite.refuses("job", "status", "999", actor="admin.alpha", code=3, says=("999",))
    assert hidden.err.replace(f"{job}", "999") == absent.err
    assert on_sqlite.run("job", "status", f"{job}", actor="admin.beta").code == 0


def test_the_same_words_under_one_key_give_the_first_job_and_others_a_conflict(program: Program) -> None:
    key = ("--idempotency-key", "january")
    first = program.submit("training", "--all-content", "--user", "11,12", *key)
    contents = program.contents()
    again = program.submit("training", "--all-content", "--user", "12", "--user", "11", *key)
    assert again["id"] == first["id"]
    assert program.contents() == contents
    words = ("submit", "training", "--all-content", "--user", "11", "--reason", "a test", "--yes")
    program.refuses(*words, *key, code=5, says=("january", f"job {first['id']}"))


def test_records_are_not_replaced_under_an_unfinished_job(on_sqlite: Program, record_files: object) -> None:
    job = on_sqlite.submit("training", "--all-content", "--all-users")["id"]
    on_sqlite.refuses("records", "import", f"{record_files}", "--replace", code=5, says=(f"{job}",))


def test_records_are_not_imported_over_others_without_being_asked(on_sqlite: Program, record_files: object) -> None:
    on_sqlite.refuses("records", "import", f"{record_files}", code=5, says=("replace",))
