"""`--on-result` at the command line: what is refused at once, and what `job status` and `doctor` say of results."""

import json

import pytest

from tests.acceptance.program import Program
from tests.receivers import SECRET, Mailbox

SUBMIT = ("submit", "training", "--all-users", "--all-content", "--reason", "a test", "--yes", "--on-result")
NO_BROKER = "redis+socket:///nowhere"


@pytest.mark.parametrize(
    ("target", "settings", "says"),
    [
        ("https://u:S3CRET@example.org/", {}, ("TRAINING_RESET_RESULT_SECRET", "where workers run")),
        ("mailto:a@example.org", {"result_secret": SECRET}, ("TRAINING_RESET_SMTP_URL", "MAIL_FROM")),
        ("ftp://u:S3CRET@example.org/", {"result_secret": SECRET}, ("'ftp://example.org/'", "neither http")),
        ("mailto:a", {"result_secret": SECRET}, ("'mailto:a' is no mail address",)),
        ("", {}, ("neither http",)),
    ],
)
def test_what_could_not_be_sent_is_refused_and_nothing_is_recorded(
    on_sqlite: Program, target: str, settings: dict[str, str], says: tuple[str, ...]
) -> None:
    result = on_sqlite.refuses(*SUBMIT, target, code=3, says=says, broker_url=NO_BROKER, **settings)
    assert "S3CRET" not in result.err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"result_secret": "S3CRET"}, "TRAINING_RESET_RESULT_SECRET: a secret is whsec_"),
        ({"smtp_url": "smtp:/user:S3CRET@host"}, "TRAINING_RESET_SMTP_URL: give smtp://"),
        ({"smtp_url": "smtp://user:S3CRET@host"}, "mail_from is not"),
        ({"mail_from": "reset\nBcc: all"}, "TRAINING_RESET_MAIL_FROM"),
    ],
)
def test_a_wrong_secret_setting_is_refused_and_not_shown(
    on_sqlite: Program, settings: dict[str, str], says: str
) -> None:
    result = on_sqlite.refuses("job", "list", code=3, says=(says,), **settings)
    assert "S3CRET" not in result.err
    served = on_sqlite.run("-v", "doctor", **settings)
    assert served.code == 3
    assert "S3CRET" not in served.out + served.err


def test_a_job_s_status_names_its_targets_without_credentials(on_sqlite: Program) -> None:
    target = "https://u:S3CRET@example.org/hook?token=S3CRET"
    done = on_sqlite.run("--json", *SUBMIT, target, broker_url=NO_BROKER, result_secret=SECRET)
    assert (done.code, "S3CRET" in done.out + done.err) == (0, False)
    (told,) = json.loads(done.out)["on_result"]
    assert told == {
        "target": "https://example.org/hook?…",
        "state": "waiting",
        "tries": 0,
        "next_try_at": None,
        "delivered_at": None,
        "error": None,
    }
    assert (
        "result    to https://example.org/hook?…: waiting for the job's end" in on_sqlite.run("job", "status", "1").out
    )


def test_results_that_do_not_arrive_are_warned_of_by_doctor_with_the_mend(on_sqlite: Program) -> None:
    well = on_sqlite.run("doctor").out
    assert "ok    results      none given up, none late; no secret to sign with is set" in well
    for _ in range(2):
        words = (*SUBMIT, "https://example.org/")
        assert on_sqlite.run(*words, broker_url=NO_BROKER, result_secret=SECRET).code == 0
    on_sqlite.change("UPDATE jobs SET state = 'cancelled', finished_at = '2026-01-01 00:00:00.000000' WHERE id = 1")
    on_sqlite.change("UPDATE jobs SET state = 'cancelled', finished_at = '2999-01-01 00:00:00.000000' WHERE id = 2")
    on_sqlite.change("UPDATE deliveries SET state = 'given_up' WHERE job_id = 2")
    findings = on_sqlite.run("doctor", result_secret=SECRET).out
    assert "warn  results      given up: job 2; see 'job status' for why, mend it, and run" in findings
    assert "warn  results      late: job 1; " in findings
    assert findings.count("FAIL") == well.count("FAIL"), "a health check that asks doctor goes on as before"
    again = on_sqlite.run("job", "resend", "2")
    assert (again.code, again.err) == (0, "job 2: 1 to be sent; the leading worker does so\n")
    assert "given up" not in on_sqlite.run("doctor").out
    on_sqlite.refuses("job", "resend", "7", code=3, says=("no job has the id 7",))
    on_sqlite.refuses("job", "resend", "1", code=3, says=("no job has the id 1",), actor="bob")


def test_doctor_asks_the_mail_server_and_shows_no_password(on_sqlite: Program) -> None:
    with Mailbox().serving() as mailbox:
        given = {"smtp_url": mailbox.url(), "mail_from": "reset@lms.example"}
        assert "ok    mail         the server answers; sender reset@lms.example" in on_sqlite.run("doctor", **given).out
        refused = on_sqlite.run("doctor", **given | {"smtp_url": mailbox.url("user:S3CRET")})
    assert "warn  mail         the mail server offers no STARTTLS" in refused.out
    assert "S3CRET" not in refused.out + refused.err
    assert "mail server failed: Connection refused; check" in on_sqlite.run("doctor", **given).out
