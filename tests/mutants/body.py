"""Mutants of the bodies of PL/pgSQL functions: what guards is taken out, one at a time.

A scanner that knows strings, comments and parentheses is enough: a condition reaches to
the next word that ends it at its own depth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mutants.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from psycopg import Connection

TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
    |(?P<quote>\$\w*\$)                        # $query$: what is inside is code, too
    |(?P<string>'(?:[^']|'')*')
    |(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<other>:=|=>|<>|<=|>=|\|\||->>?|\#>>?|&&|@@|::|!?~\*?|.)
    """,
    re.VERBOSE | re.DOTALL,
)
OPENINGS = {")": "(", "]": "[", "end": "case"}
ENDS = {
    *("where", "group", "order", "limit", "for", "returning", "union", "having", "on"),
    *("into", "window", "loop", "then", "else", "when", "end", "from", "set", "using"),
    *("join", "left", "cross", "inner", "as"),
}
"""Words that end a condition."""
COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*")
"""A comment; strings are taken along, because they may have dashes."""
LONGEST = 80
"""Characters of a name's side."""
LOCKS = re.compile(
    r"\s+for (?P<strength>no key update|update|key share)(?P<skip> skip locked)?"
)
FUNCTIONS = """
select case n.nspname when 'public' then 'functions/' else 'core/' end || p.proname,
    pg_get_functiondef(p.oid), p.prosrc
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
join pg_language as l on l.oid = p.prolang
where n.nspname in ('public', 'turnkeep')
  and l.lanname = 'plpgsql'
  and p.prorettype <> 'trigger'::regtype
order by 1
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, string or sign; ``depth`` counts what :func:`tokens` pairs."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A part of the body, and what stands there instead."""

    start: int
    end: int
    instead: str


@dataclass(frozen=True, slots=True)
class Scan:
    """A body and its tokens."""

    body: str
    tokens: list[Token]

    def end(self, start: int) -> int:
        """Find the token that ends the condition that begins at ``start``."""
        depth = self.tokens[start].depth
        for i in range(start, len(self.tokens)):
            token = self.tokens[i]
            if token.depth > depth:
                continue
            if token.depth < depth or token.text in (";", ","):
                return i
            # "is distinct from" ends nothing, nor does the function left().
            is_other = (token.text, self.tokens[i - 1].text) == (
                "from",
                "distinct",
            ) or ((token.text, self.tokens[i + 1].text) == ("left", "("))
            if token.text in ENDS and i > start and not is_other:
                return i
        return len(self.tokens)


def of_bodies(connection: Connection[Any]) -> Iterator[Mutant]:
    """Derive the mutants of all function bodies."""
    for path, definition, body in connection.execute(FUNCTIONS):
        seen: dict[str, int] = {}
        for edit in dict.fromkeys(edits(body)):
            name = described(body, edit)
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name = f"{name} ({seen[name]})"
            mutated = body[: edit.start] + edit.instead + body[edit.end :]
            yield Mutant(path, name, definition.replace(body, mutated), definition)


def described(body: str, edit: Edit) -> str:
    """Say what an edit does, on one line that is not too long."""
    taken, instead = (
        " ".join(COMMENT.sub(r"\1", text).split())
        for text in (body[edit.start : edit.end], edit.instead)
    )
    return f"{_short(taken)} → {_short(instead) or 'nothing'}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:50]} ... {text[-25:]}"


def tokens(body: str) -> list[Token]:
    """Scan a body; a CASE is as deep as a pair of parentheses, as is a $query$."""
    found: list[Token] = []
    stack: list[str] = []
    for match in TOKEN.finditer(body):
        kind, text = str(match.lastgroup), match[0]
        if kind == "space":
            continue
        opening = OPENINGS.get(text, text if kind == "quote" else None)
        if closes := stack[-1:] == [opening]:
            stack.pop()
        found.append(Token(kind, text, match.start(), match.end(), len(stack)))
        if not closes and (kind == "quote" or text in OPENINGS.values()):
            stack.append(text)
    return found


def edits(body: str) -> Iterator[Edit]:
    """Give every edit of a body, in no order."""
    scan = Scan(body, tokens(body))
    for i, token in enumerate(scan.tokens[:-1]):
        if token.kind == "word" and token.text in RULES:
            yield from RULES[token.text](scan, i)
        if scan.tokens[i + 1].text == ":=":
            yield from _statement(scan, i)
    for match in LOCKS.finditer(body):
        yield Edit(match.start(), match.end(), "")
        if match["skip"]:
            yield Edit(match.start("skip"), match.end("skip"), "")
        if match["strength"] == "update":
            yield Edit(*match.span("strength"), "no key update")


def _where(scan: Scan, at: int) -> Iterator[Edit]:
    yield from _condition(scan, at + 1, "true")


def _on(scan: Scan, at: int) -> Iterator[Edit]:
    """Take out how rows are joined, or what happens to doubles."""
    after = scan.tokens[at + 1].text
    if after == "conflict":
        yield from _clause(scan, at, {"returning", "loop"})
    elif after != "constraint":
        yield from _condition(scan, at + 1, "true")


def _if(scan: Scan, at: int) -> Iterator[Edit]:
    if scan.tokens[at - 1].text != "end":
        yield from _condition(scan, at + 1, "false", "true")


def _when(scan: Scan, at: int) -> Iterator[Edit]:
    """Take out the condition of a case, or of an exit, but no plain value."""
    if scan.tokens[at].depth or scan.tokens[at - 1].text == "exit":
        yield from _condition(scan, at + 1, "false", "true")


def _distinct(scan: Scan, at: int) -> Iterator[Edit]:
    token = scan.tokens[at]
    if scan.tokens[at - 1].text not in ("is", "not"):
        yield Edit(token.start, token.end, "")


def _order(scan: Scan, at: int) -> Iterator[Edit]:
    yield from _clause(scan, at, {"limit", "for", "loop", "union", "on"})


def _limit(scan: Scan, at: int) -> Iterator[Edit]:
    yield from _clause(scan, at, {"for", "loop", "union", "on"})


def _between(scan: Scan, at: int) -> Iterator[Edit]:
    """Move each end of "between 1 and 200" by one."""
    for token, step in ((scan.tokens[at + 1], -1), (scan.tokens[at + 3], 1)):
        if token.kind == "number":
            yield Edit(token.start, token.end, str(int(token.text) + step))


def _statement(scan: Scan, at: int) -> Iterator[Edit]:
    """Take out a statement that begins here, if one does."""
    if scan.tokens[at - 1].text not in (";", "then", "loop", "begin", "else"):
        return
    rest = scan.tokens[at:]
    last = next(i for i, token in enumerate(rest, at) if token.text == ";") - 1
    yield Edit(scan.tokens[at].start, scan.tokens[last].end, "null")


def _call(scan: Scan, at: int) -> Iterator[Edit]:
    """Leave the first argument of a call; of the symmetric ones, each."""
    words = scan.tokens
    depth = words[at + 1].depth
    close = next(i for i in range(at + 2, len(words)) if words[i].depth == depth)
    commas = [
        i
        for i in range(at + 2, close)
        if words[i].depth == depth + 1 and words[i].text == ","
    ]
    starts = [at + 2, *[comma + 1 for comma in commas]]
    ends = [*commas, close]
    count = 1 if words[at].text in ("coalesce", "nullif") else len(starts)
    for first, after in list(zip(starts, ends, strict=True))[:count]:
        argument = scan.body[words[first].start : words[after - 1].end]
        yield Edit(words[at].start, words[close].end, f"({argument})")


RULES = {
    "where": _where,
    "on": _on,
    "if": _if,
    "elsif": _if,
    "when": _when,
    "distinct": _distinct,
    "order": _order,
    "limit": _limit,
    "between": _between,
    **dict.fromkeys(("coalesce", "nullif", "greatest", "least"), _call),
    **dict.fromkeys(("perform", "update", "delete", "insert"), _statement),
}
"""What to take out where a word stands."""


def _condition(scan: Scan, start: int, *instead: str) -> Iterator[Edit]:
    """Take a condition out as a whole, and each part of an "and" or "or"."""
    end = scan.end(start)
    if end == start + 1 and scan.tokens[start].kind == "string":
        return
    bounds, kinds = _parts(scan, start, end)
    if len(bounds) > 1:
        for first, after in zip(bounds, [*bounds[1:], end + 1], strict=True):
            part = (scan.tokens[first].start, scan.tokens[after - 2].end)
            yield Edit(*part, "false" if "or" in kinds else "true")
    # "and" with one part that is true is weaker than each, and tells no more.
    if "false" in instead or len(bounds) == 1 or "or" in kinds:
        for word in instead:
            yield Edit(scan.tokens[start].start, scan.tokens[end - 1].end, word)


def _parts(scan: Scan, start: int, end: int) -> tuple[list[int], set[str]]:
    """Find where the parts of a condition begin, and the words between them."""
    depth = scan.tokens[start].depth
    bounds, kinds, is_between = [start], set(), False
    for i in range(start, end):
        text = scan.tokens[i].text
        if scan.tokens[i].depth != depth or text not in ("between", "and", "or"):
            continue
        if text == "between" or is_between:
            is_between = text == "between"
        else:
            kinds.add(text)
            bounds.append(i + 1)
    return bounds, kinds


def _clause(scan: Scan, start: int, ends: set[str]) -> Iterator[Edit]:
    """Take out from one word to the next that ends it; a comma does not."""
    depth = scan.tokens[start].depth
    rest = enumerate(scan.tokens[start + 1 :], start + 1)
    end = next(
        i
        for i, token in rest
        if token.depth < depth or (token.depth == depth and token.text in {*ends, ";"})
    )
    yield Edit(scan.tokens[start].start, scan.tokens[end - 1].end, "")
