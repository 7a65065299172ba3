"""What the registry is told: statements, sent together with what they are about.

Nothing is sent here, and nothing is read. Times are the server's ``clock_timestamp()``
at each insert: everything that is looked up later goes by their order.
"""

from __future__ import annotations

from pathlib import Path

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import filled, literal
from turnkeep.sqitch.registry import RELEASE, in_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


# The event reads what the change's row returned, and so comes later.
_DEPLOY = Prepared(
    "turnkeep_deploy",
    "text, text, text, text, text, text, text, timestamptz, text, text, text[], text[],"
    " text[], text[], text[], text[]",
    """
    with change as (
        insert into {registry}.changes (
            change_id, script_hash, change, project, note,
            committer_name, committer_email,
            planned_at, planner_name, planner_email, committed_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, pg_catalog.clock_timestamp())
        returning change_id
    ),
    depends as (
        insert into {registry}.dependencies (
            change_id, type, dependency, dependency_id
        )
        select $1, d.* from rows from (
            pg_catalog.unnest($14), pg_catalog.unnest($15), pg_catalog.unnest($16)
        ) as d (type, dependency, dependency_id)
    )
    insert into {registry}.events (
        event, change_id, change, project, note, tags, requires, conflicts,
        committer_name, committer_email,
        planned_at, planner_name, planner_email, committed_at
    )
    select 'deploy', c.change_id, $3, $4, $5, $11, $12, $13, $6, $7, $8, $9, $10,
        pg_catalog.clock_timestamp()
    from change c
    """,
)
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
        self, change: Change, script_hash: str | None, resolved: Mapping[Depend, str]
    ) -> Iterator[str | Prepared]:
        """Record a deployed change: row, dependencies, tags, event."""
        depends = (*change.requires, *change.conflicts)
        yield self._prepared(
            _DEPLOY,
            change.id,
            script_hash,
            change.name,
            self.project,
            change.note,
            *self.person,
            change.planned_at,
            change.planner_name,
            change.planner_email,
            [f"@{tag.name}" for tag in change.tags],
            [each.text for each in change.requires],
            [each.text for each in change.conflicts],
            ["conflict" if each.is_conflict else "require" for each in depends],
            [each.text for each in depends],
            [None if each.is_conflict else resolved[each] for each in depends],
        )
        yield from self.tags(change)

    def fail(self, change: Change) -> str:
        """Record that a change could not be deployed."""
        return self._filled(
            """
            insert into {registry}.events (
                event, change_id, change, project, note, tags, requires, conflicts,
                committer_name, committer_email,
                planned_at, planner_name, planner_email, committed_at
            )
            values (
                'fail', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                pg_catalog.clock_timestamp()
            )
            """,
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

    def _prepared(self, statement: Prepared, *values: object) -> Prepared:
        query = in_schema(statement.query, self.schema)
        return statement._replace(query=query, values=values)

    def _filled(self, query: str, *values: object) -> str:
        return filled(in_schema(query, self.schema), values)
