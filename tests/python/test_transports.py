"""A call is the same call over every transport: replies, refusals, retries, the log."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from support.databases import name_of
from support.proxy import proxied
from support.transports import calling
from turnkeep import calls
from turnkeep.calls import append_turn, get_thread, link_files_to_conversation
from turnkeep.client import AsyncClient, Client, connect, connect_async
from turnkeep.errors import (
    CallError,
    Closed,
    Conflict,
    Forbidden,
    InvalidArgument,
    Lost,
    NotFound,
    ReadOnly,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from turnkeep.transports import postgresql

if TYPE_CHECKING:
    from gateway.running import Gateway
    from support.transports import Caller
    from turnkeep.calls import Call, NewMessage

HELLO: list[NewMessage] = [{"role": "user", "content": "Hello, Zoë 👋"}]
WAITING = (
    "select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'"
)
OTHERS: list[NewMessage] = [{"role": "user", "content": "Bye"}]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "turnkeep.client"
    ]


def test_every_function_answers_with_its_type(caller: Caller) -> None:
    turn = append_turn(
        "shapes",
        HELLO,
        files=[{"storage_path": "a.png", "size_bytes": 7}, {"id": uuid4()}],
        request_id="1",
        title="Shapes",
        metadata={"deep": {"er": [1, None, "ä"]}},
    )
    first = caller(turn)
    assert (first.created, first.replayed, first.next_seq) == (True, False, 2)
    again = caller(turn)
    assert (again.replayed, again.messages) == (True, first.messages)
    file_ids = [file.id for file in first.files]
    thread = caller(get_thread("shapes", message_limit=1))
    assert thread
    assert thread.messages[0].content == HELLO[0]["content"]
    assert thread.conversation.metadata == {"deep": {"er": [1, None, "ä"]}}
    assert caller(get_thread("nobody")) is None
    others: list[Call[Any]] = [
        calls.register_files([{"storage_path": "b.png", "metadata": {"a": 1}}]),
        link_files_to_conversation(first.conversation_id, file_ids),
        calls.link_file_to_conversation(first.conversation_id, file_ids[0]),
        calls.unlink_files_from_conversation(first.conversation_id, file_ids),
        calls.cleanup_orphaned_files(timedelta(days=1, seconds=1.5), dry_run=True),
        calls.claim_storage_deletions("worker", lease=timedelta(minutes=1)),
        calls.finish_storage_deletions("worker", [uuid4()]),
        calls.upsert_conversation("shapes", title="Forms"),
        calls.list_conversations(page_size=5),
        calls.index_messages(),
        calls.search_messages("hello"),
        calls.set_search_language("simple"),
        calls.truncate_thread("shapes", 0),
        calls.delete_conversation("shapes"),
        calls.forget_owner(uuid4()),
        calls.health(),
    ]
    for call in others:
        assert isinstance(caller(call), call.function.reply), call.function.name
    cleaned = caller(calls.cleanup_orphaned_files(timedelta(0)))
    assert (cleaned.deleted_count, cleaned.more) == (2, False)
    assert caller.retries == 0


REFUSALS: list[tuple[Call[Any], type[CallError], set[str]]] = [
    (link_files_to_conversation(uuid4(), []), NotFound, {"PT404"}),
    (append_turn("c", OTHERS, request_id="1"), Conflict, {"PT409"}),
    (append_turn("c", HELLO * 201), TooLarge, {"PT413"}),
    (append_turn("", HELLO), Unprocessable, {"PT422"}),
    (append_turn("c", [17]), InvalidArgument, {"PT400"}),  # type: ignore[list-item]
    (append_turn("c", HELLO, owner_id="me"), InvalidArgument, {"22P02"}),  # type: ignore[arg-type]
    # Who refuses a character that is none depends on the way.
    (append_turn("a\0b", HELLO), Unprocessable, {"22021", "22P05"}),
    (append_turn("half of \ud83d", HELLO), Unprocessable, {"22021"}),
]


def test_a_refusal_is_raised_at_once_by_its_sqlstate(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caller(append_turn("c", HELLO, request_id="1"))
    for call, kind, sqlstates in REFUSALS:
        caplog.clear()
        with pytest.raises(CallError) as raised:
            caller(call)
        error = raised.value
        assert type(error) is kind
        assert error.sqlstate in sqlstates
        assert error.where == call.function.name
        assert error.__cause__ is not None
        assert logged(caplog) == [("ERROR", str(error))]
    assert caller.retries == 0


def test_an_exception_has_all_that_the_server_said(caller: Caller) -> None:
    caller(append_turn("c", HELLO, request_id="r7"))
    with pytest.raises(Conflict, match="request_id was used") as raised:
        caller(append_turn("c", OTHERS, request_id="r7"))
    assert "r7" in (raised.value.detail or "")
    assert raised.value.hint


def test_a_lost_reply_is_asked_for_again_and_the_turn_stored_once(
    caller: Caller, connection: psycopg.Connection[Any]
) -> None:
    caller(append_turn("c", HELLO))
    caller.lose_reply()
    reply = caller(append_turn("c", OTHERS))
    assert reply.replayed
    assert caller.retries == 1
    stored = connection.execute("select count(*) from public.messages").fetchone()
    assert stored == (2,)


@pytest.mark.parametrize("transport", ["psycopg", "psycopg async"])
def test_a_pool_of_connections_that_all_have_ended_costs_one_attempt(
    transport: str,
    database: str,
    connection: psycopg.Connection[Any],
    request: pytest.FixtureRequest,
) -> None:
    call = append_turn("c", HELLO)

    async def gather() -> None:
        assert isinstance(caller.client, AsyncClient)
        await asyncio.gather(*(caller.client(call) for _ in range(4)))

    def crowd() -> None:
        if caller.runner:
            caller.run(gather())
            return
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(caller, [call] * 4))

    with (
        calling(transport, database, request, max_size=4) as caller,
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(database, autocommit=True) as observer,
    ):
        caller(call)
        with connection.transaction():
            connection.execute("select from public.conversations for update")
            crowded = thread.submit(crowd)
            while len(observer.execute(WAITING).fetchall()) < 4:
                pass
        crowded.result()
        observer.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        assert caller(call).next_seq == 7
        assert caller.retries == 1


@pytest.mark.parametrize("transport", ["psycopg", "psycopg async"])
def test_a_call_waits_no_longer_than_the_server_needs_to_come_back(
    transport: str,
    database: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "RECONNECT_SECONDS", 0.1)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_SECONDS", 60)
    call = append_turn("c", HELLO)
    with (
        calling(transport, database, request) as caller,
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(database, dbname="postgres", autocommit=True) as admin,
    ):

        def let_in(*, everybody: bool) -> None:
            admin.execute(
                sql.SQL("alter database {} allow_connections {}").format(
                    sql.Identifier(name_of(database)), everybody
                )
            )

        caller(call)
        let_in(everybody=False)
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = %s",
            [name_of(database)],
        )
        waiting = thread.submit(caller, call)
        # More than the pool makes before it gives up what it was about to open.
        while caller.client.pool.get("connections_errors", 0) < 20:
            assert not waiting.done()
        let_in(everybody=True)
        assert waiting.result().next_seq == 3
        assert caller.retries == 1


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "PT503"])
def test_what_the_server_may_get_over_is_tried_again(
    caller: Caller, connection: psycopg.Connection[Any], sqlstate: str
) -> None:
    """A deadlock, say, that the server itself ends, twice."""
    connection.execute("create sequence public.attempts")
    connection.execute("grant all on sequence public.attempts to public")
    connection.execute(
        f"""
        create or replace function public.index_messages(
            max_messages integer default 1000
        )
        returns jsonb language plpgsql set search_path = '' as $$
        begin
            if nextval('public.attempts') < 3 then
                raise exception 'not now' using errcode = '{sqlstate}';
            end if;
            return '{{"indexed": 7, "more": false}}';
        end
        $$
        """.encode()
    )
    assert caller(calls.index_messages()).indexed == 7
    attempts = connection.execute("select last_value from public.attempts").fetchone()
    assert attempts == (3,)
    # A gateway may have tried again by itself.
    assert caller.retries == 2 or caller.gateway


@pytest.mark.parametrize("transport", ["rest", "rest async"])
def test_what_the_gateway_may_get_over_is_tried_again(
    transport: str, database: str, request: pytest.FixtureRequest
) -> None:
    with calling(transport, database, request, retry_budget=5) as caller:
        gateway = caller.gateway
        assert gateway
        caller(get_thread("c"))
        for number, status in enumerate((429, 502, 503, 504, 522), start=2):
            gateway.fail(2, status)
            assert caller(append_turn("c", HELLO)).next_seq == number
        gateway.drop_requests(2)
        assert not caller(append_turn("c", HELLO)).replayed
        assert caller.retries == 12
        gateway.fail(1, 500)
        with pytest.raises(CallError) as raised:
            caller(append_turn("c", HELLO))
        assert type(raised.value) is CallError
        assert caller.retries == 12
    with calling(transport, database, request, retry_budget=0.1) as caller:
        gateway.fail(1_000, 503)
        with pytest.raises(Unavailable):
            caller(append_turn("c", HELLO))
        gateway.fail(0)


@pytest.mark.parametrize("transport", ["rest", "rest async"])
def test_a_deletion_is_sent_again_over_the_gateway_only_if_it_was_refused(
    transport: str, database: str, request: pytest.FixtureRequest
) -> None:
    delete = calls.delete_conversation("c")
    with calling(transport, database, request) as caller:
        gateway = caller.gateway
        assert gateway
        caller(append_turn("c", HELLO))
        gateway.fail(1, 429)
        assert caller(delete).deleted
        assert caller.retries == 1
        for lose in (gateway.drop_replies, lambda: gateway.fail(1, 504)):
            lose()
            with pytest.raises(Lost, match="look before you send it again"):
                caller(delete)
        assert caller.retries == 1


@pytest.mark.parametrize("transport", ["rest", "rest async"])
def test_keys_of_both_kinds_and_tokens_decide_who_calls(
    transport: str, database: str, request: pytest.FixtureRequest
) -> None:
    with calling(transport, database, request) as caller:
        gateway = caller.gateway
        assert gateway
        older = {"apikey": gateway.keys.legacy_service_key}
        for key, kind in (
            (gateway.keys.legacy_service_key, None),
            (gateway.keys.legacy_anon_key, Forbidden),
            (gateway.anon_key, Forbidden),
            ("sb_secret_wrong", Forbidden),
        ):
            with connect(gateway.url, key=key) as client:
                if kind is None:
                    client(append_turn("c", HELLO))
                    assert gateway.traffic.headers[-1]["apikey"] == older["apikey"]
                    continue
                with pytest.raises(kind):
                    client(append_turn("c", HELLO))
        assert "authorization" not in gateway.traffic.headers[-1]
        expired = caller.client.signed_in(gateway.user_token(expires_in=-3600))
        with pytest.raises(Forbidden, match="expired"):
            replace(caller, client=expired)(get_thread("c"))


@pytest.mark.parametrize("make", [connect, connect_async])
def test_a_gateway_that_has_answered_before_may_come_back(
    gateway: Gateway, make: Any
) -> None:
    port = int(gateway.url.rpartition(":")[2])
    with proxied(port) as proxy, asyncio.Runner() as runner:
        client = make(
            f"http://127.0.0.1:{proxy.port}", key=gateway.service_key, retry_budget=0.1
        )
        ask = client if isinstance(client, Client) else lambda c: runner.run(client(c))
        assert ask(get_thread("c")) is None
        proxy.cut()
        with pytest.raises(Unavailable) as raised:
            ask(get_thread("c"))
        assert type(raised.value) is Unavailable
        assert client.retries > 0
        proxy.listen()
        assert ask(get_thread("c")) is None
        client.close() if isinstance(client, Client) else runner.run(client.close())


def test_each_event_is_logged_at_its_level_and_none_is_swallowed(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first = caller(append_turn("c", HELLO, request_id="1", files=[{"id": uuid4()}]))
    registered = caller(calls.register_files([{"storage_path": "a"}])).files[0].id
    link = link_files_to_conversation(first.conversation_id, [registered])
    caller(link)
    assert logged(caplog) == []
    caller(link)
    caller(append_turn("c", HELLO, request_id="1", files=[{"id": uuid4()}]))
    caller.lose_reply()
    caller(append_turn("c", HELLO, request_id="2"))
    with pytest.raises(NotFound):
        caller(link_files_to_conversation(uuid4(), [registered]))
    texts = [f"{level} {text.partition(chr(10))[0]}" for level, text in logged(caplog)]
    assert texts[0] == "DEBUG link_files_to_conversation: 1 links existed"
    assert texts[1] == "DEBUG append_turn: replay of request 1"
    assert texts[2].startswith("WARNING append_turn: attempt 1 failed, trying again")
    assert texts[3] == "DEBUG append_turn: replay of request 2"
    assert texts[4].startswith("ERROR link_files_to_conversation: ")
    assert len(texts) == 5


def test_the_function_itself_says_that_something_is_missing(caller: Caller) -> None:
    for call, kind in (
        (get_thread(None), Unprocessable),  # type: ignore[arg-type]
        (calls.cache_put("0" * 64, None), InvalidArgument),
    ):
        with pytest.raises(kind):
            caller(call)


def test_a_users_calls_are_under_that_users_row_security(
    caller: Caller, connection: psycopg.Connection[Any]
) -> None:
    one, two = uuid4(), uuid4()
    caller(append_turn("c", HELLO))
    for user_id, times in ((one, 1), (two, 2)):
        user = caller.for_user(user_id)
        assert user.client.user_id == user_id
        for _ in range(times):
            user(append_turn("c", HELLO))
        thread = user(get_thread("c"))
        assert thread
        assert len(thread.messages) == times
        with pytest.raises(Forbidden) as raised:
            user(append_turn("c", HELLO, owner_id=UUID(int=9)))
        assert raised.value.sqlstate == "PT403"
        with pytest.raises(Forbidden):
            user(calls.cleanup_orphaned_files())
    # The service's own calls, over the same connections, are the service's again.
    thread = caller(get_thread("c"))
    assert thread
    assert len(thread.messages) == 1
    assert caller(calls.cleanup_orphaned_files()).deleted_count == 0
    owners = connection.execute(
        "select owner_id, count(*) from public.messages group by 1 order by 2, 1"
    ).fetchall()
    assert owners == [(UUID(int=0), 1), (one, 1), (two, 2)]
    assert caller.retries == 0


def test_ids_may_be_texts_too(caller: Caller) -> None:
    file_id = uuid4()
    conversation_id = caller(append_turn("c", HELLO)).conversation_id
    both: list[Any] = [file_id, str(file_id)]
    reply = caller(link_files_to_conversation(conversation_id, both))
    assert reply.unknown == (file_id,)


@pytest.mark.parametrize("transport", ["psycopg", "psycopg async"])
def test_a_server_that_stores_nothing_is_said_to(
    transport: str, database: str, request: pytest.FixtureRequest
) -> None:
    url = make_conninfo(database, options="-c default_transaction_read_only=on")
    with calling(transport, url, request) as caller:
        with pytest.raises(ReadOnly, match="primary"):
            caller(append_turn("c", HELLO))
        assert caller.retries == 0


def test_a_user_needs_what_the_transport_can_check(caller: Caller) -> None:
    wrong = (
        (lambda: caller.client.acting_as(uuid4()))
        if caller.gateway
        else (lambda: caller.client.signed_in("token"))
    )
    with pytest.raises(Exception, match="token") as raised:
        wrong()
    assert type(raised.value).__name__ == "Misconfigured"
    assert raised.value.hint  # type: ignore[attr-defined]


def test_a_closed_client_says_so_at_once(caller: Caller) -> None:
    caller(get_thread("c"))
    if caller.runner:
        caller.run(caller.client.close())
    else:
        caller.client.close()
    with pytest.raises(Closed):
        caller(get_thread("c"))
    assert caller.retries == 0
