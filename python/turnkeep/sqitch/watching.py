"""Look, from a second session, at what keeps the first one waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from turnkeep.libpq import Connection

_BLOCKERS = """
select b.pid, b.usename, b.application_name, b.state,
    extract(epoch from pg_catalog.clock_timestamp() - b.xact_start)::float8,
    b.query
from pg_catalog.pg_stat_activity w
-- The question takes every lock of the lock manager: only while there is a wait.
cross join lateral unnest(
    case when w.wait_event_type = 'Lock' then pg_catalog.pg_blocking_pids(w.pid) end
) as blocking (pid)
join pg_catalog.pg_stat_activity b on b.pid = blocking.pid
where w.pid = %s
order by b.xact_start
"""
_LONGEST_QUERY = 200


class Blocker(NamedTuple):
    """A session that holds, or waits for, a lock that another one wants."""

    pid: int
    user: str | None
    application: str | None
    state: str | None
    seconds: float | None
    """Age of its transaction."""
    query: str | None
    """What it runs, or ran last."""

    def __str__(self) -> str:
        """Give one line for people."""
        who = f"pid {self.pid}, user {self.user}"
        if self.application:
            who += f", application {self.application}"
        age = "" if self.seconds is None else f" for {self.seconds:.0f} s"
        query = " ".join((self.query or "").split())[:_LONGEST_QUERY]
        return f"{who}, {self.state}{age}: {query}"


@dataclass(slots=True)
class Watcher:
    """A second session, opened when there is something to see, and kept for more."""

    watched: Connection
    _connection: Connection | None = field(init=False, default=None)

    def blockers(self) -> list[Blocker]:
        """Give the sessions for which the first one waits; nothing: nobody knows."""
        try:
            if self._connection is None:
                self._connection = again(self.watched, "turnkeep watcher")
            found = self._connection.ask(_BLOCKERS, self.watched.pid)
        except libpq.Error:
            # No connection is left, or the server is going: the watched one will say.
            self.close()
            return []
        return [Blocker(*row) for row in found]

    def close(self) -> None:
        """End the second session, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def again(
    connection: Connection, application: str, **changed: str | None
) -> Connection:
    """Open another session like this one; ``changed`` are libpq's parameters."""
    parameters = {
        **connection.parameters,
        "password": connection.password or None,
        "application_name": application,
        **changed,
    }
    return libpq.connect("", None, **parameters)
