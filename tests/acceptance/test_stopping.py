"""`job pause` and `job cancel` while a chunk does not come to its end."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.program import Program, assert_one_error
from tests.interruptions import Holder
from tests.steering import dispatched, runner


@pytest.mark.parametrize(
    ("order", "meanwhile", "after"), [("pause", "pausing", "paused"), ("cancel", "cancelling", "cancelled")]
)
def test_a_stop_that_a_chunk_outlasts_is_told_as_such_and_holds(
    on_postgres: Program, order: str, meanwhile: str, after: str
) -> None:
    on_postgres.submit("training", "--all-content", "--all-users")
    assert on_postgres.database_url is not None
    holder = Holder(on_postgres.database_url)
    (chunk,) = dispatched(holder)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner(holder).run, chunk)
        holder.wait_until_inside()
        soon = {"chunk_deadline_seconds": "2", "chunk_hard_limit_seconds": "1", "statement_timeout_seconds": "0.5"}
        waited = on_postgres.run("job", order, "1", **soon)
        assert on_postgres.read("SELECT state FROM jobs") == [(meanwhile,)]
        holder.let_go.set()
        assert running.result()
    holder.close()
    assert_one_error(waited, 5, (f"job 1 is {meanwhile}", "job status 1"))
    assert on_postgres.read("SELECT state FROM jobs") == [(after,)]
    again = on_postgres.run("job", order, "1")
    assert again.code == 0
    assert after in again.out
