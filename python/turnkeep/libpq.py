"""libpq itself, and no more of a driver than the engine needs.

``import psycopg`` takes 0.3 s of the processor, and its ``pq``, which would be enough,
cannot be imported without the rest; all of ``turnkeep status`` takes 0.2 s, and this
module one hundredth of that (Python 3.11; ``make bench-engine`` says what the verbs
take). A run of scripts also wants what lies below a driver: many statements in one
message and their results one by one. The library is the copy that comes with psycopg,
so that service files, TLS and passwords are found as by the rest of the package.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import re
import select
import sys
import time
from ctypes import POINTER, c_char_p, c_int, c_void_p
from functools import cache

from turnkeep.lean import TYPE_CHECKING, NamedTuple
from turnkeep.quoting import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

BAD = 1
"""Of PQstatus."""
IDLE, ACTIVE, IN_TRANSACTION, IN_ERROR = range(4)
"""Of PQtransactionStatus."""
TUPLES_OK, COPY_OUT, COPY_IN, FATAL_ERROR = 2, 3, 4, 7
"""Of PQresultStatus."""
_POLL_FAILED, _POLL_READING, _POLL_WRITING, _POLL_OK = range(4)
"""Of PQconnectPoll."""
_SQLSTATE_ALONE = 3
"""Of PQsetErrorVerbosity."""
_CHUNK = 1_000_000
"""Bytes of COPY data in one piece."""
_MESSAGE_PRIMARY = ord("M")
_FIELDS = tuple(b"SCMDHWPq")
"""libpq's codes for the parts of a diagnostic, in their order."""
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # The result, then the arguments.
    "PQbackendPID": (c_int, c_void_p),
    "PQcancel": (c_int, c_void_p, c_char_p, c_int),
    "PQclear": (None, c_void_p),
    "PQcmdTuples": (c_char_p, c_void_p),
    "PQconnectPoll": (c_int, c_void_p),
    "PQconnectStart": (c_void_p, c_char_p),
    "PQconnectdbParams": (c_void_p, POINTER(c_char_p), POINTER(c_char_p), c_int),
    "PQconnectionNeedsPassword": (c_int, c_void_p),
    "PQconninfo": (c_void_p, c_void_p),
    "PQconninfoFree": (None, c_void_p),
    "PQconninfoParse": (c_void_p, c_char_p, POINTER(c_void_p)),
    "PQconsumeInput": (c_int, c_void_p),
    "PQdb": (c_char_p, c_void_p),
    "PQerrorMessage": (c_char_p, c_void_p),
    "PQfinish": (None, c_void_p),
    "PQflush": (c_int, c_void_p),
    "PQfname": (c_char_p, c_void_p, c_int),
    "PQfreeCancel": (None, c_void_p),
    "PQfreemem": (None, c_void_p),
    "PQftype": (c_int, c_void_p, c_int),
    "PQgetCancel": (c_void_p, c_void_p),
    "PQgetCopyData": (c_int, c_void_p, POINTER(c_void_p), c_int),
    "PQgetResult": (c_void_p, c_void_p),
    "PQgetisnull": (c_int, c_void_p, c_int, c_int),
    "PQgetvalue": (c_char_p, c_void_p, c_int, c_int),
    "PQhost": (c_char_p, c_void_p),
    "PQisBusy": (c_int, c_void_p),
    "PQnfields": (c_int, c_void_p),
    "PQntuples": (c_int, c_void_p),
    "PQparameterStatus": (c_char_p, c_void_p, c_char_p),
    "PQpass": (c_char_p, c_void_p),
    "PQport": (c_char_p, c_void_p),
    "PQputCopyData": (c_int, c_void_p, c_char_p, c_int),
    "PQputCopyEnd": (c_int, c_void_p, c_char_p),
    "PQresultErrorField": (c_char_p, c_void_p, c_int),
    "PQresultErrorMessage": (c_char_p, c_void_p),
    "PQresultStatus": (c_int, c_void_p),
    "PQsendQuery": (c_int, c_void_p, c_char_p),
    "PQserverVersion": (c_int, c_void_p),
    "PQsetErrorVerbosity": (c_int, c_void_p, c_int),
    "PQsetNoticeReceiver": (c_void_p, c_void_p, c_void_p, c_void_p),
    "PQsetnonblocking": (c_int, c_void_p, c_int),
    "PQsocket": (c_int, c_void_p),
    "PQstatus": (c_int, c_void_p),
    "PQtransactionStatus": (c_int, c_void_p),
    "PQuser": (c_char_p, c_void_p),
}
_NOTICE_RECEIVER = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class _Option(ctypes.Structure):
    """PQconninfoOption."""

    _fields_ = (
        *((name, c_char_p) for name in ("keyword", "envvar", "compiled", "val")),
        *((name, c_char_p) for name in ("label", "dispchar")),
        ("dispsize", c_int),
    )


class Diagnostic(NamedTuple):
    """What the server says about an error, or a notice; None: nothing."""

    severity: str | None = None
    sqlstate: str | None = None
    message_primary: str | None = None
    message_detail: str | None = None
    message_hint: str | None = None
    context: str | None = None
    statement_position: str | None = None
    internal_query: str | None = None


class Error(Exception):
    """The server, or the way to it, does not do what it was asked."""

    def __init__(self, text: str, diagnostic: Diagnostic | None = None) -> None:
        """Take libpq's text, and what the server said when it was the server."""
        super().__init__(text.strip())
        self.diag = diagnostic or Diagnostic()

    @property
    def sqlstate(self) -> str:
        """Give the server's code; empty: it was not the server."""
        return self.diag.sqlstate or ""


class Result:
    """What became of one statement. Rows are as the server writes them."""

    __slots__ = ("_pointer", "_pq", "status")

    def __init__(self, pq: Any, pointer: int) -> None:
        """Own one of libpq's results."""
        self._pq, self._pointer = pq, pointer
        self.status: int = pq.PQresultStatus(pointer)

    def __del__(self) -> None:
        """Give its memory back."""
        self._pq.PQclear(self._pointer)

    @property
    def ntuples(self) -> int:
        """How many rows it has."""
        return int(self._pq.PQntuples(self._pointer))

    @property
    def nfields(self) -> int:
        """How many columns it has."""
        return int(self._pq.PQnfields(self._pointer))

    @property
    def command_tuples(self) -> int:
        """How many rows the command has changed or given."""
        return int(self._pq.PQcmdTuples(self._pointer) or 0)

    @property
    def error(self) -> Error:
        """What the server said instead."""
        text = self._pq.PQresultErrorMessage(self._pointer).decode(errors="replace")
        return Error(text, _diagnostic(self._pq, self._pointer))

    def name(self, column: int) -> str:
        """Name a column."""
        return str(self._pq.PQfname(self._pointer, column).decode())

    def text(self, row: int, column: int) -> str | None:
        """Give a value as text."""
        value: bytes = self._pq.PQgetvalue(self._pointer, row, column)
        if not value and self._pq.PQgetisnull(self._pointer, row, column):
            return None
        return value.decode()

    def rows(self) -> list[tuple[Any, ...]]:
        """Give the rows: booleans, numbers and arrays of text as Python's."""
        pq, pointer = self._pq, self._pointer
        readers = [
            (column, _READERS.get(pq.PQftype(pointer, column), str))
            for column in range(self.nfields)
        ]
        return [
            tuple(
                [
                    read(value.decode())
                    if (value := pq.PQgetvalue(pointer, row, column))
                    or not pq.PQgetisnull(pointer, row, column)
                    else None
                    for column, read in readers
                ]
            )
            for row in range(self.ntuples)
        ]


class Connection:
    """One session, in which every message that opens no transaction is one."""

    def __init__(self, pq: Any, pointer: int) -> None:
        """Own one of libpq's connections."""
        self._pq, self._pointer = pq, pointer
        self._listen: Callable[[Diagnostic], None] | None = None
        self._unheard: bytes | None = None
        # libpq keeps the pointer only.
        self._receiver = _NOTICE_RECEIVER(self._receive)
        self._poll = select.poll()
        pq.PQsetNoticeReceiver(pointer, self._receiver, None)
        pq.PQsetnonblocking(pointer, 1)

    def __enter__(self) -> Self:
        """Stay open for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close; what was not committed is undone."""
        self.close()

    def close(self) -> None:
        """End the session."""
        if self._pointer:
            self._pq.PQfinish(self._pointer)
            self._pointer = 0

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return not self._pointer or self._pq.PQstatus(self._pointer) == BAD

    @property
    def transaction_status(self) -> int:
        """IDLE, ACTIVE, IN_TRANSACTION or IN_ERROR; another when it is closed."""
        return int(self._pq.PQtransactionStatus(self._pointer))

    @property
    def pid(self) -> int:
        """The server's process."""
        return int(self._pq.PQbackendPID(self._pointer))

    @property
    def server_version(self) -> int:
        """As 150004 for 15.4."""
        return int(self._pq.PQserverVersion(self._pointer))

    @property
    def dbname(self) -> str:
        """The database."""
        return self._told("PQdb")

    @property
    def user(self) -> str:
        """The login."""
        return self._told("PQuser")

    @property
    def host(self) -> str:
        """The server's name, or the directory of its socket."""
        return self._told("PQhost")

    @property
    def port(self) -> str:
        """The server's port."""
        return self._told("PQport")

    @property
    def password(self) -> str:
        """The password that was used; empty: none."""
        return self._told("PQpass")

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of libpq that are not its defaults, without the password."""
        return {
            name: value
            for name, value, default in _options(
                self._pq, self._pq.PQconninfo(self._pointer)
            )
            if value not in (None, default) and name != "password"
        }

    def setting(self, name: str) -> str | None:
        """Give a setting of which the server tells every client."""
        text = self._pq.PQparameterStatus(self._pointer, name.encode())
        return None if text is None else str(text.decode())

    def listen(
        self, listener: Callable[[Diagnostic], None], unless: str | None = None
    ) -> None:
        """Let somebody hear what the server says beside its results.

        What has ``unless`` for its message says nothing to anybody.
        """
        self._listen = listener
        self._unheard = None if unless is None else unless.encode()

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run statements, and give the rows of the last one. Raises Error."""
        return self.ask_all(filled(query, values))[-1]

    def ask_all(self, *queries: str) -> list[list[tuple[Any, ...]]]:
        """Run statements in one message, and give the rows of each. Raises Error."""
        failure: Error | None = None
        found = []
        for result in self.results(";\n".join(queries)):
            if result.status == FATAL_ERROR:
                failure = failure or result.error
            else:
                found.append(result.rows())
        if failure:
            raise failure
        return found

    def results(
        self,
        message: str,
        patience: float = 60,
        look: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Iterator[Result]:
        """Send a message, and give the results as they come. Raises Error.

        ``look`` is called when nothing has come for ``patience`` seconds, and again
        when twice as long has passed; ``meanwhile`` as soon as all is sent.
        """
        pq, pointer = self._pq, self._pointer
        is_done = False
        try:
            self._require(pq.PQsendQuery(pointer, message.encode()))
            self._flush()
            if meanwhile:
                meanwhile()
            while True:
                while pq.PQisBusy(pointer):
                    if not self._wait(select.POLLIN, patience) and look:
                        look()
                        patience *= 2
                found = pq.PQgetResult(pointer)
                if not found:
                    is_done = True
                    return
                yield Result(pq, found)
        finally:
            if not is_done:
                self._drain()

    def copy_in(self, statement: str, data: bytes) -> int:
        """Run COPY FROM STDIN with this data; give how many rows. Raises Error."""
        rows = 0
        for result in self.results(statement):
            if result.status == FATAL_ERROR:
                raise result.error
            if result.status == COPY_IN:
                for start in range(0, len(data), _CHUNK):
                    self._put(data[start : start + _CHUNK])
                while not self._pq.PQputCopyEnd(self._pointer, None):
                    self._wait(select.POLLIN | select.POLLOUT)
                self._flush()
            else:
                rows = result.command_tuples
        return rows

    def copy_out(self, statement: str, take: Callable[[bytes], None]) -> int:
        """Run COPY TO STDOUT; give how many rows. Raises Error."""
        rows = 0
        for result in self.results(statement):
            if result.status == FATAL_ERROR:
                raise result.error
            if result.status == COPY_OUT:
                while (data := self._copied()) is not None:
                    take(data)
            else:
                rows = result.command_tuples
        return rows

    def cancel(self) -> None:
        """Ask the server to stop what it is doing."""
        handle = self._pq.PQgetCancel(self._pointer)
        self._pq.PQcancel(handle, ctypes.create_string_buffer(256), 256)
        self._pq.PQfreeCancel(handle)

    def _told(self, function: str) -> str:
        return (getattr(self._pq, function)(self._pointer) or b"").decode()

    def _receive(self, _: object, result: int) -> None:
        said = self._pq.PQresultErrorField(result, _MESSAGE_PRIMARY)
        if self._listen and said != self._unheard:
            self._listen(_diagnostic(self._pq, result))

    def _require(self, is_done: bool) -> None:  # noqa: FBT001
        if not is_done:
            text = self._pq.PQerrorMessage(self._pointer).decode(errors="replace")
            raise Error(text)

    def _wait(self, events: int, seconds: float | None = None) -> bool:
        """Wait for the server, and read what it has sent; False: time is up."""
        self._poll.register(self._pq.PQsocket(self._pointer), events)
        found = self._poll.poll(None if seconds is None else seconds * 1000)
        if found and found[0][1] & ~select.POLLOUT:
            self._require(self._pq.PQconsumeInput(self._pointer))
        return bool(found)

    def _flush(self) -> None:
        """Send all that libpq holds; the server may talk meanwhile."""
        while left := self._pq.PQflush(self._pointer):
            self._require(left > 0)
            self._wait(select.POLLIN | select.POLLOUT)

    def _put(self, data: bytes) -> None:
        while not (done := self._pq.PQputCopyData(self._pointer, data, len(data))):
            self._wait(select.POLLIN | select.POLLOUT)
        self._require(done > 0)
        self._flush()

    def _copied(self) -> bytes | None:
        """Give the next piece of COPY data; None: there is no more."""
        buffer = c_void_p()
        while True:
            size = self._pq.PQgetCopyData(self._pointer, ctypes.byref(buffer), 1)
            if size > 0:
                data = ctypes.string_at(buffer.value or 0, size)
                self._pq.PQfreemem(buffer)
                return data
            if size < 0:
                return None
            self._wait(select.POLLIN)

    def _drain(self) -> None:
        """Take what is left of the answers, so that the session can go on."""
        if self.closed:
            return
        if self.transaction_status == ACTIVE:
            self.cancel()
        try:
            while found := self._pq.PQgetResult(self._pointer):
                status = Result(self._pq, found).status
                if status == COPY_IN:
                    self._pq.PQputCopyEnd(self._pointer, b"stopped")
                    self._flush()
                elif status == COPY_OUT:
                    while self._copied() is not None:
                        pass
        except Error:
            pass


def connect(
    conninfo: str,
    meanwhile: Callable[[], object] | None = None,
    **parameters: str | None,
) -> Connection:
    """Open a session. ``parameters`` are libpq's, and overrule. Raises Error.

    ``meanwhile`` is done while the server begins the session. All text is UTF-8,
    whatever the environment says.
    """
    pq = library()
    given = {**parse(conninfo), **parameters, "client_encoding": "utf8"}
    pairs = [(name, each) for name, each in given.items() if each is not None]
    names = (c_char_p * (len(pairs) + 1))(*(name.encode() for name, _ in pairs), None)
    texts = (c_char_p * (len(pairs) + 1))(*(each.encode() for _, each in pairs), None)
    found: list[int] = []
    is_done = _thread.allocate_lock()
    is_done.acquire()

    def begin() -> None:
        found.append(pq.PQconnectdbParams(names, texts, 0))
        is_done.release()

    # libpq waits in C, where Ctrl-C would not be heard.
    _thread.start_new_thread(begin, ())
    if meanwhile:
        meanwhile()
    is_done.acquire()
    connection = Connection(pq, found[0])
    if connection.closed:
        text = pq.PQerrorMessage(found[0]).decode(errors="replace")
        connection.close()
        raise Error(text)
    return connection


def refusal(conninfo: str, seconds: float) -> str | None:
    """Connect, and give the SQLSTATE of the refusal; empty: none; None: no answer.

    libpq says it in no other way than in its text, and there when it was asked to.
    """
    pq = library()
    pointer = pq.PQconnectStart(conninfo.encode())
    try:
        pq.PQsetErrorVerbosity(pointer, _SQLSTATE_ALONE)
        ends = time.monotonic() + seconds
        step = _POLL_FAILED if pq.PQstatus(pointer) == BAD else _POLL_WRITING
        while step in (_POLL_READING, _POLL_WRITING):
            poll = select.poll()
            events = select.POLLIN if step == _POLL_READING else select.POLLOUT
            poll.register(pq.PQsocket(pointer), events)
            if not poll.poll(max(0, 1000 * (ends - time.monotonic()))):
                return None
            step = pq.PQconnectPoll(pointer)
        if step == _POLL_OK:
            return ""
        if pq.PQconnectionNeedsPassword(pointer):
            # None was sent, so the server had nothing to say about it.
            return "28P01"
        text = pq.PQerrorMessage(pointer).decode(errors="replace")
    finally:
        pq.PQfinish(pointer)
    codes = re.findall(r": +([0-9A-Z]{5})$", text, re.MULTILINE)
    return codes[-1] if codes else None


def parse(conninfo: str) -> dict[str, str]:
    """Take a URL or ``key=value`` pairs apart. Raises Error."""
    pq = library()
    problem = c_void_p()
    found = pq.PQconninfoParse(conninfo.encode(), ctypes.byref(problem))
    if not found:
        text = ctypes.string_at(problem.value or 0).decode(errors="replace")
        pq.PQfreemem(problem)
        raise Error(text)
    return {name: each for name, each, _ in _options(pq, found) if each is not None}


def joined(conninfo: str, **parameters: str) -> str:
    """Put parameters in the place of those that a connection string has.

    Raises Error when it is none.
    """
    merged = {**parse(conninfo), **parameters}
    return " ".join(
        "{}='{}'".format(name, each.replace("\\", "\\\\").replace("'", "\\'"))
        for name, each in merged.items()
    )


@cache
def library() -> Any:
    """Load libpq. Raises OSError when there is none."""
    pq = ctypes.CDLL(_path())
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(pq, name)
        function.restype, function.argtypes = result, arguments
    return pq


def _path() -> str:
    # Looked for, not imported: that would import all of psycopg.
    for place in sys.path:
        for folder in ("psycopg_binary.libs", "psycopg_binary/.dylibs"):
            try:
                names = os.listdir(os.path.join(place, folder))  # noqa: PTH118, PTH208
            except OSError:
                continue
            for name in names:
                if name.startswith(("libpq-", "libpq.")):
                    return os.path.join(place, folder, name)  # noqa: PTH118
    from ctypes.util import find_library  # noqa: PLC0415 - asks the compiler

    return find_library("pq") or "libpq.so.5"


def _options(pq: Any, first: int) -> Iterator[tuple[str, str | None, str | None]]:
    """Give name, value and default of each of libpq's parameters."""
    options = ctypes.cast(first, POINTER(_Option))
    try:
        index = 0
        while keyword := options[index].keyword:
            value, default = options[index].val, options[index].compiled
            yield (
                keyword.decode(),
                value and value.decode(),
                default and default.decode(),
            )
            index += 1
    finally:
        pq.PQconninfoFree(first)


def _diagnostic(pq: Any, result: int) -> Diagnostic:
    found = [pq.PQresultErrorField(result, code) for code in _FIELDS]
    return Diagnostic(*(text and text.decode(errors="replace") for text in found))


def _array(text: str) -> list[str | None]:
    """Read an array of one dimension."""
    found: list[str | None] = []
    characters = iter(text[1:-1])
    element, is_quoted, was_quoted = "", False, False
    for each in characters:
        if each == "\\":
            element += next(characters)
        elif each == '"':
            is_quoted, was_quoted = not is_quoted, True
        elif each == "," and not is_quoted:
            found.append(_value(element, was_quoted))
            element, was_quoted = "", False
        else:
            element += each
    if text != "{}":
        found.append(_value(element, was_quoted))
    return found


def _value(element: str, was_quoted: bool) -> str | None:  # noqa: FBT001
    return None if element == "NULL" and not was_quoted else element


_READERS: dict[int, Callable[[str], Any]] = {
    16: "t".__eq__,
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((700, 701), float),
    **dict.fromkeys((1003, 1009), _array),
}
"""By the oid of the type: bool; int8, int2, int4, oid; floats; name[] and text[]."""
