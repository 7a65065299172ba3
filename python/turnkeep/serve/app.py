"""Requests in, answers out."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from psycopg.conninfo import conninfo_to_dict
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from turnkeep.health import Health
from turnkeep.serve.exposition import Exposition
from turnkeep.serve.feed import Feed
from turnkeep.serve.guard import Gate, Guarded
from turnkeep.serve.pumping import Pump
from turnkeep.serve.sampling import NotSampled, sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from turnkeep.client import Client
    from turnkeep.metrics import CallMetrics


PAGE = files(__package__) / "page"
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
STREAM_SECONDS = 10.0
"""How long a stream lasts; the page asks for another. A server that is to stop waits
for those that are open, and tells them nothing."""
HOW_TO_ENTER = "A token is needed: open ?token=TOKEN once.\n"


def create_app(  # noqa: PLR0913  each is one of what can be shown
    conninfo: str,
    *,
    client: Client | None = None,
    metrics: CallMetrics | None = None,
    redis_url: str | None = None,
    token: str | None = None,
    pumps: bool = False,
    only_local_names: bool = True,
) -> Starlette:
    """Make the application.

    `client` and `metrics` are those of the application around it, if there is one. One
    that `pumps` does what `turnkeep pump` does, from its start to its end. Where it is
    mounted in another, whose lifespan it does not have, it begins with the first
    request, and ends with the event loop; `app.router.lifespan_context(app)`, entered
    in the other's lifespan, is a lifespan for it.
    Without a `token` it answers to the names of this machine alone; where a server in
    front sees to that, `only_local_names` may be false.
    """
    pump = Pump(conninfo, redis_url=redis_url) if pumps else None
    health = Health(conninfo, client=client, redis_url=redis_url, pump=pump)
    feed = Feed(health, _about(conninfo), client, metrics)
    site = Site(health, feed, Gate(token), client, metrics)

    life = Life(pump, feed, health)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        life.begin()
        try:
            yield
        finally:
            await life.end()

    app = Starlette(
        routes=[
            Route("/live", site.live),
            Route("/ready", site.ready),
            Route("/health", site.health),
            Route("/metrics", site.metrics),
            Route("/", site.page),
            Route("/assets/{name}", site.asset),
            Route("/stream", site.stream),
        ],
        middleware=[
            Middleware(Begun, life=life),
            Middleware(Guarded, only_local_names=token is None and only_local_names),
        ],
        lifespan=lifespan,
    )
    app.state.feed = feed
    return app


@asynccontextmanager
async def running(pump: Pump | None) -> AsyncIterator[None]:
    """Let the pump run during the block."""
    if pump is None:
        yield
        return
    task = asyncio.create_task(pump.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await pump.close()


class Life:
    """What runs beside the answers, and what is closed at the end."""

    def __init__(self, pump: Pump | None, feed: Feed, health: Health) -> None:
        """Take it; nothing runs yet."""
        self._pump = pump
        self._feed = feed
        self._health = health
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin, unless it has. A loop that ends cancels it, and waits for its end."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._live())

    async def end(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _live(self) -> None:
        try:
            async with running(self._pump):
                await asyncio.Event().wait()
        finally:
            await self._feed.close()
            await self._health.close()


class Begun:
    """Begins with the first request: who is mounted in another has no lifespan."""

    def __init__(self, app: ASGIApp, *, life: Life) -> None:
        """Wrap an application."""
        self._app = app
        self._life = life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            self._life.begin()
        await self._app(scope, receive, send)


class Site:
    """The answers."""

    def __init__(
        self,
        health: Health,
        feed: Feed,
        gate: Gate,
        client: Client | None,
        metrics: CallMetrics | None,
    ) -> None:
        """Take what is shown, and who may see it."""
        self._health = health
        self._feed = feed
        self._gate = gate
        self._client = client
        self._metrics = metrics

    async def live(self, _: Request) -> Response:
        """Say that the process runs."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Say whether to send work here."""
        return await self._status()

    async def health(self, request: Request) -> Response:
        """Say how everything is; to strangers, only whether it works."""
        if not self._gate.admits(request):
            return await self._status()
        report = await self._health.check()
        return JSONResponse(report.document(), _code(report.status))

    async def metrics(self, request: Request) -> Response:
        """Say it to Prometheus."""
        if not self._gate.admits(request):
            return _refusal()
        report = await self._health.check()
        found = None
        if report.has_answer:
            with suppress(NotSampled):
                found = await sample(self._health.sessions)
        own = [self._metrics.registry] if self._metrics else []
        text = Exposition(report, found, self._client).text(*own)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def page(self, request: Request) -> Response:
        """Give the page, or take the token that its address has."""
        if signed_in := self._gate.sign_in(request):
            return signed_in
        if not self._gate.admits(request):
            return _refusal()
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")

    async def asset(self, request: Request) -> Response:
        """Give a file of the page; there is nothing to hide in them."""
        name = request.path_params["name"]
        kind = TYPES.get(name.rpartition(".")[2])
        if kind is None or not (PAGE / name).is_file():
            return PlainTextResponse("There is no such file.\n", 404)
        return Response((PAGE / name).read_bytes(), media_type=kind)

    async def stream(self, request: Request) -> Response:
        """Send the page what it shows, as server-sent events."""
        if not self._gate.admits(request):
            return _refusal()
        kind = "text/event-stream"
        if request.method == "HEAD":
            return Response(media_type=kind)
        # nginx would keep it until there is a page of it.
        unbuffered = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._told(), headers=unbuffered, media_type=kind)

    async def _told(self) -> AsyncIterator[str]:
        end = time.monotonic() + STREAM_SECONDS
        yield "retry: 200\n\n"
        async with aclosing(self._feed.watch()) as documents:
            async for document in documents:
                yield f"data: {document}\n\n"
                if time.monotonic() > end:
                    return

    async def _status(self) -> Response:
        status = (await self._health.check()).status
        return JSONResponse({"status": status}, _code(status))


def _about(conninfo: str) -> str:
    """Name a database for people; who may log in, and how, is no part of it."""
    parts = conninfo_to_dict(conninfo)
    where = parts.get("host") or parts.get("service") or "this machine"
    return f"{parts.get('dbname') or 'the default database'} on {where}"


def _code(status: str) -> int:
    return 503 if status == "failed" else 200


def _refusal() -> Response:
    return PlainTextResponse(HOW_TO_ENTER, 401, {"WWW-Authenticate": "Bearer"})
