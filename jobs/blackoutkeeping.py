"""The use cases about blackouts: order one, list them, take one back."""

from datetime import date

from sqlalchemy import Connection

from jobs import authorization
from jobs.blackout import Blackout
from jobs.database import Database
from jobs.errors import InputRefused, NotFound, NotPermitted
from jobs.model import Access, Actor
from jobs.records.people import find_actor, find_location
from jobs.schema import MAX_ID
from jobs.settling import settle
from jobs.store import blackout_rows, job_rows, standing_rows
from jobs.store.version import require_schema


class Blackouts:
    """What one actor may do about blackouts.

    Args:
        database: where the jobs are.
        login: who acts.

    Raises:
        DatabaseUnavailable: the database holds no schema of this version.

    """

    def __init__(self, database: Database, login: str | None) -> None:
        require_schema(database)
        self._database = database
        self._login = authorization.require_named(login)

    def add(self, days: tuple[date, date], reason: str, *, zone: str, location: int | str | None) -> Blackout:
        """Order a blackout; when it has begun, what runs holds from now on.

        Args:
            days: the first and the last.
            reason: what for.
            zone: whose midnights.
            location: whose jobs wait: an id, "all", or None for where the actor stands.

        Raises:
            NotPermitted: it is not the actor's location, or not an administrator.
            InputRefused: the reason is blank.

        """
        if not reason.strip():
            raise InputRefused("the reason is blank; say what the blackout is for, such as exams")
        with self._database.write() as connection:
            actor = self._administrator(connection)
            standing = standing_rows.read_standing(connection, actor.id)
            location_id = authorization.location_of(actor, location, standing)  # type: ignore[arg-type]
            if location_id is not None:
                find_location(connection, location_id)
            added = blackout_rows.insert_blackout(
                connection,
                first_day=days[0],
                last_day=days[1],
                zone=zone,
                location_id=location_id,
                reason=reason.strip(),
                actor_id=actor.id,
                actor_login=actor.login,
            )
        self._settle_jobs()
        return added

    def list(self, *, past: bool = False) -> list[Blackout]:
        """Give the blackouts that the actor's jobs may meet, in the order of their days; `past`: also what is over."""
        with self._database.read() as connection:
            actor = self._administrator(connection)
            find = blackout_rows.find_blackouts if past else blackout_rows.find_blackouts_to_come
            return [found for found in find(connection) if _may_see(actor, found)]

    def remove(self, blackout_id: int) -> Blackout:
        """Take a blackout back; what held because of it goes on.

        Raises:
            NotFound: there is none of this id that the actor may know of.
            NotPermitted: it is everybody's, and the actor is no super user.

        """
        with self._database.write() as connection:
            actor = self._administrator(connection)
            found = blackout_rows.find_blackout(connection, blackout_id) if 0 < blackout_id <= MAX_ID else None
            if found is None or not _may_see(actor, found):
                raise NotFound(f"no blackout has the id {blackout_id}; 'training-reset blackout list' names them")
            if found.location_id is None and actor.access is not Access.SUPER_USER:
                raise NotPermitted(f"blackout {found.id} is for all locations; ask a super user to remove it")
            blackout_rows.delete_blackout(connection, found.id)
        self._settle_jobs()
        return found

    def _administrator(self, connection: Connection) -> Actor:
        actor = find_actor(connection, self._login)
        authorization.require_administrator(actor)
        return actor

    def _settle_jobs(self) -> None:
        """Let jobs hold or go on at once, each in a transaction of its own, so that none waits for another."""
        with self._database.read() as connection:
            unfinished = job_rows.find_unfinished(connection)
        for job in unfinished:
            with self._database.write() as connection:
                now = job_rows.find_job(connection, job.id)
                if now is not None:
                    settle(connection, now)


def _may_see(actor: Actor, blackout: Blackout) -> bool:
    return actor.access is Access.SUPER_USER or blackout.concerns(actor.location_id)
