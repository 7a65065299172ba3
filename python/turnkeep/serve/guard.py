"""Who may look, and what a browser may do with the answer."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

from turnkeep.errors import Misconfigured

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "turnkeep"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Tells who has the token. Without one, everybody has, and only locally."""

    def __init__(self, token: str | None) -> None:
        """Take the token, or None.

        :raises turnkeep.errors.Misconfigured: it is empty, as a variable may be
        """
        if token == "":
            raise Misconfigured("the token is empty", hint="pass one, or None for none")
        self._token = token
        # The cookie is not the token: whoever reads one cannot use it as the other.
        self._cookie = hmac.digest(
            (token or "").encode(), b"turnkeep page", hashlib.sha256
        ).hex()

    def admits(self, request: Request) -> bool:
        """Tell whether a request may see everything."""
        if self._token is None:
            return True
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        # Latin 1 is how the bytes of a header are read.
        if scheme.lower() == "bearer" and self._is_token(said.encode("latin-1")):
            return True
        return hmac.compare_digest(_cookie(request), self._cookie)

    def sign_in(self, request: Request) -> RedirectResponse | None:
        """Take the token of `/?token=...` into a cookie, and out of the address."""
        said = request.query_params.get("token", "")
        if self._token is None or not self._is_token(said.encode()):
            return None
        # Relative: under which name and path the page is seen, a proxy may not tell.
        response = RedirectResponse("./", 303)
        response.set_cookie(
            COOKIE,
            self._cookie,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            # None: the browser knows the prefix that a proxy takes off.
            path=None,
        )
        return response

    def _is_token(self, said: bytes) -> bool:
        expected = (self._token or "").encode()
        return said != b"" and hmac.compare_digest(said, expected)


def _cookie(request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found and found.value.isascii() else ""


class Guarded:
    """Adds the headers; refuses foreign names of this host when none may be used.

    A page of another site whose name is made to mean 127.0.0.1 could read everything
    otherwise.
    """

    def __init__(self, app: ASGIApp, *, only_local_names: bool) -> None:
        """Wrap an application."""
        self._app = app
        self._only_local_names = only_local_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        app = self._app
        if self._only_local_names and _host(scope) not in LOCAL_HOSTS:
            app = PlainTextResponse("Call it localhost, or set a token.\n", 421)
        await app(scope, receive, send_with_headers)


def _host(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            return host if host.endswith("]") else host.rpartition(":")[0] or host
    return ""
