"""One pool per process and database: threads, loops, forks, a pooler, the exit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from support.pooler import pgbouncer
from turnkeep.calls import append_turn
from turnkeep.client import AsyncClient, Client, connect

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.running import Gateway
    from turnkeep.calls import NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]
OTHERS = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
)


def sessions(connection: psycopg.Connection[Any]) -> int:
    """Count the server's sessions in the database, this one left out."""
    row = connection.execute(OTHERS).fetchone()
    assert row
    return int(row[0])


def test_each_loop_has_one_client_and_one_pool(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    counted: list[int] = []
    barrier = threading.Barrier(4, lambda: counted.append(sessions(connection)))

    async def one(number: int) -> AsyncClient:
        client = AsyncClient.shared(database)
        await client(append_turn(f"c{number % 3}", HELLO))
        return client

    async def loop() -> AsyncClient:
        clients = set(await asyncio.gather(*map(one, range(16))))
        barrier.wait(60)
        (client,) = clients
        await client.close()
        return client

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(asyncio.run, loop()) for _ in range(4)]
        clients = {future.result() for future in futures}
    assert len(clients) == 4
    assert 4 <= counted[0] <= 4 * 10
    stored = connection.execute("select count(*) from public.messages").fetchone()
    assert stored == (64,)


def script(database: str, text: str, timeout: float | None = None) -> str:
    """Run a program with the database as its environment; it may not warn."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(text)],
        env={**os.environ, "TURNKEEP_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_forked_process_has_a_pool_of_its_own_and_leaves_the_parents_alone(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    printed = script(
        database,
        """
        import os, sys
        from turnkeep import Client
        from turnkeep.calls import append_turn, health
        say = lambda name: append_turn(name, [{"role": "user", "content": "x"}])
        Client.shared()(say("parent"))
        child = os.fork()
        Client.shared()(say("child"))
        if not child:
            sys.exit()    # an exit with all that is registered for it
        _, status = os.waitpid(child, 0)
        for _ in range(3):
            Client.shared()(say("parent"))
        print(status, Client.shared().retries)
        """,
    )
    assert printed == "0 0\n"
    stored = connection.execute(
        "select continuation_id, next_seq from public.conversations order by 1"
    ).fetchall()
    assert stored == [("child", 3), ("parent", 5)]
    while sessions(connection):
        pass


def test_a_forked_process_has_connections_to_a_gateway_of_its_own(
    gateway: Gateway,
) -> None:
    """Both ask at once: over one connection each would get the other's answers."""
    printed = script(
        "",
        f"""
        import os, sys
        from turnkeep.client import connect
        from turnkeep.calls import append_turn, get_thread
        client = connect({gateway.url!r}, key={gateway.service_key!r})
        for name in ("parent", "child"):
            client(append_turn(name, [{{"role": "user", "content": name}}]))
        child = os.fork()
        name = "parent" if child else "child"
        for _ in range(50):
            thread = client(get_thread(name))
            assert thread.messages[0].content == name
        assert client.retries == 0
        if not child:
            client.close()
            sys.exit()
        print(os.waitpid(child, 0)[1])
        client.close()
        """,
        timeout=120,
    )
    assert printed == "0\n"


AT_EXIT = """
import atexit
from turnkeep.errors import Closed

@atexit.register    # before what the client registers, and so after it
def tell():
    try:
        client(health())
    except Closed:
        print("closed")
"""


def test_the_shared_client_is_closed_at_exit(database: str) -> None:
    printed = script(
        database,
        f"""
        {textwrap.indent(AT_EXIT, " " * 8).strip()}

        from turnkeep import Client
        from turnkeep.calls import health
        client = Client.shared()
        print(client(health()).status)
        """,
    )
    assert printed == "ok\nclosed\n"


def test_the_shared_client_of_a_gateway_is_closed_at_exit(gateway: Gateway) -> None:
    printed = script(
        "",
        f"""
        {textwrap.indent(AT_EXIT, " " * 8).strip()}

        import asyncio, logging, os
        logging.getLogger("asyncio").setLevel(logging.ERROR)    # "slow callback"
        os.environ |= {{
            "SUPABASE_URL": {gateway.url!r},
            "SUPABASE_SECRET_KEY": {gateway.service_key!r},
        }}
        from turnkeep import AsyncClient, Client
        from turnkeep.calls import health

        async def ask():
            async with AsyncClient.shared() as client:
                assert client is AsyncClient.shared()
                return (await client(health())).status

        client = Client.shared()
        assert client is Client.shared()
        print(client(health()).status, *(asyncio.run(ask()) for _ in range(2)))
        """,
    )
    assert printed == "ok ok ok\nclosed\n"


def test_a_loop_ends_whatever_its_pool_is_doing(
    database: str, connection: psycopg.Connection[Any]
) -> None:
    printed = script(
        database,
        """
        import asyncio, logging
        from turnkeep.calls import health
        from turnkeep.client import AsyncClient, connect_async
        logging.getLogger("psycopg").disabled = True    # "query cancelled"
        logging.getLogger("psycopg.pool").disabled = True
        logging.getLogger("asyncio").setLevel(logging.ERROR)    # "slow callback"

        async def cut(steps):
            client = connect_async()
            calls = [asyncio.create_task(client(health())) for _ in range(4)]
            for _ in range(steps):
                await asyncio.sleep(0)
                if any(call.done() for call in calls):
                    break

        async def leave():
            client = connect_async()
            await client(health())    # and the pool grows for a second connection

        for round in range(10):
            asyncio.run(cut(4 ** round))
            asyncio.run(leave())
        print("ended")
        """,
        timeout=120,
    )
    assert printed == "ended\n"
    while sessions(connection):
        pass


def test_a_users_call_is_one_round_trip(database: str, tmp_path: Path) -> None:
    sent = tmp_path / "messages"
    opened: list[TracedConnection] = []

    class TracedConnection(psycopg.Connection[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            opened.append(self)

    with Client(database, max_size=1, connection_class=TracedConnection) as client:
        user = client.acting_as(uuid4())
        # Also when the statement is prepared: after five calls.
        for _ in range(8):
            user(append_turn("c", HELLO))
            with sent.open("ab") as file:
                opened[0].pgconn.trace(file.fileno())
                user(append_turn("c", HELLO))
                opened[0].pgconn.untrace()
    kinds = Counter(line.split("\t")[3] for line in sent.read_text().splitlines())
    assert (kinds["Sync"], kinds["ReadyForQuery"], kinds["Flush"]) == (8, 8, 0)


def test_a_machine_that_goes_without_a_word_is_not_waited_for_for_hours(
    database: str,
) -> None:
    opened: list[psycopg.Connection[Any]] = []

    class NotedConnection(psycopg.Connection[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            opened.append(self)

    conninfo = make_conninfo(database, keepalives_idle=7)
    with Client(conninfo, connection_class=NotedConnection) as client:
        client(append_turn("c", HELLO))
        settings = opened[0].info.get_parameters()
    assert (settings["connect_timeout"], settings["tcp_user_timeout"]) == (
        "10",
        "10000",
    )
    assert settings["keepalives_idle"] == "7"


def test_a_pooler_in_transaction_mode_is_no_different(database: str) -> None:
    with pgbouncer(database) as conninfo:
        with connect(conninfo, max_size=4) as client, ThreadPoolExecutor(4) as threads:
            user = client.acting_as(uuid4())
            replies = threads.map(
                lambda number: (user if number % 2 else client)(
                    append_turn("c", HELLO)
                ),
                range(40),
            )
            assert Counter(reply.next_seq for reply in replies) == dict.fromkeys(
                range(2, 22), 2
            )
            assert client.retries == 0
        with psycopg.connect(conninfo, prepare_threshold=None) as session:
            left = session.execute(
                "select (select count(*) from pg_prepared_statements), current_user,"
                " current_setting('request.jwt.claims', true)"
            ).fetchone()
    assert left == (0, conninfo_to_dict(database)["user"], "")
