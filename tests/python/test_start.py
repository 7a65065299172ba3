"""A first call comes before its server is there, or before it takes connections."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock, Semaphore, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from support.proxy import proxied
from support.servers import servers
from turnkeep import exchange
from turnkeep.calls import get_thread
from turnkeep.client import Client, connect, connect_async
from turnkeep.embedded.account import Account
from turnkeep.embedded.throwaway import FORGETFUL, throwaway
from turnkeep.errors import (
    CallError,
    Forbidden,
    NotDeployed,
    Unanswered,
    Unavailable,
    Unreachable,
)
from turnkeep.transports import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.running import Gateway
    from turnkeep.embedded.cluster import Cluster

CALL = get_thread("c")
CALLERS = 8
SETTINGS = {"hot_standby": "off", "wal_level": "replica"}
"""With which a server in recovery says that it takes no connections yet: 57P03."""
MAKERS = pytest.mark.parametrize("make", [connect, connect_async])


@pytest.fixture(scope="module")
def stopped() -> Iterator[Cluster]:
    """Give a server that does not run."""
    with throwaway(next(iter(servers().values())), SETTINGS) as cluster:
        cluster.stop()
        yield cluster


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """Give the URL of a server that wants a password, without one."""
    with throwaway(next(iter(servers().values())), {}) as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
            connection.execute("create role guarded login password 'right'")
            rules = cluster.data / "pg_hba.conf"
            rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
            connection.execute("select pg_reload_conf()")
        conninfo = make_conninfo(cluster.url("postgres"), user="guarded")
        # Until it has read them.
        with suppress(psycopg.OperationalError):
            while True:
                psycopg.connect(conninfo).close()
        yield conninfo


def ask(client: Any) -> Any:
    """Send the call and close the client, of either kind."""
    if isinstance(client, Client):
        with client:
            return client(CALL)

    async def wait() -> Any:
        async with client:
            return await client(CALL)

    return asyncio.run(wait())


@MAKERS
def test_a_server_that_starts_is_waited_for(
    stopped: Cluster, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stopped.data / "standby.signal").touch()
    account = Account.for_server(stopped.data)

    def run() -> None:
        """Start it, and stay: the server dies with the thread that made it."""
        binaries = next(iter(servers().values())).within_reach(
            account, stopped.directory
        )
        stopped.launch(
            binaries, account, FORGETFUL | SETTINGS, dies_with_us=True
        ).wait()

    server = Thread(target=run)
    seen: list[type[CallError]] = []
    unreachable = postgresql.unreachable

    def note(*arguments: Any) -> CallError:
        """Let the server get on once the client has met it as it is."""
        error = unreachable(*arguments)
        if not seen:
            server.start()
        elif type(error) is Unavailable and (pid := stopped.postmaster()):
            (stopped.data / "promote").touch()
            os.kill(pid, signal.SIGUSR1)
        seen.append(type(error))
        return error

    monkeypatch.setattr(postgresql, "unreachable", note)
    monkeypatch.setattr(exchange, "START_SECONDS", 60)
    try:
        client = make(stopped.url("postgres"), retry_budget=60)
        with pytest.raises(NotDeployed):
            ask(client)
    finally:
        stopped.stop()
        server.join()
    assert seen[0] is Unanswered
    assert seen[-1] is Unavailable
    assert client.retries == len(seen)


@MAKERS
def test_a_server_that_is_full_is_waited_for(
    database: str, connection: psycopg.Connection[Any], make: Any
) -> None:
    # Roles are the cluster's, and others run this test there.
    crowd = f"crowd_{uuid4().hex}"
    connection.execute(f"create role {crowd} login connection limit 1".encode())
    conninfo = make_conninfo(database, user=crowd)
    before = psycopg.connect(conninfo)

    class Leaver:
        def retried(self, _: str) -> None:
            before.close()

        def ended(self, *_: object) -> None:
            pass

    try:
        with pytest.raises(Unavailable) as raised:
            ask(make(conninfo, retry_budget=0))
        assert (type(raised.value), raised.value.sqlstate) == (Unavailable, "53300")
        client = make(conninfo, retry_budget=60, observer=Leaver())
        with pytest.raises(Forbidden):
            ask(client)
        assert client.retries > 0
    finally:
        before.close()
        connection.execute(f"drop role {crowd}".encode())


@MAKERS
def test_nobody_is_waited_for_longer_than_a_start_takes(
    stopped: Cluster, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "START_SECONDS", 0.05)
    for target in (stopped.url("postgres"), "http://127.0.0.1:9"):
        client = make(target, **({"key": "k"} if target.startswith("http") else {}))
        with pytest.raises(Unanswered) as raised:
            ask(client)
        assert raised.value.hint
        assert client.retries > 0


@MAKERS
def test_a_gateway_that_starts_is_waited_for(
    gateway: Gateway, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "START_SECONDS", 60)
    with proxied(int(gateway.url.rpartition(":")[2])) as proxy:
        proxy.cut()

        class Starter:
            def retried(self, _: str) -> None:
                proxy.listen()

            def ended(self, *_: object) -> None:
                pass

        client = make(
            f"http://127.0.0.1:{proxy.port}",
            key=gateway.service_key,
            observer=Starter(),
        )
        assert ask(client) is None
        assert client.retries > 0


@MAKERS
def test_who_is_not_let_in_hears_so_at_once(database: str, make: Any) -> None:
    for wrong in ({"dbname": "no_such_database"}, {"user": "nobody_of_that_name"}):
        client = make(make_conninfo(database, **wrong))
        with pytest.raises(Unreachable, match=next(iter(wrong.values()))) as raised:
            ask(client)
        assert raised.value.hint
        assert client.retries == 0


@MAKERS
@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_password_that_is_missing_or_wrong_is_told_at_once(
    guarded: str, make: Any, password: str | None
) -> None:
    client = make(make_conninfo(guarded, password=password))
    with pytest.raises(Unreachable, match="password") as raised:
        ask(client)
    assert raised.value.sqlstate == "28P01"
    assert client.retries == 0


class Watched:
    """A lock that says when somebody has come to it."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.arrivals = Semaphore(0)
        self._lock = Lock()

    def __enter__(self) -> None:
        """Come, and wait for it."""
        self.arrivals.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        """Go."""
        self._lock.release()


def test_those_who_wait_for_the_first_connection_share_its_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, lock, connected = postgresql.LazyPool(conninfo="", open=False), Watched(), 0
    monkeypatch.setattr(pool, "_lock", lock)

    def fail(_: str) -> None:
        nonlocal connected
        connected += 1
        for _ in range(CALLERS if connected == 1 else 0):
            lock.arrivals.acquire()
        raise psycopg.errors.ConnectionTimeout("timeout expired")

    monkeypatch.setattr(psycopg, "connect", fail)

    def get(_: int) -> None:
        with pytest.raises(Unanswered, match="expired") as raised:
            pool.get()
        assert raised.value.__cause__

    with ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(get, range(CALLERS)))
    assert connected == 1
    with pytest.raises(Unanswered):
        pool.get()
    assert connected == 2, "a later call tries for itself"


def test_coroutines_share_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = 0

    async def fail(_: str) -> None:
        nonlocal connected
        connected += 1
        await asyncio.sleep(0)
        raise psycopg.errors.ConnectionTimeout("timeout expired")

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", fail)

    async def get() -> None:
        pool = postgresql.AsyncLazyPool(conninfo="", open=False)
        met = await asyncio.gather(
            *(pool.get() for _ in range(CALLERS)), return_exceptions=True
        )
        assert {type(each) for each in met} == {Unanswered}

    asyncio.run(get())
    assert connected == 1
