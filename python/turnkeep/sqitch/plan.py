"""A plan: its changes in order, their tags, what they require, and how to find one."""

from __future__ import annotations

import re

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch.errors import UnknownChangeError

if TYPE_CHECKING:
    from collections.abc import Iterable

PUNCTUATION = "-!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~"
_OFFSET = rf"(?<![{re.escape(PUNCTUATION)}])([~^])(?:(\1)|(\d+))?\Z"


class Depend(NamedTuple):
    """One requirement or conflict of a change.

    ``project`` is None for the plan's own project and for a bare identifier.
    """

    is_conflict: bool
    project: str | None = None
    change: str | None = None
    tag: str | None = None
    id: str | None = None
    has_project: bool = False
    """Whether a project was named, be it the plan's own."""

    @property
    def key(self) -> str:
        """Give the dependency without project and exclamation mark."""
        if self.id is not None:
            return self.id
        return (self.change or "") + (f"@{self.tag}" if self.tag is not None else "")

    @property
    def text(self) -> str:
        """Give the normal form: in identifiers, registry and messages."""
        return f"{self.project}:{self.key}" if self.project else self.key


class Tag(NamedTuple):
    """A tag of a change; ``name`` comes without its @."""

    name: str
    note: str
    planned_at: str
    planner_name: str
    planner_email: str
    line: int
    info: str
    id: str


class Change(NamedTuple):
    """A change as the plan has it; times are ``YYYY-MM-DDTHH:MM:SSZ``."""

    name: str
    operator: str
    requires: tuple[Depend, ...]
    conflicts: tuple[Depend, ...]
    note: str
    planned_at: str
    planner_name: str
    planner_email: str
    tags: tuple[Tag, ...]
    rework_tags: tuple[str, ...]
    """Names of the tags up to the change that reworks this one, newest first."""
    line: int
    info: str
    id: str
    parent: str | None

    @property
    def is_reworked(self) -> bool:
        """Tell whether a later change of the plan has the same name."""
        return bool(self.rework_tags)

    @property
    def label(self) -> str:
        """Give the name and the tags, as every listing shows them."""
        return " ".join([self.name, *(f"@{tag.name}" for tag in self.tags)])

    @property
    def qualified_name(self) -> str:
        """Give the name with the tag that tells it from its reworks."""
        for tag in (*(tag.name for tag in self.tags), *self.rework_tags):
            return f"{self.name}@{tag}"
        return f"{self.name}@HEAD"


class Plan(NamedTuple):
    """A plan: ``uri`` as the registry stores it, ``changes`` in order of deployment."""

    file: str
    project: str
    uri: str | None
    pragmas: dict[str, str]
    changes: tuple[Change, ...]
    lookup: dict[str, list[int]]
    """Where in ``changes`` is what: by name, @tag, identifier."""

    def index_of(self, key: str) -> int | None:
        """Find a change by ``name``, ``@tag``, ``name@tag``, identifier, ``HEAD^`` ...

        Raises UnknownChangeError when a bare name has several instances, or a tag is
        unknown.
        """
        key, offset = split_offset(key)
        index = self._index_of(key)
        if index is None or offset == 0:
            return index
        index += offset
        return index if 0 <= index < len(self.changes) else None

    def find(self, key: str) -> Change | None:
        """Find a change; of several instances of a bare name the first."""
        if "@" in key:
            index = self.index_of(key)
        else:
            key, offset = split_offset(key)
            found = self.lookup.get(key)
            index = found[0] + offset if found else None
        if index is None or not 0 <= index < len(self.changes):
            return None
        return self.changes[index]

    def tag(self, key: str) -> Tag | None:
        """Find a tag by name, with its @ or without, or by identifier."""
        name = key.removeprefix("@")
        for change in self.changes:
            for tag in change.tags:
                if key == tag.id or name == tag.name:
                    return tag
        return None

    def next_instance(self, name: str, change_id: str) -> int | None:
        """Find the change that reworks the instance with this identifier."""
        (index,) = self.lookup[change_id]
        return next((i for i in self.lookup.get(name, ()) if i > index), None)

    def _index_of(self, key: str) -> int | None:
        name, at, tag = key.partition("@")
        if not name:
            found = self.lookup.get(f"@{tag}")
            return found[0] if found else None
        found = self.lookup.get(name)
        if not found:
            return None
        if at:
            tagged = self.lookup.get(f"@{tag}")
            if not tagged:
                raise UnknownChangeError(f'Unknown tag "@{tag}"')
            return next((i for i in reversed(found) if i <= tagged[0]), None)
        if len(found) > 1:
            raise ambiguous(
                key, [self.changes[i].qualified_name for i in reversed(found)]
            )
        return found[0]


def ambiguous(name: str, candidates: Iterable[str]) -> UnknownChangeError:
    """Say that a name has several instances, and how to tell them apart."""
    listed = "".join(f"\n  * {candidate}" for candidate in candidates)
    return UnknownChangeError(
        f'Change "{name}" is ambiguous. Please specify a tag-qualified change:{listed}'
    )


def split_offset(key: str) -> tuple[str, int]:
    """Split ``name^2`` into ``name`` and -2; ``~`` counts forward."""
    is_plain = "^" not in key and "~" not in key
    found = None if is_plain else re.search(_OFFSET, key)
    if not found:
        return key, 0
    steps = int(found[3]) if found[3] else 2 if found[2] else 1
    return key[: found.start()], -steps if found[1] == "^" else steps


def absent(file: str) -> Plan:
    """Give what stands for a plan that is not there: of no project, without changes."""
    return Plan(file, "", None, {}, (), {})
