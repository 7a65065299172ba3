"""What the README shows in SQL is what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from psycopg import Connection

README = (Path(__file__).parents[2] / "README.md").read_text()
SESSION = "\n".join(re.findall(r"```sql\n(select .*?)```", README, re.DOTALL))
EXAMPLES = re.findall(r"(?ms)^(select .*?;)\n-- ([^\n]*)$", SESSION)
FUNCTIONS = """
select p.proname::text from pg_proc as p
where p.pronamespace = 'public'::regnamespace
  and not exists (
      select from pg_depend as d
      where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
  )
"""


@pytest.mark.bare
def test_the_session_replies_as_it_says(connection: Connection) -> None:
    connection.execute("set role service_role")
    for statement, reply in EXAMPLES:
        row = connection.execute(statement).fetchone()
        assert row, statement
        checked = connection.execute(
            "select %s @> %s::jsonb", (Jsonb(row[0]), reply)
        ).fetchone()
        assert checked == (True,), f"{statement}\n-- {row[0]}"


def test_every_statement_of_the_session_has_a_reply() -> None:
    assert len(EXAMPLES) == len(re.findall("^select ", SESSION, re.MULTILINE))


@pytest.mark.parametrize("place", ["session", "table"])
def test_every_function_is_there(connection: Connection, place: str) -> None:
    functions = {name for (name,) in connection.execute(FUNCTIONS)}
    text = SESSION if place == "session" else re.sub("```.*?```", "", README)
    pattern = r"\b(?:select|from) (\w+)\(" if place == "session" else r"`(\w+)[(`]"
    assert functions - set(re.findall(pattern, text)) == set()
