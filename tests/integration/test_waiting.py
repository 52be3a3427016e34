"""Jobs that wait by themselves, with real workers on both databases: windows that open and close, blackouts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.windows import Window
from tests.installation import Installation, eventually
from tests.small import chunks_of


@pytest.fixture
def installation(tmp_path: Path, database_url: str, broker_url: str) -> Iterator[Installation]:
    """Records in a fresh database, once of each kind, and a broker that runs."""
    installation = Installation(tmp_path, database_url, broker_url)
    yield installation
    installation.close()


def test_a_job_begins_when_its_window_opens_and_nothing_of_it_commits_after_the_closing(
    installation: Installation,
) -> None:
    installation.start_celery().wait_until_ready()
    opening = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    closing = opening + timedelta(seconds=4)
    window = Window.parse(f"{opening:%H:%M:%S}-{closing:%H:%M:%S} UTC")
    job = installation.submit(chunk_size=1, windows=(window,), max_rate=20)  # everybody takes longer than that
    assert installation.status(job).job.state_reason == f"outside its window {window}; opens {opening:%FT%TZ}"

    eventually(lambda: installation.status(job).job.state.value == "running", why=installation.logs)
    eventually(lambda: installation.status(job).job.state.value == "holding", why=installation.logs)
    assert datetime.now(UTC) >= closing
    status = installation.status(job)
    tomorrow = opening + timedelta(days=1)
    assert status.job.state_reason == f"outside its window {window}; opens {tomorrow:%FT%TZ}"
    assert 0 < status.totals.done < len(installation.users)
    rows = chunks_of(installation.database, job)
    assert all(opening <= row["claimed_at"] <= row["deadline"] <= closing for row in rows if row["claimed_at"])
    assert all(opening < row["done_at"] < closing for row in rows if row["done_at"])
    assert {(row["retries"], row["losses"]) for row in rows} == {(0, 0)}


def test_a_blackout_holds_a_running_job_and_its_removal_lets_it_go_on_to_the_end(installation: Installation) -> None:
    installation.start_celery()
    job = installation.submit(chunk_size=1, max_rate=40)
    installation.wait_for_progress(job)
    today = f"{datetime.now(UTC).date()}"
    added = installation.run("--json", "blackout", "add", today, "exams", "--location", "all")
    assert added.returncode == 0, added.stderr
    held = installation.status(job)
    assert held.job.state.value == "holding"
    assert held.job.state_reason is not None
    assert held.job.state_reason.startswith(f"blackout {today} UTC (exams); ends ")
    eventually(lambda: all(row["state"] != "claimed" for row in chunks_of(installation.database, job)))
    done = installation.status(job).totals.done
    refused = installation.run("blackout", "remove", "7")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
    assert installation.status(job).totals.done == done < len(installation.users)

    removed = installation.run("blackout", "remove", "1")
    assert removed.returncode == 0, removed.stderr
    installation.wait_for_end(job)
    installation.assert_all_is_reset_once(job)
