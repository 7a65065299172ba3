"""The plan file: text to :class:`Plan`, with Sqitch's grammar and Sqitch's messages.

Pure: no file is opened here. Sqitch's parser is a set of Perl regular expressions; what
looks odd below (a change name that ends where the rest of the line can be read, a
``#`` that starts a note wherever it stands) is what those expressions accept.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.sqitch import identity
from turnkeep.sqitch.dates import moment
from turnkeep.sqitch.errors import PlanError
from turnkeep.sqitch.plan import PUNCTUATION, Change, Depend, Plan, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SYNTAX_VERSION = "1.0.0"
RESERVED = ("ROOT", "HEAD")
_BLANKS = " \t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_EVERY_BLANK = (
    " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u202f\u205f\u3000"
)
_ASCII_BLANKS = " \t"
_TIMESTAMP = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
_SHA1 = re.compile(r"[0-9a-f]{40}")
_UNESCAPED = {r"\n": "\n", r"\r": "\r", r"\\": "\\"}
_PERL_SPACE = (
    " \t\n\v\f\r\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_NAME_RULE = (
    'must not begin with punctuation, contain "@", ":", "#", "\\", "[", "]", or '
    "blanks, or end in punctuation or digits following punctuation"
)


class _Grammar(NamedTuple):
    """The expressions that Sqitch reads a line with."""

    blank_line: re.Pattern[str]
    pragma: re.Pattern[str]
    prefix: re.Pattern[str]
    rest: re.Pattern[str]
    """What may follow a name."""
    name_run: re.Pattern[str]
    """As far as a name may reach at most."""
    gap: re.Pattern[str]
    """What separates dependencies."""


def _grammar(text: str) -> _Grammar:
    """Give the expressions for a text: with the blanks of all scripts only if needed.

    Those take longer to compile than a plan of a hundred changes takes to be read.
    """
    return _compiled(_ASCII_BLANKS if text.isascii() else _BLANKS)


@cache
def _compiled(blanks: str) -> _Grammar:
    b, p = f"[{blanks}]", re.escape(PUNCTUATION)
    return _Grammar(
        blank_line=re.compile(rf"{b}*(?:#{b}*(?P<note>.+)|\Z)"),
        pragma=re.compile(
            rf"{b}*%{b}*(?P<name>[^{p}](?:[^{blanks}=]*?[^{p}{blanks}])?)"
            rf"(?:{b}*={b}*(?P<value>.+))?\Z"
        ),
        prefix=re.compile(rf"{b}*(?:(?P<tag>@)|(?P<operator>[+-]){b}*)?"),
        rest=re.compile(
            rf"{b}*(?:\[(?P<dependencies>[^\]]+)\]{b}*)?"
            rf"(?:(?P<planned_at>{_TIMESTAMP}){b}*)?"
            rf"(?:(?P<planner_name>[^<]+){b}+<(?P<planner_email>[^>]+)>)?\Z"
        ),
        name_run=re.compile(
            # "[" and "]" since 1.5
            rf"(?:(?![~/=%^\[\]]\d+(?:\Z|{b}))[^{blanks}:@#\\])+"
        ),
        gap=re.compile(rf"{b}+"),
    )


def is_name(text: str, *, at_end: bool = True) -> bool:
    """Tell whether a text is a legal name of a project, change or tag.

    Not ``at_end`` means that a separator follows, which lifts the ban on a last symbol
    with digits: ``b/6@v1`` is a legal dependency.
    """
    run = _grammar(text).name_run.match(text if at_end else text + "@")
    return (
        run is not None
        and run.end() == len(text)
        and text[0] not in PUNCTUATION
        and _may_end(text, len(text))
    )


def parse_depend(text: str, project: str) -> Depend | None:
    """Read ``[!][project:](identifier | change[@tag] | @tag)``; None: not readable.

    Raises ValueError when nothing is named.
    """
    is_conflict = text.startswith("!")
    rest = text[1:] if is_conflict else text
    other, colon, key = rest.rpartition(":")
    if colon and not is_name(other, at_end=False):
        return None
    named = other if colon and other != project else None
    if _SHA1.fullmatch(key):
        return Depend(is_conflict, named, id=key, has_project=bool(colon))
    change, at, tag = key.partition("@")
    if change and not is_name(change, at_end=not at):
        return None
    if at and not is_name(tag):
        return None
    if not key:
        raise ValueError
    return Depend(
        is_conflict,
        named,
        change or None,
        tag if at else None,
        has_project=bool(colon),
    )


def parse(text: str, file: str) -> Plan:
    """Read a plan. ``file`` is the name that messages show.

    Raises PlanError, whose message names the file and the line.
    """
    return _Parser(file, text.split("\n")).plan()


def decode(content: bytes, file: str) -> str:
    """Decode the bytes of a plan file. Raises PlanError for what is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlanError(
            f"Syntax error in {file} at line {line}: byte "
            f"0x{content[error.start]:02x} is not UTF-8",
            file=file,
            line=line,
            hint="save the plan as UTF-8",
        ) from None


def decode_note(text: str | None) -> str:
    """Decode the note of a line: without blanks around it, its escapes replaced."""
    stripped = (text or "").strip(_PERL_SPACE)
    if "\\" not in stripped:
        return stripped
    return re.sub(r"\\[\\nr]", lambda found: _UNESCAPED[found[0]], stripped)


class _Line(NamedTuple):
    number: int
    name: str
    operator: str
    is_tag: bool
    dependencies: str
    planned_at: str
    planner_name: str
    planner_email: str
    note: str


class _Draft(NamedTuple):
    """A change while its tags and its rework are still to come."""

    parsed: _Line
    number: int
    requires: list[Depend]
    conflicts: list[Depend]
    tags: list[_Line]
    rework_tags: list[str]


class _Parser:
    """A plan that is being read."""

    number: int = 0

    def __init__(self, file: str, lines: Sequence[str]) -> None:
        self.file, self.lines = file, lines
        self.pragmas: dict[str, str] = {}
        self.drafts: list[_Draft] = []
        self.section: list[_Draft] = []
        """The changes since the last tag."""
        self.seen: dict[str, int] = {}
        """Changes and @tags of the sections before, with their lines."""
        self.latest: dict[str, int] = {}
        """The last change of each name, by its place in ``drafts``."""

    def plan(self) -> Plan:
        body = self._header()
        project = self.pragmas.get("project", "")
        if project in ("", "0"):
            raise PlanError(
                f"Missing %project pragma in {self.file}",
                file=self.file,
                hint="the first lines of a plan are %syntax-version=1.0.0 and "
                "%project=NAME",
            )
        for self.number, line in body:
            if _grammar(line).blank_line.match(line):
                continue
            parsed = self._parse_line(line)
            if parsed.is_tag:
                self._add_tag(parsed)
            else:
                self._add_change(parsed)
        self._check_section()
        uri = self.pragmas.get("uri")
        return _finish(
            self.file,
            self.pragmas,
            None if uri in (None, "", "0") else uri,
            self.drafts,
        )

    def _numbered(self) -> Iterable[tuple[int, str]]:
        last = len(self.lines) - 1
        for index, line in enumerate(self.lines):
            if index < last:
                yield index + 1, line.removesuffix("\r")
            elif line:
                yield index + 1, line

    def _header(self) -> Iterable[tuple[int, str]]:
        body = iter(self._numbered())
        for self.number, line in body:
            if blank := _grammar(line).blank_line.match(line):
                if decode_note(blank["note"]) in ("", "0"):
                    break
                continue
            pragma = _grammar(line).pragma.match(_split_note(line)[0])
            if not pragma:
                raise self._error(
                    "Invalid pragma; a blank line must come between pragmas and changes"
                )
            self._add_pragma(pragma["name"], pragma["value"])
        return body

    def _add_pragma(self, name: str, value: str | None) -> None:
        if name == "syntax-version":
            value = SYNTAX_VERSION
        elif name == "project" and not (value and is_name(value)):
            raise self._error(
                f'invalid project name "{value or ""}": project names {_NAME_RULE}'
            )
        self.pragmas[name] = "1" if value is None else value

    def _parse_line(self, text: str) -> _Line:
        line, note = _split_note(text)
        prefix = _grammar(line).prefix.match(line)
        assert prefix is not None  # noqa: S101 - it matches the empty string
        name, rest = _name_and_rest(line, prefix.end())
        planned_at = rest["planned_at"] if rest else None
        planner = rest["planner_name"] if rest else None
        if (
            rest is None
            or name in ("", "0")
            or (not planned_at and re.search(_TIMESTAMP, line))
        ):
            raise self._error(f"Invalid name; names {_NAME_RULE}")
        if planned_at is None or planner in (None, "0"):
            missing = "planner name and email" if planned_at else "timestamp"
            if planned_at is None and planner in (None, "0"):
                missing = "timestamp and planner name and email"
            raise self._error(f"Missing {missing}")
        is_tag = bool(prefix["tag"])
        if name in RESERVED:
            raise self._error(f'"{"@" if is_tag else ""}{name}" is a reserved name')
        if _SHA1.match(name):
            raise self._error(
                f'"{name}" is invalid because it could be confused with a SHA1 ID'
            )
        self._check_time(planned_at)
        return _Line(
            number=self.number,
            name=name,
            operator=prefix["operator"] or "",
            is_tag=is_tag,
            dependencies=rest["dependencies"] or "",
            planned_at=planned_at,
            planner_name=rest["planner_name"],
            planner_email=rest["planner_email"],
            note=decode_note(note),
        )

    def _check_time(self, text: str) -> None:
        try:
            moment(text)
        except ValueError:
            raise self._error(f'"{text}" is no date and time') from None

    def _add_tag(self, parsed: _Line) -> None:
        name = parsed.name
        if "/" in name:
            raise self._error(f'Tag "{name}" contains illegal character /')
        if not self.drafts:
            raise self._error(f'Tag "{name}" declared without a preceding change')
        if line := self.seen.get(f"@{name}"):
            raise self._error(
                f'Tag "{name}" duplicates earlier declaration on line {line}'
            )
        if parsed.dependencies not in ("", "0"):
            raise self._error("Tags may not specify dependencies")
        self._check_section()
        self.drafts[-1].tags.append(parsed)
        self.seen.update((draft.parsed.name, draft.number) for draft in self.section)
        self.seen[f"@{name}"] = self.number
        self.section.clear()

    def _add_change(self, parsed: _Line) -> None:
        earlier = self.latest.get(parsed.name)
        if earlier is not None:
            if earlier >= len(self.drafts) - len(self.section):
                raise self._error(
                    f'Change "{parsed.name}" duplicates earlier declaration on line '
                    f"{self.drafts[earlier].number}"
                )
            self.drafts[earlier].rework_tags.extend(
                tag.name
                for draft in reversed(self.drafts[earlier:])
                for tag in draft.tags
            )
        depends = self._depends(parsed.dependencies)
        draft = _Draft(
            parsed,
            self.number,
            [depend for depend in depends if not depend.is_conflict],
            [depend for depend in depends if depend.is_conflict],
            [],
            [],
        )
        self.latest[parsed.name] = len(self.drafts)
        self.drafts.append(draft)
        self.section.append(draft)

    def _depends(self, text: str) -> list[Depend]:
        found: dict[str, Depend] = {}
        parts = _grammar(text).gap.split(text) if text not in ("", "0") else []
        while parts and not parts[-1]:
            parts.pop()
        for part in parts:
            try:
                depend = parse_depend(part, self.pragmas["project"])
            except ValueError:
                raise self._error(
                    'Depend object must have either "change", "tag", or "id" defined'
                ) from None
            if depend is None:
                raise self._error(f'"{part}" is not a valid dependency specification')
            if part in found:
                raise self._error(f'Duplicate dependency "{part}"')
            found[part] = depend
        return list(found.values())

    def _check_section(self) -> None:
        """Check the requirements of the changes since the last tag, as Sqitch does."""
        position: dict[str, int] = {}
        unmet: list[tuple[str, list[str]]] = []
        for index, draft in enumerate(self.section, start=1):
            keys = [
                depend.key
                for depend in draft.requires
                if not depend.project and not self._is_met(depend, position)
            ]
            position[draft.parsed.name] = index
            if keys:
                unmet.append((draft.parsed.name, keys))
        if not unmet:
            return
        errors: list[str] = []
        for name, keys in unmet:
            furthest = 0
            for key in keys:
                distance = position.get(key, 0) - position[name]
                if key == name:
                    errors.append(f'Change "{name}" cannot require itself')
                elif key in position:
                    furthest = max(furthest, distance)
                    errors.append(
                        f'Change "{name}" planned {_count(distance, "change")} before '
                        f'required change "{key}"'
                    )
                else:
                    errors.append(f'Unknown change "{key}" required by change "{name}"')
            if furthest:
                errors[-1] += (
                    f'\n    HINT: move "{name}" down {_count(furthest, "line")} in '
                    f"{self.file}"
                )
        title = "errors" if len(errors) > 1 else "error"
        lines = [draft.number for draft in self.section]
        raise PlanError(
            "\n  ".join([f"Dependency {title} detected:", *errors]),
            file=self.file,
            line=next(
                number
                for number, draft in zip(lines, self.section, strict=True)
                if draft.parsed.name == unmet[0][0]
            ),
        )

    def _is_met(self, depend: Depend, position: dict[str, int]) -> bool:
        if depend.id is not None:
            # Sqitch looks for the identifier among the names.
            return not depend.has_project
        if depend.change is not None and depend.tag is not None:
            tagged = self.seen.get(f"@{depend.tag}", 0)
            return 0 < self.seen.get(depend.change, 0) < tagged
        return depend.key in self.seen or depend.key in position

    def _error(self, message: str) -> PlanError:
        return PlanError(
            f"Syntax error in {self.file} at line {self.number}: {message}",
            file=self.file,
            line=self.number,
        )


def _finish(
    file: str, pragmas: dict[str, str], uri: str | None, drafts: list[_Draft]
) -> Plan:
    project = pragmas["project"]
    changes: list[Change] = []
    lookup: dict[str, list[int]] = {}
    for index, draft in enumerate(drafts):
        parsed = draft.parsed
        parent = changes[-1].id if changes else None
        info = identity.change_info(
            project=project,
            uri=uri,
            change=parsed.name,
            parent=parent,
            planner=f"{parsed.planner_name} <{parsed.planner_email}>",
            planned_at=parsed.planned_at,
            requires=(depend.text for depend in draft.requires),
            conflicts=(depend.text for depend in draft.conflicts),
            note=parsed.note,
        )
        change_id = identity.object_id("change", info)
        change = Change(
            name=parsed.name,
            operator=parsed.operator,
            requires=tuple(draft.requires),
            conflicts=tuple(draft.conflicts),
            note=parsed.note,
            planned_at=parsed.planned_at,
            planner_name=parsed.planner_name,
            planner_email=parsed.planner_email,
            tags=tuple(_tag(project, uri, change_id, tag) for tag in draft.tags),
            rework_tags=tuple(draft.rework_tags),
            line=draft.number,
            info=info,
            id=change_id,
            parent=parent,
        )
        changes.append(change)
        lookup.setdefault(change.name, []).append(index)
        lookup[change.id] = [index]
        for tag in change.tags:
            lookup[f"@{tag.name}"] = lookup[tag.id] = [index]
    if changes:
        lookup["HEAD"] = lookup["@HEAD"] = [len(changes) - 1]
        lookup["ROOT"] = lookup["@ROOT"] = [0]
    registered = None if uri is None else identity.registered_uri(uri)
    return Plan(file, project, registered, pragmas, tuple(changes), lookup)


def _tag(project: str, uri: str | None, change_id: str, parsed: _Line) -> Tag:
    info = identity.tag_info(
        project=project,
        uri=uri,
        tag=parsed.name,
        change_id=change_id,
        planner=f"{parsed.planner_name} <{parsed.planner_email}>",
        planned_at=parsed.planned_at,
        note=parsed.note,
    )
    return Tag(
        name=parsed.name,
        note=parsed.note,
        planned_at=parsed.planned_at,
        planner_name=parsed.planner_name,
        planner_email=parsed.planner_email,
        line=parsed.number,
        info=info,
        id=identity.object_id("tag", info),
    )


def _split_note(line: str) -> tuple[str, str]:
    """Part a line from its note, which begins with the first #."""
    rest, _, note = line.partition("#")
    return rest.rstrip(_EVERY_BLANK), note


def _name_and_rest(line: str, start: int) -> tuple[str, re.Match[str] | None]:
    """Take the longest legal name after which the rest of the line can be read."""
    grammar = _grammar(line)
    run = grammar.name_run.match(line, start)
    if run and line[start] not in PUNCTUATION:
        for end in range(run.end(), start, -1):
            if _may_end(line, end) and (rest := grammar.rest.match(line, end)):
                return line[start:end], rest
    return "", None


def _may_end(text: str, end: int) -> bool:
    if not end or text[end - 1] in PUNCTUATION:
        return False
    after = end < len(text) and _is_word(text[end])
    return _is_word(text[end - 1]) != after


def _is_word(character: str) -> bool:
    r"""Tell what Perl's ``\w`` matches, which is more than Python's: also marks."""
    if character.isascii():
        return character.isalnum() or character == "_"
    category = unicodedata.category(character)
    return (
        category[0] in "LM"
        or category in ("Nd", "Nl", "Pc")
        or character in "\u200c\u200d"
        or 0x24B6 <= ord(character) <= 0x24E9  # noqa: PLR2004 - circled letters
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
