"""The client sends again what it may, raises the rest by SQLSTATE, and logs both."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import PoolTimeout

from turnkeep import client as client_module
from turnkeep.calls import (
    append_turn,
    cache_put,
    cleanup_orphaned_files,
    delete_conversation,
    get_thread,
    link_files_to_conversation,
    truncate_thread,
)
from turnkeep.client import AsyncClient, Client
from turnkeep.demo.losing import LosingConnection
from turnkeep.errors import (
    CallError,
    Conflict,
    InvalidArgument,
    NotDeployed,
    NotFound,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from turnkeep.exchange import Attempts, Policy
from turnkeep.transports import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkeep.calls import Call, NewMessage
    from turnkeep.demo.losing import Loss

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello"}]


class FailingConnection(psycopg.Connection[Any]):
    """Raises what it is told to, once each, instead of sending a query."""

    failures: ClassVar[list[Exception]] = []

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Fail as ordered, or send."""
        # The pool's own check sends an empty query.
        if self.failures and gen.gi_frame.f_locals.get("query"):
            gen.close()
            raise self.failures.pop(0)
        return super().wait(gen, *args, **options)


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database) as client:
        yield client


@pytest.fixture
def losing(database: str) -> Iterator[Client]:
    with Client(database, connection_class=LosingConnection) as client:
        yield client
    LosingConnection.ordered = None


@pytest.fixture
def failing(database: str) -> Iterator[Client]:
    with Client(database, connection_class=FailingConnection) as client:
        yield client
    FailingConnection.failures.clear()


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.levelname
        for record in caplog.records
        if record.name == "turnkeep.client"
    ]


@pytest.mark.parametrize("loss", ["after the commit", "in flight"])
def test_a_lost_reply_is_asked_for_again_and_the_turn_stored_once(
    losing: Client,
    connection: psycopg.Connection[Any],
    caplog: pytest.LogCaptureFixture,
    loss: Loss,
) -> None:
    caplog.set_level(logging.DEBUG)
    LosingConnection.ordered = loss
    reply = losing(append_turn("c", HELLO))
    assert losing.retries == 1
    assert [message.seq for message in reply.messages] == [1]
    stored = connection.execute("select id from public.messages").fetchall()
    assert stored == [(reply.messages[0].id,)]
    assert "WARNING" in levels(caplog)
    assert "ERROR" not in levels(caplog)
    if loss == "after the commit":
        assert reply.replayed
        assert levels(caplog) == ["WARNING", "DEBUG"]


def test_without_a_name_every_call_is_a_turn(client: Client) -> None:
    client(append_turn("c", HELLO))
    assert client(append_turn("c", HELLO)).messages[0].seq == 2


def test_a_connection_that_the_server_ended_is_replaced(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client(append_turn("c", HELLO))
    connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert client(append_turn("c", HELLO)).next_seq == 3
    assert client.retries >= 1


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.errors.SerializationFailure("could not serialize access"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.errors.CannotConnectNow("the database system is starting up"),
        psycopg.errors.TooManyConnections("too many clients"),
        psycopg.errors.ConnectionFailure("connection failure"),
        psycopg.OperationalError("the connection is lost"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_may_pass_is_tried_again(failing: Client, failure: Exception) -> None:
    FailingConnection.failures[:] = [failure] * 3
    assert failing(append_turn("c", HELLO)).next_seq == 2
    assert failing.retries == 3


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.UniqueViolation("duplicate key"),
        psycopg.errors.QueryCanceled("canceling statement"),
        psycopg.errors.LockNotAvailable("lock timeout"),
        psycopg.errors.DiskFull("no space left"),
        psycopg.ProgrammingError("no SQLSTATE, and not a lost connection"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_does_not_pass_is_raised_at_once(
    failing: Client, failure: psycopg.Error, caplog: pytest.LogCaptureFixture
) -> None:
    FailingConnection.failures[:] = [failure]
    with pytest.raises(CallError) as raised:
        failing(append_turn("c", HELLO))
    assert failing.retries == 0
    assert raised.value.__cause__ is failure
    assert raised.value.sqlstate == failure.sqlstate
    assert levels(caplog) == ["ERROR"]


@pytest.mark.parametrize("delete", [truncate_thread("c", 0), delete_conversation("c")])
def test_a_deletion_that_may_have_been_carried_out_is_not_sent_again(
    losing: Client, delete: Call[Any]
) -> None:
    losing(append_turn("c", HELLO))
    LosingConnection.ordered = "after the commit"
    with pytest.raises(Unavailable, match="look before you send it again"):
        losing(delete)
    assert losing.retries == 0


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.AdminShutdown("terminating connection"),
        PoolTimeout("couldn't get a connection"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_deletion_that_was_refused_is_sent_again(
    failing: Client, failure: Exception
) -> None:
    FailingConnection.failures[:] = [failure]
    failing(delete_conversation("c"))
    assert failing.retries == 1


@pytest.mark.usefixtures("failing")
def test_the_budget_for_retries_ends(database: str) -> None:
    FailingConnection.failures[:] = [psycopg.OperationalError("gone")] * 1000
    began = time.monotonic()
    with (
        Client(
            database, connection_class=FailingConnection, retry_budget=0.3
        ) as client,
        pytest.raises(Unavailable, match="gone"),
    ):
        client(append_turn("c", HELLO))
    assert 0.3 <= time.monotonic() - began < 20
    assert client.retries >= 1


def test_pauses_grow_up_to_a_limit_and_are_in_step_with_nobody() -> None:
    def pauses() -> list[float]:
        attempts = Attempts("call", Policy(retry_budget=3600))
        return [attempts.failed(Unavailable("gone")) for _ in range(12)]

    # What many clients do that have lost the same server.
    for number, column in enumerate(zip(*(pauses() for _ in range(64)), strict=True)):
        longest = min(0.05 * 2**number, 2.0) if number else 0.0
        assert max(column) <= longest
        assert max(column) >= longest / 2
        assert min(column) <= longest / 2
        assert len(set(column)) == (64 if number else 1)


def test_an_exhausted_pool_is_tried_again_and_then_unavailable(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_SECONDS", 1)
    with (
        Client(database, max_size=1, retry_budget=0.1) as client,
        ThreadPoolExecutor() as threads,
    ):
        client(append_turn("c", HELLO))
        with connection.transaction():
            connection.execute("select from public.conversations for update")
            waiting = threads.submit(client, append_turn("c", HELLO))
            wait_for_lock(database)
            with pytest.raises(Unavailable, match="couldn't get a connection"):
                client(get_thread("c"))
            assert client.retries >= 1
        assert waiting.result().next_seq == 3


def wait_for_lock(database: str) -> None:
    """Wait until some session of the database waits for a lock."""
    with psycopg.connect(database, autocommit=True) as observer:
        while not observer.execute(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone():
            pass


REFUSALS: list[tuple[Call[Any], type[CallError], str]] = [
    (link_files_to_conversation(uuid4(), []), NotFound, "PT404"),
    (
        append_turn("c", [{"role": "user", "content": "Bye"}], request_id="1"),
        Conflict,
        "PT409",
    ),
    (append_turn("c", HELLO * 201), TooLarge, "PT413"),
    (append_turn("", HELLO), Unprocessable, "PT422"),
    (append_turn("c", [17]), InvalidArgument, "PT400"),  # type: ignore[list-item]
    (
        append_turn("c", [{"role": "user", "content": "a\0b"}]),
        Unprocessable,
        "22P05",
    ),
    (append_turn("a\0b", HELLO), Unprocessable, "22021"),
    (
        append_turn("c", [{"role": "user", "content": "half of \ud83d"}]),
        Unprocessable,
        "22021",
    ),
    (append_turn("half of \ud83d", HELLO), Unprocessable, "22021"),
    (cleanup_orphaned_files(max_files=0), Unprocessable, "PT422"),
    (append_turn("c", HELLO, owner_id="me"), InvalidArgument, "22P02"),  # type: ignore[arg-type]
    (get_thread(None), Unprocessable, "PT422"),  # type: ignore[arg-type]
    (cache_put("0" * 64, None), InvalidArgument, "PT400"),
]


@pytest.mark.parametrize(
    ("call", "kind", "sqlstate"), REFUSALS, ids=[code for _, _, code in REFUSALS]
)
def test_a_refusal_is_an_exception_by_its_sqlstate(
    client: Client,
    caplog: pytest.LogCaptureFixture,
    call: Call[Any],
    kind: type[CallError],
    sqlstate: str,
) -> None:
    client(append_turn("c", HELLO, request_id="1"))
    with pytest.raises(CallError) as raised:
        client(call)
    error = raised.value
    assert type(error) is kind
    assert error.sqlstate == sqlstate
    assert error.where == call.function.name
    assert isinstance(error.__cause__, psycopg.Error | UnicodeEncodeError)
    assert client.retries == 0
    assert levels(caplog) == ["ERROR"]


def test_an_exception_has_all_that_the_server_said(client: Client) -> None:
    client(append_turn("c", HELLO, request_id="r7"))
    with pytest.raises(Conflict) as raised:
        client(append_turn("c", HELLO * 2, request_id="r7"))
    error = raised.value
    assert error.message == "request_id was used for another turn"
    assert error.detail
    assert "r7" in error.detail
    assert error.hint
    assert str(error) == (
        f"append_turn: {error.message}: {error.detail}\nhint: {error.hint}"
    )


def test_a_database_without_turnkeep_says_so(empty_database: str) -> None:
    with Client(empty_database) as client, pytest.raises(NotDeployed) as raised:
        client(get_thread("c"))
    assert raised.value.sqlstate == "42883"
    assert "turnkeep deploy" in str(raised.value)


def test_a_reply_of_another_form_is_no_success(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "document", lambda *_: b'{"conversation_id": 1}')
    with pytest.raises(CallError, match="another form") as raised:
        client(append_turn("c", HELLO))
    assert raised.value.hint
    assert "was carried out" in raised.value.hint


def test_the_package_imports_no_driver_before_a_client_is_asked_for() -> None:
    code = (
        "import sys, turnkeep\n"
        "assert not {'psycopg', 'httpx', 'msgspec', 'asyncio'} & set(sys.modules)\n"
        "assert turnkeep.connect and turnkeep.AsyncClient\n"
        "assert 'psycopg' in sys.modules and 'httpx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_a_link_that_existed_is_a_debug_line(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    reply = client(append_turn("c", HELLO, files=[{"storage_path": "a.png"}]))
    caplog.set_level(logging.DEBUG)
    call = link_files_to_conversation(
        reply.conversation_id, [file.id for file in reply.files]
    )
    assert client(call).already_linked == (reply.files[0].id,)
    assert levels(caplog) == ["DEBUG"]


def test_one_process_has_one_client_and_one_pool_for_a_database(
    database: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    barrier = threading.Barrier(64)
    probes: list[str] = []
    made: list[Any] = []
    connect = psycopg.connect
    make = client_module.connect

    def make_slowly(address: Any) -> Client:
        made.append(address)
        # The others come meanwhile.
        threading.Event().wait(0.05)
        return make(address)

    monkeypatch.setattr(client_module, "connect", make_slowly)

    def probe(conninfo: str, **options: Any) -> psycopg.Connection[Any]:
        probes.append(conninfo)
        return connect(conninfo, **options)

    monkeypatch.setattr(psycopg, "connect", probe)

    def talk(number: int) -> Client:
        barrier.wait()
        client = Client.shared(database)
        client(append_turn(f"c{number % 3}", HELLO))
        return client

    with ThreadPoolExecutor(64) as threads:
        clients = set(threads.map(talk, range(64)))
    try:
        assert len(clients) == len(made) == 1
        assert len(probes) == 1
        assert Client.shared(make_conninfo(database)) in clients
        assert Client.shared(make_conninfo(database, user="x")) not in clients
        count = connection.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchone()
        assert count
        assert 1 <= count[0] <= 10
        stored = connection.execute("select count(*) from public.messages").fetchone()
        assert stored == (64,)
    finally:
        clients.pop().close()


def test_a_shared_client_that_was_closed_is_shared_no_more(database: str) -> None:
    with Client.shared(database).acting_as(uuid4()):
        pass
    with Client.shared(database) as client:
        assert client(append_turn("c", HELLO)).next_seq == 2


def test_a_shared_client_of_a_loop_that_was_closed_is_shared_no_more(
    database: str,
) -> None:
    async def twice() -> int:
        async with AsyncClient.shared(database):
            pass
        async with AsyncClient.shared(database) as client:
            return (await client(append_turn("c", HELLO))).next_seq

    assert asyncio.run(twice()) == 2
