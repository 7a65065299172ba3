"""The registry: Sqitch's tables, read as Sqitch does.

Every statement names its schema, because a script may leave any search_path behind.
"""

from __future__ import annotations

from functools import cache

from turnkeep import libpq
from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import filled, identifier
from turnkeep.sqitch.errors import RegistryError, UnknownChangeError
from turnkeep.sqitch.plan import ambiguous, split_offset
from turnkeep.sqitch.planparser import decode_note
from turnkeep.sqitch.server import lost, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from turnkeep.libpq import Connection
    from turnkeep.sqitch.plan import Change, Depend, Plan

RELEASE = "1.1"
_UTC = """'YYYY-MM-DD"T"HH24:MI:SS"Z"'"""
# The registry before release 1.0 has no script_hash.
_COLUMNS = """
    c.change_id, c.change, c.project, c.note,
    pg_catalog.to_char(c.planned_at at time zone 'UTC', {utc}),
    c.planner_name, c.planner_email,
    array(
        select t.tag from {registry}.tags t
        where t.change_id = c.change_id order by t.tag
    ),
    pg_catalog.to_jsonb(c) ->> 'script_hash',
    pg_catalog.to_char(c.committed_at at time zone 'UTC', {utc}),
    c.committer_name, c.committer_email
"""


class Deployed(NamedTuple):
    """A change as the registry has it. Tags come with their @, in order of name."""

    id: str
    name: str
    project: str
    note: str
    planned_at: str
    planner_name: str
    planner_email: str
    tags: tuple[str, ...]
    script_hash: str | None = None
    committed_at: str = ""
    committer_name: str = ""
    committer_email: str = ""

    @property
    def label(self) -> str:
        """Give the name and the tags, as every listing shows them."""
        return " ".join([self.name, *self.tags])


class DeployedTag(NamedTuple):
    """A tag as the registry has it, with its @."""

    tag: str
    committed_at: str
    committer_name: str
    committer_email: str


class Event(NamedTuple):
    """A line of the history: ``event`` is deploy, revert or fail."""

    event: str
    project: str
    change_id: str
    change: str
    note: str
    requires: tuple[str, ...]
    conflicts: tuple[str, ...]
    tags: tuple[str, ...]
    committer_name: str
    committer_email: str
    committed_at: str
    planner_name: str
    planner_email: str
    planned_at: str


def from_plan(change: Change, project: str) -> Deployed:
    """Describe a planned change as the registry would."""
    return Deployed(
        id=change.id,
        name=change.name,
        project=project,
        note=change.note,
        planned_at=change.planned_at,
        planner_name=change.planner_name,
        planner_email=change.planner_email,
        tags=tuple(f"@{tag.name}" for tag in change.tags),
    )


class Registry(NamedTuple):
    """The registry in one schema of one database, for one project."""

    connection: Connection
    schema: str
    plan: Plan | None
    project: str
    destination: str

    def is_initialized(self) -> bool:
        """Tell whether the registry's tables exist."""
        return bool(
            self._value(
                """
                select exists (
                    select from pg_catalog.pg_tables
                    where schemaname = %s and tablename = 'changes'
                )
                """,
                self.schema,
            )
        )

    def version(self) -> str | None:
        """Give the release of the tables; 0: before the first, None: there are none."""
        ((is_there, has_releases),) = self._rows(
            """
            select coalesce(bool_or(tablename = 'changes'), false),
                coalesce(bool_or(tablename = 'releases'), false)
            from pg_catalog.pg_tables where schemaname = %s
            """,
            self.schema,
        )
        if not is_there:
            return None
        if not has_releases:
            return "0"
        found = self._value("select max(version)::text from {registry}.releases")
        return found or "0"

    def check_version(self, *, may_be_older: bool = False) -> str:
        """Raise RegistryError unless the registry is there, in the release we know."""
        version = self.version()
        if version is None:
            raise RegistryError(
                f"No registry found in {self.destination}. Have you ever deployed?"
            )
        if float(version) > float(RELEASE):
            raise RegistryError(
                f"Registry version is {version} but {RELEASE} is the latest known. "
                "Please upgrade Sqitch",
                hint="a newer tool has deployed here; use it, or a newer turnkeep",
            )
        if float(version) < float(RELEASE) and not may_be_older:
            raise RegistryError(
                f"Registry is at version {version} but latest is {RELEASE}. Please run "
                'the "upgrade" command',
                hint="`turnkeep upgrade` brings it up to date, and so does a deploy",
            )
        return version

    def is_registered(self) -> bool:
        """Tell whether the project is registered.

        Raises RegistryError when its name or URI are another project's.
        """
        uri = self.plan.uri if self.plan else None
        named = self._rows(
            "select uri from {registry}.projects where project = %s", self.project
        )
        if named:
            self._check_uri(uri, named[0][0])
            return True
        if uri is not None:
            using = self._value(
                "select project from {registry}.projects where uri = %s", uri
            )
            if using is not None:
                raise RegistryError(
                    f'Cannot register "{self.project}" with URI {uri}: project '
                    f'"{using}" already using that URI'
                )
        return False

    def only_project(self) -> str:
        """Name the project, if there is one. Raises RegistryError for none, or two."""
        if not self.is_initialized():
            raise RegistryError(
                f"Database {self.destination} has not been initialized for Sqitch"
            )
        rows = self._rows("select project from {registry}.projects order by project")
        names = [name for (name,) in rows]
        if len(names) > 1:
            raise RegistryError(
                f"Use --project to select which project to query: {', '.join(names)}"
            )
        if not names:
            raise RegistryError("No projects registered")
        return str(names[0])

    def latest(self) -> Deployed | None:
        """Give the project's change that was deployed last."""
        return next(
            self._deployed("where c.project = %s order by c.committed_at desc limit 1"),
            None,
        )

    def deployed(self) -> list[Deployed]:
        """Give the project's changes, in the order in which they were deployed."""
        return list(self._deployed("where c.project = %s order by c.committed_at"))

    def deployed_since(self, change_id: str) -> list[Deployed]:
        """Give the project's changes that were deployed after this one."""
        return list(
            self._deployed(
                """
                where c.project = %s and c.committed_at > (
                    select b.committed_at from {registry}.changes b
                    where b.change_id = %s
                )
                order by c.committed_at
                """,
                change_id,
            )
        )

    def tags(self) -> list[DeployedTag]:
        """Give the project's tags, the newest first."""
        return [
            DeployedTag(*row)
            for row in self._rows(
                """
                select tag, pg_catalog.to_char(committed_at at time zone 'UTC', {utc}),
                    committer_name, committer_email
                from {registry}.tags where project = %s
                order by committed_at desc
                """,
                self.project,
            )
        ]

    def are_deployed(self, change_ids: Sequence[str]) -> list[str]:
        """Give those of the identifiers that are deployed already."""
        return [
            row[0]
            for row in self._rows(
                """
                select change_id from {registry}.changes where change_id = any(%s)
                """,
                list(change_ids),
            )
        ]

    def hashes(self) -> dict[str, str]:
        """Give the script hashes of the project's deployed changes with their names."""
        return dict(
            self._rows(
                """
                select script_hash, change from {registry}.changes
                where project = %s and script_hash is not null
                """,
                self.project,
            )
        )

    def id_for_depend(self, depend: Depend) -> str | None:
        """Resolve a dependency: of several instances of a name, the oldest."""
        if depend.id is not None:
            return self._value(
                "select change_id from {registry}.changes where change_id = %s",
                depend.id,
            )
        project = depend.project or self.project
        if depend.change is not None and depend.tag is None:
            return next(iter(self._instances(project, depend.change)), None)
        return self._id_for(project, depend.change, depend.tag)

    def id_for_key(self, key: str) -> str | None:
        """Resolve ``name``, ``@tag``, ``name@tag``, an identifier, ``@HEAD^`` ...

        Raises UnknownChangeError when a bare name has several instances.
        """
        key, offset = split_offset(key)
        name, _, tag = key.partition("@")
        if not tag and len(name) == 40:  # noqa: PLR2004 - a SHA-1
            found = self._value(
                "select change_id from {registry}.changes where change_id = %s", name
            )
        elif not tag and name in ("HEAD", "ROOT"):
            found = self._id_for(self.project, None, name)
        else:
            found = self._id_for(self.project, name or None, tag or None)
        if found is None or offset == 0:
            return found
        return self._step(found, offset)

    def get(self, change_id: str) -> Deployed:
        """Give the change with this identifier."""
        return next(
            self._deployed("where c.project = %s and c.change_id = %s", change_id)
        )

    def requiring(
        self, change_ids: Sequence[str]
    ) -> list[tuple[str, str, str, str, str | None]]:
        """Give what requires changes: the required, identifier, project, name, tag."""
        return [
            (row[0], row[1], row[2], row[3], row[4])
            for row in self._rows(
                """
                select d.dependency_id, c.change_id, c.project, c.change, (
                    select t.tag
                    from {registry}.changes l
                    join {registry}.tags t on t.change_id = l.change_id
                    where l.project = c.project and l.committed_at >= c.committed_at
                    order by l.committed_at
                    limit 1
                )
                from {registry}.dependencies d
                join {registry}.changes c on c.change_id = d.change_id
                where d.dependency_id = any(%s) and not c.change_id = any(%s)
                """,
                list(change_ids),
                list(change_ids),
            )
        ]

    def events(  # noqa: PLR0913 - one filter of `sqitch log` each
        self,
        *,
        kinds: Sequence[str] = (),
        change: str | None = None,
        project: str | None = None,
        committer: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        ascending: bool = False,
    ) -> list[Event]:
        """Search the history of all projects; patterns are regular expressions."""
        rows = self._rows(
            """
            select e.event, e.project, e.change_id, e.change, e.note,
                e.requires, e.conflicts, e.tags,
                e.committer_name, e.committer_email,
                pg_catalog.to_char(e.committed_at at time zone 'UTC', {utc}),
                e.planner_name, e.planner_email,
                pg_catalog.to_char(e.planned_at at time zone 'UTC', {utc})
            from {registry}.events e
            where (%s::text[] is null or e.event = any(%s))
                and (%s::text is null or e.change ~ %s)
                and (%s::text is null or e.project ~ %s)
                and (%s::text is null or e.committer_name ~ %s)
            order by e.committed_at {direction}
            limit %s offset %s
            """,
            *([list(kinds) or None] * 2),
            *([change] * 2),
            *([project] * 2),
            *([committer] * 2),
            limit,
            offset,
            direction="asc" if ascending else "desc",
        )
        return [_event(row) for row in rows]

    def _check_uri(self, uri: str | None, registered: str | None) -> None:
        if uri == registered:
            return
        wanted = "without URI" if uri is None else f"with URI {uri}"
        has = "NULL URI" if registered is None else f"URI {registered}"
        raise RegistryError(
            f'Cannot register "{self.project}" {wanted}: already exists with {has}'
        )

    def _id_for(self, project: str, change: str | None, tag: str | None) -> str | None:
        """Resolve a name, a tag, or both; Raises UnknownChangeError if ambiguous."""
        if change is None:
            return self._id_for_tag(project, tag)
        if tag == "ROOT":
            return None
        if tag is not None and tag != "HEAD":
            return self._value(
                """
                select c.change_id
                from {registry}.changes c
                join {registry}.tags t
                    on c.committed_at <= t.committed_at and c.project = t.project
                where c.project = %s and c.change = %s and t.tag = %s
                order by c.committed_at desc
                limit 1
                """,
                project,
                change,
                f"@{tag}",
            )
        found = self._instances(project, change)
        if len(found) > 1 and tag is None:
            raise self._ambiguous(change, found)
        return found[-1] if found else None

    def _id_for_tag(self, project: str, tag: str | None) -> str | None:
        if tag in ("HEAD", "ROOT"):
            return self._value(
                """
                select change_id from {registry}.changes where project = %s
                order by committed_at {direction} limit 1
                """,
                project,
                direction="desc" if tag == "HEAD" else "asc",
            )
        return self._value(
            "select change_id from {registry}.tags where project = %s and tag = %s",
            project,
            f"@{tag}",
        )

    def _instances(self, project: str, change: str) -> list[str]:
        return [
            row[0]
            for row in self._rows(
                """
                select change_id from {registry}.changes
                where project = %s and change = %s
                order by committed_at
                """,
                project,
                change,
            )
        ]

    def _ambiguous(self, name: str, found: Sequence[str]) -> UnknownChangeError:
        names = []
        for change_id in reversed(found):
            planned = self.plan.find(change_id) if self.plan else None
            names.append(
                planned.qualified_name
                if planned
                else self._value(
                    """
                    select c.change || coalesce((
                        select t.tag
                        from {registry}.changes l
                        join {registry}.tags t on t.change_id = l.change_id
                        where l.project = c.project
                            and l.committed_at >= c.committed_at
                        order by l.committed_at
                        limit 1
                    ), '@HEAD')
                    from {registry}.changes c where c.change_id = %s
                    """,
                    change_id,
                )
                or change_id
            )
        return ambiguous(name, names)

    def _step(self, change_id: str, offset: int) -> str | None:
        return self._value(
            """
            select c.change_id from {registry}.changes c
            where c.project = %s and c.committed_at {operator} (
                select b.committed_at from {registry}.changes b where b.change_id = %s
            )
            order by c.committed_at {direction}
            limit 1 offset %s
            """,
            self.project,
            change_id,
            abs(offset) - 1,
            operator=">" if offset > 0 else "<",
            direction="asc" if offset > 0 else "desc",
        )

    def _deployed(self, rest: str, *values: object) -> Iterator[Deployed]:
        query = f"select {_COLUMNS} from {{registry}}.changes c {rest}"  # noqa: S608
        rows = self._rows(query, self.project, *values)
        for change_id, name, project, note, at, person, email, tags, *others in rows:
            # Sqitch takes a note that it reads back for the text of a plan, and decodes
            # it again; the revert event then has the result.
            yield Deployed(
                change_id,
                name,
                project,
                decode_note(note),
                at,
                person,
                email,
                tuple(tags),
                *others,
            )

    def _rows(self, query: str, *values: object, **parts: str) -> list[tuple[Any, ...]]:
        text = in_schema(query, self.schema)
        for name, part in parts.items():
            text = text.replace(f"{{{name}}}", part)
        return self._send(filled(text, values))

    def _value(self, query: str, *values: object, **parts: str) -> str | None:
        rows = self._rows(query, *values, **parts)
        return rows[0][0] if rows else None

    def _send(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            return self.connection.ask(statement)
        except libpq.Error as error:
            where = f"registry {self.schema}"
            if self.connection.closed:
                raise lost(error, where) from error
            raise RegistryError(
                said(error), where=where, hint=error.diag.message_hint
            ) from error


@cache
def in_schema(query: str, schema: str) -> str:
    """Put the schema's name into a query, and how it is to write times."""
    return query.replace("{registry}", identifier(schema)).replace("{utc}", _UTC)


def _event(row: tuple[Any, ...]) -> Event:
    event, project, change_id, change, note, requires, conflicts, tags, *others = row
    return Event(
        event,
        project,
        change_id,
        change,
        note,
        tuple(requires),
        tuple(conflicts),
        tuple(tags),
        *others,
    )
