"""A gateway that runs: in a thread of this process, on a port of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import psycopg
import uvicorn
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.edge import Edge
from gateway.keys import Keys
from gateway.postgrest import MAX_ROWS, PostgREST
from gateway.storage import PREFIX, StorageAPI

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gateway.edge import Traffic

BINARY = "POSTGREST_BIN"
"""Variable that names a real PostgREST, which then takes the stand-in's place."""
LOGIN = "authenticator"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that need none: they would read all certificates of the system."""
PATIENCE = 30
"""Seconds."""


@dataclass(frozen=True)
class Gateway:
    """The address and the keys of a project whose REST API runs."""

    url: str
    """Of the project: clients append /rest/v1 to it."""
    keys: Keys
    edge: Edge
    storage: StorageAPI
    """Beside the REST API, at /storage/v1."""

    @property
    def anon_key(self) -> str:
        """The publishable key: who has it alone is the role anon."""
        return self.keys.anon_key

    @property
    def service_key(self) -> str:
        """The secret key: who has it is the role service_role."""
        return self.keys.service_key

    def user_token(self, user_id: UUID | str | None = None, **claims: object) -> str:
        """Give a token of a signed-in user; see `Keys.user_token`."""
        return self.keys.user_token(user_id, **claims)  # type: ignore[arg-type]

    @property
    def traffic(self) -> Traffic:
        """What went through since the start, or since ``traffic.clear()``."""
        return self.edge.traffic

    def fail(self, times: int = 1, status: int = 503) -> None:
        """Answer the next requests with an error; nothing is done in the database."""
        self.edge.faults.failing, self.edge.faults.status = times, status

    def drop_requests(self, times: int = 1) -> None:
        """Hang up on the next requests; nothing is done in the database."""
        self.edge.faults.dropping_requests = times

    def drop_replies(self, times: int = 1) -> None:
        """Do what the next requests ask, commit it, and hang up without an answer."""
        self.edge.faults.dropping = times

    def client(self, key: str | None = None, token: str | None = None) -> httpx.Client:
        """Give an HTTP client of the API; without a token it sends the key alone."""
        headers = {"apikey": key or self.anon_key}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        base = f"{self.url}/rest/v1"
        return httpx.Client(base_url=base, headers=headers, verify=NO_TLS)


@contextmanager
def running(database: str) -> Iterator[Gateway]:
    """Run a gateway on the database with this URL, whose administrator it names."""
    keys = Keys()
    login = make_login(database)
    with contextlib.ExitStack() as stack:
        app: ASGIApp = PostgREST(login, keys.jwt_secret).app
        if program := os.environ.get(BINARY):
            app = Upstream(stack.enter_context(real(program, login, keys.jwt_secret)))
        storage = StorageAPI(database, keys)
        edge = Edge(beside(app, storage), keys)
        yield Gateway(stack.enter_context(served(edge)), keys, edge, storage)


def beside(app: ASGIApp, storage: StorageAPI) -> ASGIApp:
    """Let the Storage API answer what is asked below its path."""

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        is_storage = scope.get("path", "").startswith(PREFIX)
        await (storage.app if is_storage else app)(scope, receive, send)

    return choose


def make_login(database: str) -> str:
    """Make PostgREST's own role if it is missing, and give its connection string."""
    with psycopg.connect(database, autocommit=True) as admin:
        found = "select from pg_roles where rolname = %s"
        if not admin.execute(found, [LOGIN]).rowcount:
            role = sql.Identifier(LOGIN)
            # Another worker may be making it in the same cluster.
            with contextlib.suppress(
                psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation
            ):
                admin.execute(sql.SQL("create role {} login noinherit").format(role))
            for name in ("anon", "authenticated", "service_role"):
                granted = sql.SQL("grant {} to {}").format(sql.Identifier(name), role)
                with contextlib.suppress(psycopg.errors.UniqueViolation):
                    admin.execute(granted)
    return make_conninfo(database, user=LOGIN)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application, give its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="on", log_level="warning", proxy_headers=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(verify=NO_TLS, timeout=PATIENCE) as client:
            # The listener queues it until the application is ready.
            client.get(f"{url}/rest/v1/")
        if not server.started:
            raise RuntimeError("the gateway did not start")
        yield url
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


@contextmanager
def real(program: str, login: str, jwt_secret: str) -> Iterator[str]:
    """Run a real PostgREST on the same database, give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port, admin_port = free.getsockname()[1], 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin_port = free.getsockname()[1]
    parts = conninfo_to_dict(login)
    uri = f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"
    settings = {
        "PGRST_DB_URI": uri,
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
        "PGRST_JWT_SECRET": jwt_secret,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
        "PGRST_ADMIN_SERVER_PORT": str(admin_port),
    }
    process = subprocess.Popen(  # noqa: S603
        [Path(program)],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        transport = httpx.HTTPTransport(verify=NO_TLS, retries=10)
        with httpx.Client(transport=transport, timeout=PATIENCE) as client:
            while client.get(f"http://127.0.0.1:{admin_port}/ready").status_code != 200:
                if process.poll() is not None:
                    raise RuntimeError(f"{program} ended with {process.returncode}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Upstream:
    """An ASGI application that hands requests on to a server."""

    def __init__(self, url: str) -> None:
        """Take the server's URL."""
        self.url = url
        self.client = httpx.AsyncClient(base_url=url, timeout=PATIENCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on, and its answer back."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.client.aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        target = httpx.URL(self.url).copy_with(
            raw_path=b"?".join(filter(None, [scope["raw_path"], scope["query_string"]]))
        )
        answer = await self.client.request(
            scope["method"], target, headers=scope["headers"], content=body
        )
        hop = {
            b"transfer-encoding",
            b"connection",
            b"content-encoding",
            b"content-length",
        }
        headers = [pair for pair in answer.headers.raw if pair[0].lower() not in hop]
        headers.append((b"content-length", str(len(answer.content)).encode()))
        start = {"type": "http.response.start", "status": answer.status_code}
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})
