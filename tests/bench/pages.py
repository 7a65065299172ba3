"""Threads, lists and search among many conversations, and pages far behind.

One owner has half of all, which no owner in the field does; the rest is shared out,
100 messages an owner, of whom one searches too.
The full million of conversations with ten million messages takes a quarter of an hour
to load, and 12 GB:

  make bench ARGS='pages --conversations 1000000'
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.table import Table

from bench.cases import OWNER
from bench.measuring import scalar
from bench.orphans import cost
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = (10_000, 100_000)
MESSAGES = 10
"""A conversation."""
BYTES_A_CONVERSATION = 12_000
CALLS = 9
LIST_PAGES = (1, 10, 100)
THREAD = "public.get_thread('talk 2', 20)"
SEARCH_PAGES = (1, 5, 20)
WORDS = {"common": 5, "seldom": 1_000, "unique": 40_000, "common seldom": 1_000}
"""Words of the search, and in how many messages one of them stands."""
ORDINARY = "md5('owner 1')::uuid"
"""One of those who share the rest."""

FILL = f"""
    set session_replication_role = replica;
    set maintenance_work_mem = '512MB';
    drop index turnkeep.message_search_tsv_idx;

    insert into public.conversations (
        id, owner_id, continuation_id, next_seq, created_at, updated_at
    )
    select
        gen_random_uuid(),
        case when n % 2 = 0 then '{OWNER}' else md5('owner ' || n / 20)::uuid end,
        'talk ' || n, {MESSAGES + 1},
        t.at, t.at
    from generate_series(1, {{conversations}}) as n
    cross join lateral (select now() - n * interval '1 minute') as t (at);

    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select
        c.id, c.owner_id, s.seq, c.created_at + s.seq * interval '1 second',
        (array['user', 'assistant'])[1 + s.seq % 2]::public.message_role,
        concat_ws(
            ' ',
            case when w.number % 5 = 0 then 'common' end,
            case when w.number % 1000 = 0 then 'seldom' end,
            case when w.number % 40000 = 0 then 'unique' end,
            'word' || w.number % 9973, 'word' || w.number % 997,
            'word' || w.number % 89, 'and what else is said in a message like this'
        )
    from public.conversations as c
    cross join generate_series(1, {MESSAGES}) as s (seq)
    cross join lateral (
        select split_part(c.continuation_id, ' ', 2)::bigint / 2 * {MESSAGES} + s.seq
    ) as w (number);

    with placed as (
        select
            m.*, row_number() over (
                partition by m.owner_id order by m.created_at, m.seq
            ) as place
        from public.messages as m
    )
    insert into turnkeep.message_search (
        conversation_id, owner_id, seq, place, revision, tsv
    )
    select
        p.conversation_id, p.owner_id, p.seq, p.place, 1,
        array_to_tsvector(
            array[
                '@' || p.owner_id,
                format('@%s/1024/%s', p.owner_id, p.place / 1024),
                format('@%s/32768/%s', p.owner_id, p.place / 32768)
            ]
        )
        || to_tsvector('pg_catalog.simple', p.content)
    from placed as p;

    insert into turnkeep.search_owners (owner_id, last_place)
    select s.owner_id, max(s.place) from turnkeep.message_search as s
    group by s.owner_id;
    create index message_search_tsv_idx on turnkeep.message_search
    using gin (tsv) with (fastupdate = off);
    reset session_replication_role;
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and what it cost the server."""

    conversations: int
    call: str
    page: int
    milliseconds: float
    buffers: int


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='pages ...'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--conversations", type=int, nargs="+", default=SIZES)
    parser.add_argument("--directory", type=Path, default=Path(gettempdir()))
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args(arguments)

    needed = 2 * max(options.conversations) * BYTES_A_CONVERSATION
    free = shutil.disk_usage(options.directory).free
    if free < needed:
        parser.error(
            f"{options.directory} has {free / 1e9:.1f} GB free, and this needs"
            f" {needed / 1e9:.1f} GB: name another --directory, or fewer"
        )

    pages = []
    settings = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
    for conversations in options.conversations:
        with throwaway(find_binaries("15"), settings, options.directory) as cluster:
            conninfo = cluster.url("postgres")
            deploy(conninfo, project_directory())
            with psycopg.connect(conninfo, autocommit=True) as connection:
                for statement in FILL.format(conversations=conversations).split(";\n"):
                    if statement.strip():
                        connection.execute(statement.encode())
                connection.execute("vacuum analyze")
                pages += measure(connection, conversations)

    if options.json:
        json.dump([asdict(page) for page in pages], sys.stdout, indent=2)
        print()  # noqa: T201
    else:
        Console().print(laid_out(pages))
    return 0


def measure(connection: psycopg.Connection[Any], conversations: int) -> Iterator[Page]:
    """Read a thread, and page through the list and the matches, as the user."""

    def measured(call: str, page: int, statement: str) -> Page:
        costs = [cost(connection, statement) for _ in range(CALLS)]
        milliseconds = median(each.milliseconds for each in costs)
        return Page(conversations, call, page, milliseconds, costs[-1].buffers)

    sign_in(connection, f"'{OWNER}'")
    yield measured("get_thread", 1, f"select {THREAD}")
    calls = {
        "list_conversations": ("public.list_conversations(50, {cursor})", LIST_PAGES)
    }
    for word in WORDS:
        calls[f"search_messages: {word}"] = (
            f"public.search_messages('{word}', 20, {{cursor}})",
            SEARCH_PAGES,
        )
    for name, (call, wanted) in calls.items():
        cursor = "null"
        for page in range(1, wanted[-1] + 1):
            statement = "select " + call.format(cursor=cursor)
            if page in wanted:
                yield measured(name, page, statement)
            following = scalar(connection, f"{statement} ->> 'cursor'")
            if following is None:
                break
            cursor = f"'{following}'"

    sign_in(connection, ORDINARY)
    for word in WORDS:
        call = f"search_messages: {word}, of 100 messages"
        yield measured(call, 1, f"select public.search_messages('{word}', 20)")


def sign_in(connection: psycopg.Connection[Any], owner: str) -> None:
    """Be an owner from now on, whom an SQL expression gives."""
    connection.execute("reset role")
    claims = f"jsonb_build_object('sub', {owner})::text"
    query = f"select set_config('request.jwt.claims', {claims}, false)"
    connection.execute(query.encode())
    connection.execute("set role authenticated")


def laid_out(pages: Sequence[Page]) -> Table:
    """Lay out the pages, the sizes side by side."""
    sizes = sorted({page.conversations for page in pages})
    table = Table(title="Pages, in the server")
    table.add_column("")
    table.add_column("page", justify="right")
    for size in sizes:
        table.add_column(f"{size:,}: ms", justify="right")
        table.add_column("buffers", justify="right")
    found = {(page.call, page.page, page.conversations): page for page in pages}
    for call, number in dict.fromkeys((page.call, page.page) for page in pages):
        cells = []
        for size in sizes:
            page = found.get((call, number, size))
            cells += (
                [f"{page.milliseconds:.1f}", f"{page.buffers:,}"] if page else ["", ""]
            )
        table.add_row(call, f"{number}", *cells)
    return table
