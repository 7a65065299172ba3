"""What the preview of a script finds in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkeep.sqitch.lexer import Statement
from turnkeep.sqitch.psql import Psql

if TYPE_CHECKING:
    from collections.abc import Mapping


def statements(
    text: str, variables: Mapping[str, str], file: str = "x.sql"
) -> list[Statement]:
    """Give the statements of a script that nothing but its text decides."""
    actions = Psql(dict(variables)).read(text, file)
    return [each for each in actions if isinstance(each, Statement)]
