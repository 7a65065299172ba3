"""What the registry is told: statements, sent together with what they are about.

Nothing is sent here, and nothing is read. Times are the server's ``clock_timestamp()``
at each insert: everything that is looked up later goes by their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.quoting import filled
from turnkeep.sqitch.registry import RELEASE, from_plan, in_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnkeep.sqitch.config import Person
    from turnkeep.sqitch.plan import Change, Depend, Tag
    from turnkeep.sqitch.registry import Deployed

_EVENT = """
    insert into {registry}.events (
        event, change_id, change, project, note, tags, requires, conflicts,
        committer_name, committer_email,
        planned_at, planner_name, planner_email, committed_at
    )
"""


@dataclass(frozen=True, slots=True)
class Records:
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
    ) -> Iterator[str]:
        """Record a deployed change: row, dependencies, tags, event."""
        yield self._filled(
            """
            insert into {registry}.changes (
                change_id, script_hash, change, project, note,
                committer_name, committer_email,
                planned_at, planner_name, planner_email, committed_at
            )
            values (
                %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, pg_catalog.clock_timestamp()
            )
            """,
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
        depends = (*change.requires, *change.conflicts)
        if depends:
            rows = ", ".join(["(%s, %s, %s, %s)"] * len(depends))
            yield self._filled(
                f"""
                insert into {{registry}}.dependencies (
                    change_id, type, dependency, dependency_id
                )
                values {rows}
                """,  # noqa: S608 - only places for values
                *(
                    value
                    for each in depends
                    for value in (
                        change.id,
                        "conflict" if each.is_conflict else "require",
                        each.text,
                        None if each.is_conflict else resolved[each],
                    )
                ),
            )
        yield from self.tags(change)
        yield self._event("deploy", change)

    def fail(self, change: Change) -> str:
        """Record that a change could not be deployed."""
        return self._event("fail", change)

    def tags(self, change: Change) -> Iterator[str]:
        """Record those tags of a deployed change that are not recorded yet."""
        for tag in change.tags:
            yield self._tag(change.id, tag)

    def revert(self, change: Deployed) -> Iterator[str]:
        """Take a change out of the registry, and say so in the history."""
        yield self._filled(
            _EVENT  # noqa: S608 - both texts are ours
            + """
            select 'revert', %s, %s, %s, %s,
                array(select tag from {registry}.tags where change_id = %s),
                array(
                    select dependency from {registry}.dependencies
                    where change_id = %s and type = 'require'
                ),
                array(
                    select dependency from {registry}.dependencies
                    where change_id = %s and type = 'conflict'
                ),
                %s, %s, %s::timestamptz, %s, %s, pg_catalog.clock_timestamp()
            """,
            change.id,
            change.name,
            change.project,
            change.note,
            *([change.id] * 3),
            *self.person,
            change.planned_at,
            change.planner_name,
            change.planner_email,
        )
        yield self._filled(
            "delete from {registry}.tags where change_id = %s", change.id
        )
        yield self._filled(
            "delete from {registry}.changes where change_id = %s", change.id
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

    def _event(self, event: str, change: Change) -> str:
        """Write a planned change into the history."""
        written = from_plan(change, self.project)
        return self._filled(
            _EVENT
            + """
            values (
                %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                pg_catalog.clock_timestamp()
            )
            """,
            event,
            written.id,
            written.name,
            written.project,
            written.note,
            list(written.tags),
            [each.text for each in change.requires],
            [each.text for each in change.conflicts],
            *self.person,
            written.planned_at,
            written.planner_name,
            written.planner_email,
        )

    def _filled(self, query: str, *values: object) -> str:
        return filled(in_schema(query, self.schema), values)
