"""The part of PostgREST's query strings that tests need: columns, filters, pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from gateway.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "is": "is",
    "in": "in",
}
FILTER = re.compile(rf"(not\.)?({'|'.join(OPERATORS)})\.(.*)", re.DOTALL)
IS = {"null": "null", "true": "true", "false": "false", "unknown": "unknown"}
RESERVED = ("select", "order", "limit", "offset", "columns", "on_conflict")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns of which rows, in which order."""

    columns: sql.Composable
    conditions: Sequence[sql.Composable]
    order: sql.Composable
    page: sql.Composable

    @property
    def where(self) -> sql.Composable:
        """The conditions as a clause, or nothing."""
        if not self.conditions:
            return sql.SQL("")
        return sql.SQL(" where ") + sql.SQL(" and ").join(self.conditions)

    @classmethod
    def parse(cls, query: Sequence[tuple[str, str]], max_rows: int) -> Selection:
        """Read the pairs of a query string."""
        said = dict(query)
        columns = said.get("select", "*")
        limit = min(int(said.get("limit", max_rows)), max_rows)
        return cls(
            sql.SQL("*")
            if columns == "*"
            else sql.SQL(", ").join(map(sql.Identifier, columns.split(","))),
            [_condition(*pair) for pair in query if pair[0] not in RESERVED],
            _order(said.get("order")),
            sql.SQL(" limit {} offset {}").format(limit, int(said.get("offset", 0))),
        )


def is_filter(value: str) -> bool:
    """Tell whether a value of a query string is a condition and not an argument."""
    return FILTER.fullmatch(value) is not None


def _condition(column: str, value: str) -> sql.Composable:
    match = FILTER.fullmatch(value)
    if match is None:
        raise Refused(
            400,
            "PGRST100",
            f'"failed to parse filter ({value})" (line 1, column 1)',
            f"unexpected value of {column}",
        )
    negation, operator, operand = match.groups()
    if operator == "in":
        texts = operand.strip("()").split(",")
        listed = sql.SQL(", ").join(sql.Literal(text.strip('"')) for text in texts)
        right: sql.Composable = sql.SQL("({})").format(listed)
    elif operator == "is":
        right = sql.SQL(IS[operand])
    else:
        right = sql.Literal(
            operand.replace("*", "%") if "like" in operator else operand
        )
    condition = sql.SQL("{} {} {}").format(
        sql.Identifier(column), sql.SQL(OPERATORS[operator]), right
    )
    return sql.SQL("not ({})").format(condition) if negation else condition


def _order(terms: str | None) -> sql.Composable:
    if not terms:
        return sql.SQL("")
    written = []
    for term in terms.split(","):
        column, *modes = term.split(".")
        direction = sql.SQL(" desc" if "desc" in modes else "")
        written.append(sql.Identifier(column) + direction)
    return sql.SQL(" order by ") + sql.SQL(", ").join(written)
