"""`doctor`: one line for each dependency and setting, with the mend for what fails."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

import click
import redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from commands.context import Invocation, pass_invocation
from commands.output import print_json
from jobs.attention import statuses_of_schedules
from jobs.database import first_line, read_now
from jobs.delivery import SendFailed
from jobs.errors import TrainingResetError
from jobs.schedule import ScheduleState
from jobs.store import delivery_rows, lease_rows, schedule_rows
from jobs.store.version import SCHEMA_VERSION, require_schema
from worker.configuration import QUEUE, redis_url

_PREFIX = "TRAINING_RESET_"
_OLDEST_REDIS = (6, 2)
_RECENTLY = timedelta(days=7)


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        mend: None where all is well.
        warns: whether what is to be mended leaves jobs running; then it fails nothing, and no health check either.

    """

    check: str
    found: str
    mend: str | None = None
    warns: bool = False

    @property
    def fails(self) -> bool:
        """Whether jobs cannot run, or not safely, until it is mended."""
        return self.mend is not None and not self.warns


class Unwell(click.ClickException):
    """At least one check failed; its mend stands on stdout."""

    exit_code = 6


@click.command(short_help="Check every dependency and setting.")
@pass_invocation
def doctor(invocation: Invocation) -> None:
    """Check every dependency and setting, a line each, with the mend for what fails."""
    checks = (_versions, _settings, _home, _database, _broker, _workers, _schedules, _results, _mail)
    findings = [finding for check in checks for finding in _run(check, invocation)]
    for finding in findings:
        if invocation.as_json:
            told = {"check": finding.check, "ok": not finding.mend, "found": finding.found, "mend": finding.mend}
            print_json(told | {"fails": finding.fails})
        else:
            mend = f"; {finding.mend}" if finding.mend else ""
            label = "FAIL" if finding.fails else "warn" if finding.mend else "ok"
            click.echo(f"{label:<4}  {finding.check:<12} {finding.found}{mend}")
    failed = [finding.check for finding in findings if finding.fails]
    if failed:
        raise Unwell(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}; see their mends above")


Check = Callable[[Invocation], Iterator[Finding]]


def _run(check: Check, invocation: Invocation) -> Iterator[Finding]:
    """Give what a check finds; what it cannot even look at is a finding too."""
    name = check.__name__.removeprefix("_")
    try:
        yield from check(invocation)
    except TrainingResetError as error:
        found, _, mend = error.message.partition("; ")
        yield Finding(name, found, mend or "see the documentation")
    except DBAPIError as error:
        yield Finding(name, first_line(error), "check the database's own log")
    except (RedisError, OSError, ValueError) as error:
        yield Finding(name, f"{type(error).__name__}: {error}", "check the broker's URL and that it runs")


def _versions(_: Invocation) -> Iterator[Finding]:
    names = ("training-reset", "celery", "kombu", "redis", "sqlalchemy")
    yield Finding("versions", ", ".join(f"{name} {version(name)}" for name in names))


def _settings(invocation: Invocation) -> Iterator[Finding]:
    known = {f"{_PREFIX}{name.upper()}" for name in type(invocation.settings).model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)
    given = sorted(f"{_PREFIX}{name.upper()}" for name in invocation.settings.model_fields_set)
    yield Finding("settings", f"{', '.join(given)} given" if given else "all at their defaults")
    if unknown:
        yield Finding("settings", f"{', '.join(unknown)} is no setting", "correct its name; see docs/settings.md")


def _home(invocation: Invocation) -> Iterator[Finding]:
    home = invocation.settings.home
    if invocation.settings.database_url and invocation.settings.broker_url:
        yield Finding("home", "no data directory is needed")
        return
    invocation.make_home()
    if os.access(home, os.W_OK):
        yield Finding("home", str(home))
    else:
        yield Finding("home", f"{home} cannot be written", "make it writable or set TRAINING_RESET_HOME")


def _database(invocation: Invocation) -> Iterator[Finding]:
    database = invocation.database
    require_schema(database)
    with database.read() as connection:
        version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    yield Finding("database", f"{database.dialect} {version}, schema {SCHEMA_VERSION}, {database.address}")


def _broker(invocation: Invocation) -> Iterator[Finding]:
    seconds = invocation.settings.broker_connect_seconds
    with redis.Redis.from_url(
        redis_url(invocation.settings),
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        decode_responses=True,
    ) as client:
        try:
            info = client.info()
        except redis.ConnectionError as error:
            if invocation.settings.broker_url is None:
                yield Finding("broker", "the embedded broker does not run", "start it with 'training-reset up'")
                return
            raise error from None
        release = str(info.get("redis_version", "0"))
        queued = client.llen(f"training-reset:{QUEUE}")
        yield Finding(
            "broker",
            f"{info.get('server_name', 'redis')} {release}, {queued} messages waiting",
            _old(release),
        )
        policy = str(info.get("maxmemory_policy"))
        keeps = policy == "noeviction"
        yield Finding(
            "eviction",
            f"maxmemory-policy {policy}",
            None if keeps else "set it to noeviction: others lose work",
        )
        durable = bool(int(info.get("aof_enabled", 0)))
        yield Finding(
            "durability",
            f"append-only file {'on' if durable else 'off'}",
            None if durable else "set appendonly yes, or every restart costs time",
        )


def _schedules(invocation: Invocation) -> Iterator[Finding]:
    require_schema(invocation.database)
    grace = timedelta(seconds=invocation.settings.schedule_grace_seconds)
    with invocation.database.read() as connection:
        statuses = statuses_of_schedules(connection, schedule_rows.find_all(connection), grace)
        counts = schedule_rows.count_outcomes(connection, read_now(connection) - _RECENTLY)
    paused = [s.schedule for s in statuses if s.schedule.state is ScheduleState.PAUSED]
    said = [f"{sum(s.schedule.state is ScheduleState.ACTIVE for s in statuses)} active", f"{len(paused)} paused"]
    said += [f"{schedule.name} {schedule.state_reason}" for schedule in paused]
    recent = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
    bad = [(s.schedule.name, s.attention.what) for s in statuses if s.attention and s.attention.needs_mending]
    mend = None
    if bad:
        name, what = bad[0]
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        mend = f"{name} {what}; see 'training-reset schedule show {name}'{more}"
    yield Finding("schedules", f"{', '.join(said)}; times in the last 7 days: {recent or 'none'}", mend)


def _old(release: str) -> str | None:
    parts = tuple(int(part) for part in release.split(".")[:2])
    return None if parts >= _OLDEST_REDIS else "Celery needs Redis 6.2 or Valkey; upgrade it"


def _workers(invocation: Invocation) -> Iterator[Finding]:
    require_schema(invocation.database)
    with invocation.database.read() as connection:
        alive = lease_rows.living_workers(connection)
    mend = None if alive else "start one with 'training-reset up' or 'training-reset worker'"
    yield Finding("workers", f"{len(alive)} alive", mend)


def _results(invocation: Invocation) -> Iterator[Finding]:
    require_schema(invocation.database)
    with invocation.database.read() as connection:
        troubles = delivery_rows.find_troubles(connection, late_after=_LATE_AFTER, forget_after=_FORGET_AFTER)
    signed = "no secret to sign with is set" if invocation.settings.result_secret is None else "they are signed"
    if not (troubles.given_up or troubles.late):
        yield Finding("results", f"none given up, none late; {signed}")
    if troubles.given_up:
        mend = "see 'job status' for why, mend it, and run 'training-reset job resend JOB'"
        yield Finding("results", f"given up: {_jobs(troubles.given_up)}", mend, warns=True)
    if troubles.late:
        mend = "see 'job status' for why; they are tried again"
        yield Finding("results", f"late: {_jobs(troubles.late)}", mend, warns=True)


def _jobs(ids: tuple[int, ...]) -> str:
    named = ", ".join(map(str, ids[:_MOST_NAMED]))
    return f"{len(ids)} jobs ({named}{', …' if len(ids) > _MOST_NAMED else ''})" if len(ids) > 1 else f"job {named}"


_LATE_AFTER, _FORGET_AFTER = timedelta(minutes=10), timedelta(days=7)
_MOST_NAMED = 5
_MAIL_SECONDS = 3.0
"""How long somebody who asks is kept waiting for a mail server."""


def _mail(invocation: Invocation) -> Iterator[Finding]:
    from worker.mail import mail_server  # noqa: PLC0415 - rarely needed

    if invocation.settings.smtp_url is None:
        yield Finding("mail", "no server is set, so --on-result mailto: is refused")
        return
    seconds = min(invocation.settings.result_timeout_seconds, _MAIL_SECONDS)
    try:
        with mail_server(invocation.settings.model_copy(update={"result_timeout_seconds": seconds})) as server:
            server.noop()
    except SendFailed as failure:
        yield Finding("mail", failure.reason, "check TRAINING_RESET_SMTP_URL and that the server runs", warns=True)
    else:
        yield Finding("mail", f"the server answers; sender {invocation.settings.mail_from}")
