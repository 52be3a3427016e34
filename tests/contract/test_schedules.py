"""The use cases about schedules: what is added, shown and changed, by whom, and what is refused."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from jobs.database import Database
from jobs.errors import Conflict, InputRefused, NotFound, NotPermitted
from jobs.model import JobState, Kind
from jobs.schedule import Overlap, Plan, Policies, RunOutcome, ScheduleState
from jobs.scope import ContentSelection, JobOptions, ResetRequest, UserSelection
from jobs.steering import Steering
from jobs.store.tables import jobs
from jobs.timing import Cron, Once
from jobs.windows import Window
from tests.clock import Clock
from tests.schedules import EVERYBODY, MIDNIGHT, add, every, fire, runs_of, schedule_of, scheduling
from tests.small import dump, job_of, work

OPTIONS = JobOptions(reason="maintenance")
pytestmark = pytest.mark.usefixtures("clock")


def test_a_schedule_is_kept_as_it_was_said(database: Database) -> None:
    request = ResetRequest(
        kind=Kind.TRAINING,
        users=UserSelection(ids=(11, 12), logins=("chloe",), excluded_logins=("boris",)),
        content=ContentSelection(courses=(101, 102), chapters=(1003,)),
        location="all",
        cutoff=timedelta(days=365),
    )
    options = JobOptions(
        reason="a year",
        priority=2,
        max_rate=1.5,
        chunk_size=7,
        windows=(Window.parse("mon-fri 22:00-05:00 Europe/London"), Window.parse("01:00-02:00")),
        urgent=True,
        on_result=("https://example.org/hook",),
    )
    policies = Policies(overlap=Overlap.QUEUE, max_users=5, notice=timedelta(days=14))
    plan = Plan(name="a", timing=Cron("0 2 * * *", "Asia/Gaza"), request=request, options=options, policies=policies)
    scheduling(database).add(plan)
    schedule = schedule_of(database, "a")
    kept = (schedule.timing, schedule.request, schedule.options, schedule.policies)
    assert kept == (plan.timing, plan.request, plan.options, plan.policies)
    assert (schedule.owner_id, schedule.owner_login, schedule.location_id) == (1, "root", None)


def test_where_the_actor_stands_is_spelled_out(database: Database) -> None:
    add(database, request=replace(EVERYBODY, location=None), login="south.admin")
    schedule = schedule_of(database)
    assert (schedule.request.location, schedule.location_id) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"name": "-x"}, InputRefused, "-x"),
        ({"name": "two words"}, InputRefused, "two words"),
        ({"name": "x" * 65}, InputRefused, "name"),
        ({"timing": Cron("0 0 30 2 *")}, InputRefused, "0 0 30 2 *"),
        ({"timing": every(seconds=0)}, InputRefused, "--every 0d"),
        ({"timing": Once(MIDNIGHT)}, InputRefused, "--once 2026-05-01T00:00:00Z"),
        ({"policies": Policies(max_users=-1)}, InputRefused, "--max-users -1"),
        ({"policies": Policies(notice=timedelta(0))}, InputRefused, "--notice 0d"),
        ({"options": JobOptions(reason=" ")}, InputRefused, "reason"),
        ({"options": JobOptions(reason="x", idempotency_key="k")}, InputRefused, "--idempotency-key"),
        ({"options": JobOptions(reason="x", not_before=MIDNIGHT)}, InputRefused, "--not-before"),
        ({"request": replace(EVERYBODY, users=UserSelection(ids=(999,)))}, InputRefused, "999"),
        ({"request": replace(EVERYBODY, content=ContentSelection(courses=(7,)))}, InputRefused, "7"),
        ({"request": replace(EVERYBODY, location=9)}, NotFound, "9"),
        ({"name": "taken"}, Conflict, "taken"),
    ],
)
def test_what_would_never_run_is_refused_and_nothing_is_added(
    database: Database, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    add(database, "taken")
    before = dump(database)
    plan = Plan(name="good", timing=Cron("0 2 * * *"), request=EVERYBODY, options=OPTIONS)
    for attempt in (scheduling(database).add, scheduling(database).rehearse):
        with pytest.raises(error) as refused:
            attempt(replace(plan, **changes))  # type: ignore[arg-type]
        assert says in str(refused.value)
        assert "; " in str(refused.value)
    assert dump(database) == before


def test_a_rehearsal_shows_what_a_run_now_would_do_and_writes_nothing(database: Database) -> None:
    before = dump(database)
    plan = Plan(name="a", timing=Cron("0 2 * * *"), request=EVERYBODY, options=OPTIONS, policies=Policies(max_users=1))
    rehearsal = scheduling(database).rehearse(plan)
    assert rehearsal.preview is not None
    assert (rehearsal.preview.total, rehearsal.preview.changed) == (6, 2)
    assert "held" in (rehearsal.note or "")
    assert rehearsal.times[0] == MIDNIGHT + timedelta(hours=2)
    assert dump(database) == before


def test_learners_have_no_schedules(database: Database) -> None:
    add(database)
    learner = scheduling(database, "ada")
    for attempt in (learner.schedules, lambda: learner.show("nightly"), lambda: learner.run("nightly")):
        with pytest.raises(NotPermitted):
            attempt()
    with pytest.raises(NotPermitted):
        add(database, "own", login="ada")


def test_administrators_know_the_schedules_of_their_location_and_super_users_all(database: Database) -> None:
    add(database, "north", login="north.admin")
    add(database, "south", request=replace(EVERYBODY, location=2))
    add(database, "everywhere", request=replace(EVERYBODY, location="all"))
    known = {
        login: [status.schedule.name for status in scheduling(database, login).schedules()]
        for login in ("root", "north.admin", "south.admin")
    }
    assert known == {
        "root": ["everywhere", "north", "south"],
        "north.admin": ["north"],
        "south.admin": ["south"],
    }
    north = scheduling(database, "north.admin")
    for attempt in (north.show, north.pause, north.resume, north.remove, north.run):
        with pytest.raises(NotFound, match="no schedule is called 'everywhere'"):
            attempt("everywhere")
    with pytest.raises(NotPermitted):
        north.edit("north", lambda schedule: replace(schedule, request=replace(EVERYBODY, location=2)))
    scheduling(database, "south.admin").pause("south")


def test_a_paused_schedule_does_not_run_and_goes_on_with_its_next_time(database: Database, clock: Clock) -> None:
    add(database)
    use = scheduling(database, "north.admin")
    for _ in range(2):
        use.pause("nightly")
    schedule = schedule_of(database)
    assert (schedule.state, schedule.state_reason) == (ScheduleState.PAUSED, "paused by north.admin")
    clock.go_on(days=3, hours=12)
    fire(database)
    assert runs_of(database) == []
    for _ in range(2):
        use.resume("nightly")
    schedule = schedule_of(database)
    assert (schedule.state, schedule.state_reason) == (ScheduleState.ACTIVE, None)
    assert schedule.next_fire_at == MIDNIGHT + timedelta(days=4, hours=2)


def test_the_next_five_times_are_shown_also_of_a_paused_schedule(database: Database) -> None:
    add(database)
    status, _ = scheduling(database).show("nightly")
    wanted = tuple(MIDNIGHT + timedelta(days=day, hours=2) for day in range(5))
    assert status.times == wanted
    scheduling(database).pause("nightly")
    status, _ = scheduling(database).show("nightly")
    assert status.times == wanted


def test_a_schedule_runs_now_when_asked_to_and_its_times_stay(database: Database, clock: Clock) -> None:
    add(database)
    run = scheduling(database, "north.admin").run("nightly")
    assert (run.fire_time, run.outcome) == (MIDNIGHT, RunOutcome.SUBMITTED)
    assert run.job_id is not None
    assert job_of(database, run.job_id).actor_login == "root"
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(hours=2)
    with pytest.raises(Conflict, match=f"job {run.job_id} "):
        scheduling(database).run("nightly")
    work(database)
    clock.go_on(minutes=1)
    assert scheduling(database).run("nightly").outcome is RunOutcome.NOTHING
    assert [run.job_id for run in scheduling(database).show("nightly")[1]] == [None, run.job_id]


def test_what_a_schedule_asks_for_and_when_can_be_changed(database: Database, clock: Clock) -> None:
    add(database, max_users=1)
    request = replace(EVERYBODY, users=UserSelection(ids=(12,)))

    scheduling(database).edit(
        "nightly",
        lambda schedule: replace(schedule, timing=every(hours=3), request=request, policies=Policies()),
    )
    assert schedule_of(database).next_fire_at == MIDNIGHT + timedelta(hours=3)
    clock.go_on(hours=3)
    fire(database)
    (run,) = runs_of(database)
    assert run.job_id is not None
    assert job_of(database, run.job_id).users_total == 1


def test_a_schedule_that_has_ended_goes_on_with_another_time(database: Database, clock: Clock) -> None:
    add(database, timing=Once(MIDNIGHT + timedelta(hours=1)))
    clock.go_on(hours=1)
    fire(database)
    with pytest.raises(Conflict, match="no time left"):
        scheduling(database).resume("nightly")
    later = Once(MIDNIGHT + timedelta(hours=2))
    scheduling(database).edit("nightly", lambda schedule: replace(schedule, timing=later))
    assert schedule_of(database).state is ScheduleState.ACTIVE
    work(database)
    clock.go_on(hours=1)
    fire(database)
    assert len(runs_of(database)) == 2


def test_removing_a_schedule_forgets_its_runs_and_keeps_its_jobs(database: Database) -> None:
    add(database)
    job = scheduling(database).run("nightly").job_id
    scheduling(database).remove("nightly")
    assert dump(database)["schedules"] == dump(database)["schedule_runs"] == []
    assert job is not None
    assert job_of(database, job).state is JobState.QUEUED


# What somebody should look at.


def attention(database: Database) -> tuple[str, bool] | None:
    (status,) = scheduling(database).schedules()
    return None if status.attention is None else (status.attention.what, status.attention.needs_mending)


def test_a_held_run_is_to_be_looked_at_until_somebody_decided(database: Database, clock: Clock) -> None:
    add(database, max_users=1)
    clock.go_on(hours=2)
    fire(database)
    what, needs_mending = attention(database) or ("", False)
    assert what.startswith("held: job 1 would change 2 users")
    assert needs_mending
    Steering(database, "root").resume(1)
    assert attention(database) is None
    work(database)
    assert job_of(database, 1).state is JobState.SUCCEEDED


def test_what_failed_or_was_skipped_or_late_or_overdue_is_to_be_looked_at(database: Database, clock: Clock) -> None:
    add(database)
    clock.go_on(hours=5)
    assert attention(database) == ("overdue: nothing fired it; is a worker running?", True)
    fire(database)
    assert attention(database) == ("submitted, late: 3:00:00 late", False)
    clock.go_on(days=1)
    fire(database)
    assert attention(database) == ("skipped: job 1 (queued) had not ended", True)
    with database.write() as connection:
        ended = {"state": "failed", "state_reason": "6 of 6 users failed", "finished_at": clock.now}
        connection.execute(update(jobs).values(ended))
    clock.go_on(days=1, hours=-3)
    fire(database)
    assert attention(database) is None
    with database.write() as connection:
        connection.execute(update(jobs).values(ended))
    assert attention(database) == ("job 2 failed: 6 of 6 users failed", True)
