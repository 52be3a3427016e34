"""Names that mean nothing or nothing here: content, users, locations, actors. Each is refused, and nothing written."""

import pytest

from tests.acceptance.program import Program

SUBMIT = ("submit", "training", "--reason", "a test", "--yes")
EVERYBODY = (*SUBMIT, "--all-users")
EVERYTHING = (*SUBMIT, "--all-content")
BEYOND_64_BITS = "9223372036854775808"
VERY_LONG = "9" * 5000


def test_unknown_content_of_every_kind_is_listed(program: Program) -> None:
    chosen = ("--chapter", "101,900,901", "--course", "902,31", "--category", "903,904", "--content-role", "905,5")
    said = ("900, 901", "902", "903, 904", "905")
    error = program.refuses("--json", *EVERYBODY, *chosen, code=3, says=said).error
    assert error["code"] == "input_refused"
    assert error["unknown"] == {
        "chapters": [900, 901],
        "courses": [902],
        "categories": [903, 904],
        "content_roles": [905],
    }


def test_unknown_users_are_all_listed_however_they_were_named(program: Program) -> None:
    named = ("--user", "11,900", "--user", "nobody,ada", "--exclude-user", "12")
    refused = program.refuses("--json", *EVERYTHING, *named, code=3, says=("900, nobody",))
    assert refused.error["unknown_users"] == ["900", "nobody"]


def test_unknown_users_to_leave_out_are_all_listed(on_sqlite: Program) -> None:
    on_sqlite.refuses(*EVERYTHING, "--all-users", "--exclude-user", "900,nobody", code=3, says=("900, nobody",))


def test_an_id_of_another_kind_is_refused_saying_what_it_is(on_sqlite: Program) -> None:
    chosen = ("--chapter", "31", "--course", "101", "--category", "5", "--content-role", "7")
    said = ("31 is a course", "101 is a chapter", "5 is a content role", "7 is a category")
    on_sqlite.refuses(*EVERYBODY, *chosen, code=3, says=said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--chapter", "abc,101,-1"), ("--chapter", "'abc', '-1'")),
        (("--chapter", VERY_LONG), ("--chapter", "5,000 characters")),
        (("--all-content", "--location", "1,2"), ("--location", "'1,2'")),
    ],
)
def test_a_word_that_is_no_id_is_named(on_sqlite: Program, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused = on_sqlite.refuses(*EVERYBODY, *options, code=2, says=words)
    assert len(refused.err) < 400


@pytest.mark.parametrize(
    "options",
    [("--all-users", "--chapter", BEYOND_64_BITS), ("--all-content", "--user", BEYOND_64_BITS)],
    ids=["chapter", "user"],
)
def test_an_id_beyond_64_bits_is_unknown(program: Program, options: tuple[str, ...]) -> None:
    program.refuses(*SUBMIT, *options, code=3, says=(BEYOND_64_BITS,))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((*EVERYBODY, "--chapter", "0"), "id 0"),
        ((*EVERYTHING, "--user", "0,-5"), "0, -5"),
        ((*EVERYTHING, "--user", VERY_LONG), "5,000 characters"),
        ((*EVERYTHING, "--all-users", "--location", BEYOND_64_BITS), BEYOND_64_BITS),
        (("location", "use", BEYOND_64_BITS), BEYOND_64_BITS),
        (("job", "status", BEYOND_64_BITS), BEYOND_64_BITS),
        (("records", "show", BEYOND_64_BITS), BEYOND_64_BITS),
    ],
    ids=lambda value: " ".join(value[-2:])[:40] if isinstance(value, tuple) else "",
)
def test_ids_that_nothing_can_have_are_unknown(on_sqlite: Program, command: tuple[str, ...], said: str) -> None:
    refused = on_sqlite.refuses(*command, code=3, says=(said,))
    assert len(refused.err) < 400


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("training", "--all-users"), 3, "no content"),
        (("training", "--all-content"), 3, "no users"),
        (("training", "--all-content", "--all-users", "--user", "11"), 3, "--all-users"),
        (("training", "--content-role", "6", "--all-users"), 3, "no chapter and no course"),
        (("training", "--all-content", "--user", "11", "--exclude-user", "ada"), 3, "no user at Alpha"),
        (("in-progress", "--all-users", "--id-type", "course"), 2, "--id-type"),
        (("in-progress", "--all-users", "--id", "31"), 2, "--id-type"),
    ],
)
def test_a_request_for_nothing_or_nobody_is_refused(
    on_sqlite: Program, words: tuple[str, ...], code: int, said: str
) -> None:
    on_sqlite.refuses("submit", *words, "--reason", "a test", "--yes", code=code, says=(said,))


def test_a_super_user_is_told_where_users_are_who_are_not_at_the_location(program: Program) -> None:
    named = ("--user", "11,cleo,3")
    refused = program.refuses("--json", *EVERYTHING, *named, code=3, says=("3 (Beta)", "cleo (Beta)"))
    assert refused.error["users_elsewhere"] == {"3": 2, "21": 2}


def test_an_administrator_hears_of_users_elsewhere_only_the_word_that_it_gave(program: Program) -> None:
    refused = program.refuses("--json", *EVERYTHING, "--user", "cleo", actor="admin.alpha", code=3, says=("cleo",))
    assert refused.error["unknown_users"] == ["cleo"]
    assert "21" not in refused.err


def test_wrong_users_and_wrong_content_are_named_at_once(program: Program) -> None:
    program.refuses("preview", "training", "--user", "29", "--course", "9999", code=3, says=("29", "9999"))


def test_an_administrator_is_not_told_whether_users_exist_elsewhere(program: Program) -> None:
    there = program.refuses(*EVERYTHING, "--user", "21", actor="admin.alpha", code=3, says=("21",))
    nowhere = program.refuses(*EVERYTHING, "--user", "29", actor="admin.alpha", code=3, says=("29",))
    assert there.err.replace("21", "29") == nowhere.err
    assert "Beta" not in there.err


def test_a_location_that_does_not_exist_is_refused(on_sqlite: Program) -> None:
    on_sqlite.refuses(*EVERYTHING, "--all-users", "--location", "9", code=3, says=("location", "9"))


@pytest.mark.parametrize("location", ["2", "9", "all"])
def test_an_administrator_is_not_permitted_another_location_whether_it_exists_or_not(
    on_sqlite: Program, location: str
) -> None:
    on_sqlite.refuses(
        *EVERYTHING, "--all-users", "--location", location, actor="admin.alpha", code=4, says=(location, "not yours")
    )


@pytest.mark.parametrize("command", [EVERYTHING, ("preview", "training", "--all-content")], ids=["submit", "preview"])
def test_a_learner_is_not_permitted_to_reset_others_nor_itself_but_by_me(
    on_sqlite: Program, command: tuple[str, ...]
) -> None:
    on_sqlite.refuses(*command, "--user", "ada", actor="ada", code=4, says=("ada", "me reset-in-progress"))


def test_somebody_must_act(on_sqlite: Program) -> None:
    on_sqlite.refuses(*EVERYTHING, "--all-users", actor="", code=3, says=("--as",))


def test_an_unknown_actor_is_named(on_sqlite: Program) -> None:
    on_sqlite.refuses("--as", "mallory", *EVERYTHING, "--all-users", code=3, says=("mallory",))
