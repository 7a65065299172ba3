"""What the registry is told: statements, sent together with what they are about.

Nothing is sent here, and nothing is read. Times are the server's ``clock_timestamp()``
at each insert: everything that is looked up later goes by their order.
"""

from __future__ import annotations

from pathlib import Path

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import filled, identifier, literal
from turnkeep.sqitch.registry import RELEASE, in_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from turnkeep.sqitch.config import Person
    from turnkeep.sqitch.plan import Change, Depend, Tag
    from turnkeep.sqitch.registry import Deployed


class Prepared(NamedTuple):
    """A statement that the server keeps for the session, and values for it.

    It is planned once and not for every change.
    """

    name: str
    types: str
    query: str
    values: tuple[object, ...] = ()

    @property
    def preparation(self) -> str:
        """Give the statement that has the server keep it."""
        return f"prepare {self.name} ({self.types}) as {self.query}"

    @property
    def execution(self) -> str:
        """Give the statement that runs it."""
        return f"execute {self.name} ({', '.join(map(literal, self.values))})"


# The dependencies go with their change; all of it sees them as they were before.
_REVERT = Prepared(
    "turnkeep_revert",
    "text, text, text, text, text, text, timestamptz, text, text",
    """
    with tag as (
        delete from {registry}.tags where change_id = $1 returning tag
    ),
    event as (
        insert into {registry}.events (
            event, change_id, change, project, note, tags, requires, conflicts,
            committer_name, committer_email,
            planned_at, planner_name, planner_email, committed_at
        )
        values (
            'revert', $1, $2, $3, $4,
            array(select t.tag from tag t),
            array(
                select d.dependency from {registry}.dependencies d
                where d.change_id = $1 and d.type = 'require'
            ),
            array(
                select d.dependency from {registry}.dependencies d
                where d.change_id = $1 and d.type = 'conflict'
            ),
            $5, $6, $7, $8, $9, pg_catalog.clock_timestamp()
        )
    )
    delete from {registry}.changes where change_id = $1
    """,
)


class Records(NamedTuple):
    """The statements for one project, by one person."""

    schema: str
    project: str
    person: Person

    def tables(self) -> Iterator[str]:
        """Create the tables, and say who did."""
        text = Path(__file__).with_name("registry.sql").read_text("utf-8")
        yield from self.script(text, "registry.sql")
        yield self.release(RELEASE)

    def script(self, text: str, name: str) -> Iterator[str]:
        """Give the statements of a script of our own, for the registry's schema."""
        # Only the very first deployment needs it, and it takes time to load.
        from turnkeep.sqitch.lexer import Statement  # noqa: PLC0415
        from turnkeep.sqitch.psql import Psql  # noqa: PLC0415

        for action in Psql({"registry": self.schema}).read(text, name):
            if isinstance(action, Statement):
                yield action.sql

    def release(self, release: str) -> str:
        """Record that the tables were brought to a release."""
        return self._filled(
            """
            insert into {registry}.releases (
                version, installed_at, installer_name, installer_email
            )
            values (%s::real, pg_catalog.clock_timestamp(), %s, %s)
            """,
            release,
            *self.person,
        )

    def hashes(self, hashes: Mapping[str, str]) -> Iterator[str]:
        """Write script hashes, by identifier, where an upgrade put the identifiers."""
        yield self._filled(
            """
            update {registry}.changes c set script_hash = h.hash
            from unnest(%s::text[], %s::text[]) as h (change_id, hash)
            where c.change_id = h.change_id and c.script_hash = c.change_id
            """,
            list(hashes),
            list(hashes.values()),
        )
        yield self._filled(
            """
            update {registry}.changes set script_hash = null
            where project = %s and script_hash = change_id
            """,
            self.project,
        )

    def registration(self, uri: str | None) -> str:
        """Record the project."""
        return self._filled(
            """
            insert into {registry}.projects (
                project, uri, creator_name, creator_email, created_at
            )
            values (%s, %s, %s, %s, pg_catalog.clock_timestamp())
            """,
            self.project,
            uri,
            *self.person,
        )

    def lock(self) -> str:
        """Keep other tools from writing changes until the transaction ends."""
        return self._filled("lock table {registry}.changes in exclusive mode")

    def deploy(
        self,
        deployed: Sequence[tuple[Change, str | None]],
        resolved: Mapping[Depend, str],
    ) -> Iterator[str]:
        """Record deployed changes, of which the last may have tags.

        A tag is later than its change, and earlier than the next.
        """
        changes = [change for change, _ in deployed]
        depends = [
            (change.id, each)
            for change in changes
            for each in (*change.requires, *change.conflicts)
        ]
        yield self._insert(
            """
            changes (
                change_id, script_hash, change, project, note,
                committer_name, committer_email,
                planned_at, planner_name, planner_email, committed_at
            )
            """,
            [
                (
                    change.id,
                    script_hash,
                    change.name,
                    self.project,
                    change.note,
                    *self.person,
                    change.planned_at,
                    change.planner_name,
                    change.planner_email,
                )
                for change, script_hash in deployed
            ],
            now=True,
        )
        if depends:
            yield self._insert(
                "dependencies (change_id, type, dependency, dependency_id)",
                [
                    (change_id, "conflict", each.text, None)
                    if each.is_conflict
                    else (change_id, "require", each.text, resolved[each])
                    for change_id, each in depends
                ],
            )
        yield from self.tags(changes[-1])
        yield self._events("deploy", changes)

    def fail(self, change: Change) -> str:
        """Record that a change could not be deployed."""
        return self._events("fail", [change])

    def tags(self, change: Change) -> Iterator[str]:
        """Record those tags of a deployed change that are not recorded yet."""
        for tag in change.tags:
            yield self._tag(change.id, tag)

    def revert(self, change: Deployed) -> Prepared:
        """Take a change out of the registry, and say so in the history."""
        return self._prepared(
            _REVERT,
            change.id,
            change.name,
            change.project,
            change.note,
            *self.person,
            change.planned_at,
            change.planner_name,
            change.planner_email,
        )

    def _tag(self, change_id: str, tag: Tag) -> str:
        return self._filled(
            """
            insert into {registry}.tags (
                tag_id, tag, project, change_id, note, committer_name, committer_email,
                planned_at, planner_name, planner_email, committed_at
            )
            select %s, %s, %s, %s, %s, %s, %s, %s::timestamptz, %s, %s,
                pg_catalog.clock_timestamp()
            where not exists (
                select from {registry}.tags t where t.tag_id = %s
            )
            """,
            tag.id,
            f"@{tag.name}",
            self.project,
            change_id,
            tag.note,
            *self.person,
            tag.planned_at,
            tag.planner_name,
            tag.planner_email,
            tag.id,
        )

    def _events(self, event: str, changes: Sequence[Change]) -> str:
        return self._insert(
            """
            events (
                event, change_id, change, project, note, tags, requires, conflicts,
                committer_name, committer_email,
                planned_at, planner_name, planner_email, committed_at
            )
            """,
            [
                (
                    event,
                    change.id,
                    change.name,
                    self.project,
                    change.note,
                    [f"@{tag.name}" for tag in change.tags],
                    [each.text for each in change.requires],
                    [each.text for each in change.conflicts],
                    *self.person,
                    change.planned_at,
                    change.planner_name,
                    change.planner_email,
                )
                for change in changes
            ],
            now=True,
        )

    def _insert(
        self, table: str, rows: Sequence[tuple[object, ...]], *, now: bool = False
    ) -> str:
        """Insert rows into a table of the registry: its name, and its columns.

        ``now``: a last column is the time, for each row later than for those before.
        """
        name = f"{identifier(self.schema)}.{table.strip()}"
        listed = [", ".join(map(literal, row)) for row in rows]
        if now:
            # The clock may stand still from one row to the next.
            listed = [
                f"{values}, pg_catalog.clock_timestamp() + interval '{number} us'"
                for number, values in enumerate(listed)
            ]
        values = "), (".join(listed)
        return f"insert into {name} values ({values})"  # noqa: S608 - all quoted

    def _prepared(self, statement: Prepared, *values: object) -> Prepared:
        query = in_schema(statement.query, self.schema)
        return statement._replace(query=query, values=values)

    def _filled(self, query: str, *values: object) -> str:
        return filled(in_schema(query, self.schema), values)
