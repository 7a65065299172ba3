"""Send calls to a database: one pool per process and database, retries where safe.

What is sent twice is done once: every function is idempotent by its arguments, and the
one that is not, append_turn, gets a request_id here when the caller gave none. So a
lost connection, a deadlock, a serialization failure and an exhausted pool are tried
again, with back-off and jitter, until the budget is spent; all else is raised at once.

Logged to `turnkeep.client`: a duplicate or a replay as debug, a retry as warning, a
failure as error.
"""

from __future__ import annotations

import atexit
import logging
import os
from functools import cache
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from turnkeep.errors import (
    CallError,
    NotDeployed,
    Unavailable,
    Unprocessable,
    class_for,
)
from turnkeep.replies import AppendedTurn, LinkedFiles

if TYPE_CHECKING:
    from types import TracebackType

    from turnkeep.calls import Call, Function

Reply = TypeVar("Reply")

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())

CONNECT_TIMEOUT_SECONDS = 10
RETRY_BUDGET_SECONDS = 30.0


class Observer(Protocol):
    """Is told of every call by the thread that makes it: be quick, and do not raise."""

    def retried(self, function: str) -> None:
        """Take note that a call is sent again."""

    def ended(self, function: str, seconds: float, result: object) -> None:
        """Take note of a call, retries included: its reply, or its `CallError`."""


class Client:
    """Calls a database through a pool of connections; safe to share between threads.

    `reply = client(append_turn(...))`. The pool opens at the first call. Close the
    client, or use it as a context manager; `Client.shared()` closes at exit.
    """

    def __init__(
        self,
        conninfo: str = "",
        *,
        max_size: int = 10,
        connection_class: type[psycopg.Connection[Any]] = psycopg.Connection,
        retry_budget: float = RETRY_BUDGET_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        """Describe the pool: `max_size` connections, `retry_budget` seconds a call.

        `observer` is told of every call: `turnkeep.metrics.CallMetrics` counts them.
        """
        self._conninfo = conninfo
        self._retry_budget = retry_budget
        self._observer = observer
        self._lock = Lock()
        self._is_open = False
        self._retries = 0
        self._pool = ConnectionPool(
            conninfo,
            connection_class=connection_class,
            kwargs={"autocommit": True},
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            open=False,
        )

    @classmethod
    def shared(cls, conninfo: str = "") -> Client:
        """Give the one client of this process for this database, made when needed."""
        key = (os.getpid(), *sorted(conninfo_to_dict(conninfo).items()))
        with _shared_lock:
            if key not in _shared:
                _shared[key] = cls(conninfo)
                atexit.register(_shared[key].close)
            return _shared[key]

    def __enter__(self) -> Self:
        """Give the client itself; the pool still opens at the first call."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pool."""
        self.close()

    def close(self) -> None:
        """Close the pool and its connections. The client cannot be used afterwards."""
        self._pool.close()

    @property
    def retries(self) -> int:
        """How many calls this client has sent again so far."""
        return self._retries

    @property
    def pool(self) -> dict[str, int]:
        """What the pool counts: `pool_size`, `requests_waiting` and so on."""
        return self._pool.get_stats()

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply.

        :raises turnkeep.errors.CallError: a subclass by SQLSTATE; `Unavailable` when
            the budget for retries is spent. The cause is chained.
        """
        if self._observer is None:
            return self._answer(call)
        began = perf_counter()
        result: object = None
        try:
            result = reply = self._answer(call)
        except CallError as error:
            result = error
            raise
        finally:
            self._observer.ended(call.function.name, perf_counter() - began, result)
        return reply

    def _answer(self, call: Call[Reply]) -> Reply:
        call = call.repeatable()
        try:
            document = self._send_again_while_safe(call)
            reply = call.decode(document)
        except msgspec.ValidationError as cause:
            error = CallError(
                "the reply has another form than this client knows",
                where=call.function.name,
                detail=str(cause),
                hint="the call was carried out; use the client of the same release",
            )
            logger.error("%s", error)  # noqa: TRY400  the caller gets the traceback
            raise error from cause
        except (psycopg.Error, PoolTimeout, UnicodeEncodeError) as cause:
            error = translate(cause, call.function.name)
            logger.error("%s", error)  # noqa: TRY400
            raise error from cause
        log_repetition(call, reply)
        return reply

    def _send_again_while_safe(self, call: Call[Reply]) -> bytes:
        try:
            return self._send(call)
        except (psycopg.Error, PoolTimeout) as error:
            if not is_transient(error):
                raise
            self._count_retry(call, 1, error)
        # Once more at once, which is enough for a lost connection or a deadlock; the
        # waiting is for a server that restarts.
        return Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(self._retry_budget),
            wait=wait_random_exponential(multiplier=0.05, max=2.0),
            before_sleep=self._prepare_next_attempt,
            reraise=True,
        )(self._send, call)

    def _prepare_next_attempt(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._count_retry(state.args[0], state.attempt_number + 1, error)
        # A restarted server leaves a pool full of dead connections; without this,
        # each of them would cost an attempt.
        self._pool.check()

    def _count_retry(
        self, call: Call[Any], attempt: int, error: BaseException | None
    ) -> None:
        with self._lock:
            self._retries += 1
        if self._observer is not None:
            self._observer.retried(call.function.name)
        logger.warning(
            "%s: attempt %d failed, sending it again: %s",
            call.function.name,
            attempt,
            error,
        )

    def _send(self, call: Call[Any]) -> bytes:
        if not self._is_open:
            self._open()
        connection = self._pool.getconn()
        try:
            return send(connection, call)
        finally:
            # Not the pool's context manager: there is no transaction to end.
            self._pool.putconn(connection)

    def _open(self) -> None:
        with self._lock:
            if self._is_open:
                return
            try:
                # A pool tells nobody why it cannot connect; one connection does. Not
                # tried again: what was never reached is most likely named wrongly.
                psycopg.connect(
                    self._conninfo, connect_timeout=CONNECT_TIMEOUT_SECONDS
                ).close()
            except psycopg.Error as cause:
                error = Unavailable(
                    str(cause).strip(),
                    hint="check the address, the user and the password, and that the "
                    "server is running",
                )
                logger.error("%s", error)  # noqa: TRY400  the caller gets the traceback
                raise error from cause
            self._pool.open()
            self._is_open = True


_shared: dict[tuple[object, ...], Client] = {}
_shared_lock = Lock()


def send(connection: psycopg.Connection[Any], call: Call[Reply]) -> bytes:
    """Send a call over one connection, once, and give the reply as it came."""
    parameters = {
        name: adapt(call.arguments[name], kind)
        for name, kind in call.function.parameters.items()
    }
    result = connection.execute(statement(call.function), parameters).pgresult
    document = result.get_value(0, 0) if result else None
    return b"null" if document is None else document


@cache
def statement(function: Function[Any]) -> bytes:
    """Write the statement that calls a function: one column, one JSON document."""
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => {}::{}").format(
            sql.Identifier(name), sql.Placeholder(name), sql.SQL(kind)
        )
        for name, kind in function.parameters.items()
    )
    form = (
        "select to_jsonb(reply) from {}({}) as reply"
        if function.returns_table
        else "select {}({})"
    )
    query = sql.SQL(form).format(sql.Identifier("public", function.name), arguments)
    return query.as_bytes(None)


def adapt(value: object, kind: str) -> object:
    """Give an argument in the form that psycopg sends as the parameter's type."""
    if kind == "jsonb" and value is not None:
        return msgspec.json.encode(value).decode()
    return value


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may work when it is sent again."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # The server said nothing: the connection is lost.
        return isinstance(error, psycopg.OperationalError)
    return class_for(error.sqlstate) is Unavailable


def translate(
    cause: psycopg.Error | PoolTimeout | UnicodeEncodeError, function: str
) -> CallError:
    """Give what psycopg raised as one of ours: message, detail, hint, SQLSTATE."""
    if isinstance(cause, UnicodeEncodeError):
        # Half of a surrogate pair is no character, to us as to the server.
        return Unprocessable(str(cause), where=function, sqlstate="22021")
    if isinstance(cause, PoolTimeout):
        return Unavailable(
            str(cause),
            where=function,
            hint="the server is gone, or calls hold every connection of the pool",
        )
    if cause.sqlstate is None:
        if isinstance(cause, psycopg.DataError):
            # psycopg refuses to send it, as the server would to store it.
            return Unprocessable(str(cause), where=function, sqlstate="22021")
        kind = Unavailable if is_transient(cause) else CallError
        return kind(str(cause).strip(), where=function)
    kind = class_for(cause.sqlstate)
    hint = cause.diag.message_hint
    if kind is NotDeployed:
        hint = "deploy it: turnkeep deploy"
    return kind(
        cause.diag.message_primary or str(cause),
        where=function,
        detail=cause.diag.message_detail,
        hint=hint,
        sqlstate=cause.sqlstate,
    )


def log_repetition(call: Call[Any], reply: object) -> None:
    """Log, as debug, that a call found its work done: that is no error."""
    match reply:
        case AppendedTurn(replayed=True, request_id=request_id):
            logger.debug("%s: replay of request %s", call.function.name, request_id)
        case LinkedFiles(already_linked=[_, *_] as file_ids):
            logger.debug("%s: %d links existed", call.function.name, len(file_ids))
