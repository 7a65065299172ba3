"""Send calls to Supabase's REST gateway. Needs the extra `supabase`.

The `postgrest` client asks, over one pool of HTTP connections. Its own retries know
nothing of our calls and are for GET alone; a call is a POST.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from uuid import UUID
from weakref import WeakSet

import httpx
import msgspec
from postgrest import AsyncPostgrestClient, SyncPostgrestClient
from postgrest.exceptions import APIError

from turnkeep.documents import arguments
from turnkeep.errors import (
    CallError,
    Closed,
    Forbidden,
    Lost,
    Misconfigured,
    NotDeployed,
    TooLarge,
    Unanswered,
    Unavailable,
    Unprocessable,
    class_for,
)
from turnkeep.supabase_storage import SupabaseStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnkeep.addresses import AccessToken, Project
    from turnkeep.calls import Call

Session = TypeVar("Session", httpx.Client, httpx.AsyncClient)

CONNECT_TIMEOUT_SECONDS = 10.0
REPLY_TIMEOUT_SECONDS = 65.0
"""Supabase itself gives up after 60."""
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What says that a request has not left."""
FAILURES = (APIError, httpx.HTTPError, UnicodeEncodeError)
"""All that sending a call may raise."""
BY_CODE: dict[str, type[CallError]] = {
    "413": TooLarge,
    "429": Unavailable,
    "502": Lost,
    "503": Lost,
    "504": Lost,
    # Cloudflare, which precedes Supabase, cannot reach it, or got no answer.
    "520": Lost,
    "521": Lost,
    "522": Lost,
    "523": Lost,
    "524": Lost,
    # PostgREST cannot reach its database, or has lost it.
    "PGRST000": Unavailable,
    "PGRST001": Lost,
    # It reads the schema anew, or has no free connection.
    "PGRST002": Unavailable,
    "PGRST003": Unavailable,
    "PGRST202": NotDeployed,
    "PGRST301": Forbidden,
    "PGRST302": Forbidden,
    "PGRST303": Forbidden,
    "401": Forbidden,
    "403": Forbidden,
}
"""What is no SQLSTATE: PostgREST's codes, and the HTTP status of what precedes it."""
SQLSTATE_LENGTH = 5


class OverHTTP:
    """What the two transports of this module have in common."""

    def __init__(self, project: Project) -> None:
        """Take the project."""
        self._url = project.url
        self._headers = project.headers
        self._token = project.access_token
        self.storage = SupabaseStorage(project.storage_url, self.headers)

    @property
    def user_id(self) -> UUID | None:
        """The user that the token names, for whom it was made."""
        token = self._current_token()
        return None if token is None else subject_of(token)

    def _current_token(self) -> str | None:
        return self._token() if callable(self._token) else self._token

    def headers(self) -> dict[str, str]:
        """Give the headers of a request at this time."""
        token = self._current_token()
        return self._headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def acting_as(self, user_id: UUID) -> Self:  # noqa: ARG002
        """Refuse.

        :raises turnkeep.errors.Misconfigured: only the user's own token makes a user
        """
        raise Misconfigured(
            "the gateway takes a user's word for nothing but a token",
            hint="over the gateway: signed_in(access_token)",
        )

    def signed_in(self, access_token: AccessToken) -> Self:
        """Give a transport over the same connections with a user's own token."""
        view = copy(self)
        view._token = access_token  # noqa: SLF001
        view.storage = self.storage.with_headers(view.headers)
        return view


class Rest(OverHTTP):
    """A `Transport` over HTTP."""

    def __init__(self, project: Project, *, max_size: int = 10) -> None:
        """Take the project; the pool has at most `max_size` connections."""
        super().__init__(project)
        self._pool = HTTPPool(httpx.Client, project, max_size, read_refusal)

    def send(self, call: Call[Any]) -> bytes:
        """Send a call once, as one request."""
        try:
            client = SyncPostgrestClient(
                self._url,
                headers=self.headers(),
                http_client=self._pool.get(call.function.name),
            )
            reply = client.rpc(call.function.name, body_of(call)).execute()
        except FAILURES as cause:
            raise translate(cause, call.function.name, self._pool) from cause
        return self._pool.answered(document(call, reply.data))

    def statistics(self) -> dict[str, int]:
        """Say how large the pool may be."""
        return self._pool.statistics()

    def close(self) -> None:
        """Close the connections."""
        self._pool.session.close()
        self.storage.close()


class AsyncRest(OverHTTP):
    """An `AsyncTransport` over HTTP."""

    def __init__(self, project: Project, *, max_size: int = 10) -> None:
        """Take the project; the pool has at most `max_size` connections."""
        super().__init__(project)
        self._pool = HTTPPool(httpx.AsyncClient, project, max_size, aread_refusal)

    async def send(self, call: Call[Any]) -> bytes:
        """Send a call once, as one request."""
        try:
            client = AsyncPostgrestClient(
                self._url,
                headers=self.headers(),
                http_client=self._pool.get(call.function.name),
            )
            reply = await client.rpc(call.function.name, body_of(call)).execute()
        except FAILURES as cause:
            raise translate(cause, call.function.name, self._pool) from cause
        return self._pool.answered(document(call, reply.data))

    def statistics(self) -> dict[str, int]:
        """Say how large the pool may be."""
        return self._pool.statistics()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.session.aclose()
        self.storage.close()


class HTTPPool(Generic[Session]):
    """The HTTP connections to one project; others in a process that was forked."""

    def __init__(
        self,
        kind: type[Session],
        project: Project,
        max_size: int,
        on_response: Callable[[httpx.Response], object],
    ) -> None:
        """Describe the pool; it connects when it is used."""
        self._kind: type[Session] = kind
        self._on_response = on_response
        self._max_size = max_size
        self.url = project.url
        self.has_answered = False
        self.renew()
        _pools.add(self)

    def renew(self) -> None:
        """Make the pool; one that was there belongs to the process that used it."""
        self.session: Session = self._kind(
            timeout=httpx.Timeout(
                REPLY_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS
            ),
            limits=httpx.Limits(
                max_connections=self._max_size, max_keepalive_connections=self._max_size
            ),
            event_hooks={"response": [self._on_response]},
        )

    def get(self, function: str) -> Session:
        """Give the connections, for a call of a function.

        :raises turnkeep.errors.Closed: they were closed
        """
        if self.session.is_closed:
            raise Closed("the client is closed", where=function)
        return self.session

    def answered(self, document: bytes) -> bytes:
        """Take note that somebody is there, and give the document back."""
        self.has_answered = True
        return document

    def statistics(self) -> dict[str, int]:
        """Say how large the pool may be."""
        return {"pool_max": self._max_size}


_pools: WeakSet[HTTPPool[Any]] = WeakSet()
_inherited: list[object] = []
"""Connections of the parent process: closing them here would end them there."""


def _renew_after_fork() -> None:
    for pool in list(_pools):
        _inherited.append(pool.session)
        pool.renew()


os.register_at_fork(after_in_child=_renew_after_fork)


def read_refusal(response: httpx.Response) -> None:
    """Raise the answer of whatever precedes PostgREST.

    The client of `postgrest` would drop the status, which is all that it says, and
    take a page for a reply.
    """
    if not is_json(response):
        response.read()
        raise_without_code(response)


async def aread_refusal(response: httpx.Response) -> None:
    """Do as `read_refusal` does."""
    if not is_json(response):
        await response.aread()
        raise_without_code(response)


def is_json(response: httpx.Response) -> bool:
    """Tell whether it carried a call out, as far as can be seen before it is read."""
    return response.is_success and "json" in response.headers.get("content-type", "")


def raise_without_code(response: httpx.Response) -> None:
    """Raise an answer that is not PostgREST's own, which has a code."""
    try:
        said = msgspec.json.decode(response.content, type=Refusal)
    except msgspec.DecodeError:
        said = Refusal(message=response.reason_phrase)
    if not said.code:
        raise httpx.HTTPStatusError(
            said.message, request=response.request, response=response
        )


class Refusal(msgspec.Struct, frozen=True):
    """`{"code", "message"}`, and what does not matter here."""

    code: str | None = None
    message: str = ""


def body_of(call: Call[Any]) -> dict[str, Any]:
    """Give the arguments as JSON; one that is left out has its default."""
    given = arguments(call, documents=call.function.parameters)
    return {name: json.loads(str(value)) for name, value in given.items()}


def document(call: Call[Any], data: object) -> bytes:
    """Give the reply as JSON again: one document, also where the gateway has rows."""
    if call.function.returns_table and isinstance(data, list) and data:
        data = data[0]
    return msgspec.json.encode(data)


def subject_of(token: str) -> UUID | None:
    """Read, without checking anything, whom a token is for."""
    try:
        payload = token.split(".")[1]
        claims = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return UUID(msgspec.json.decode(claims)["sub"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def translate(
    cause: APIError | httpx.HTTPError | UnicodeEncodeError,
    function: str,
    pool: HTTPPool[Any],
) -> CallError:
    """Give what the client raised as one of ours: message, detail, hint, SQLSTATE."""
    if isinstance(cause, UnicodeEncodeError):
        # Half of a surrogate pair is no character, to us as to the server.
        return Unprocessable(str(cause), where=function, sqlstate="22021")
    if isinstance(cause, httpx.HTTPStatusError):
        pool.has_answered = True
        status = str(cause.response.status_code)
        return BY_CODE.get(status, CallError)(
            str(cause) or "no reply",
            where=function,
            detail=f"HTTP {status} from {pool.url}",
            hint=None if cause.response.is_error else "check the project's URL",
        )
    if not isinstance(cause, APIError):
        kind: type[CallError] = Lost
        if isinstance(cause, NOT_SENT):
            is_full = isinstance(cause, httpx.PoolTimeout)
            kind = Unavailable if pool.has_answered or is_full else Unanswered
        return kind(str(cause) or type(cause).__name__, where=function, detail=pool.url)
    pool.has_answered = True
    code = str(cause.code or "")
    sqlstate = code if len(code) == SQLSTATE_LENGTH else None
    kind = class_for(sqlstate) if sqlstate else BY_CODE.get(code, CallError)
    error = kind(
        cause.message or str(cause),
        where=function,
        detail=None if cause.details is None else str(cause.details),
        hint=cause.hint,
        sqlstate=sqlstate,
    )
    if kind is NotDeployed:
        error.hint = f"{error.hint}; then: notify pgrst, 'reload schema'"
    return error
