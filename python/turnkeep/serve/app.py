"""Requests in, answers out."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from turnkeep.health import Health
from turnkeep.serve.exposition import Exposition
from turnkeep.serve.guard import Gate, Guarded
from turnkeep.serve.sampling import sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from turnkeep.client import Client
    from turnkeep.metrics import CallMetrics


def create_app(  # noqa: PLR0913  each is one of what can be shown
    conninfo: str,
    *,
    client: Client | None = None,
    metrics: CallMetrics | None = None,
    redis_url: str | None = None,
    token: str | None = None,
    only_local_names: bool = True,
) -> Starlette:
    """Make the application.

    `client` and `metrics` are those of the application around it, if there is one.
    Without a `token` it answers to the names of this machine alone; where a server in
    front sees to that, `only_local_names` may be false.
    """
    health = Health(conninfo, client=client, redis_url=redis_url)
    gate = Gate(token)
    site = Site(health, gate, client, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await health.close()

    return Starlette(
        routes=[
            Route("/live", site.live),
            Route("/ready", site.ready),
            Route("/health", site.health),
            Route("/metrics", site.metrics),
        ],
        middleware=[
            Middleware(Guarded, only_local_names=token is None and only_local_names)
        ],
        lifespan=lifespan,
    )


class Site:
    """The answers."""

    def __init__(
        self,
        health: Health,
        gate: Gate,
        client: Client | None,
        metrics: CallMetrics | None,
    ) -> None:
        """Take what is shown, and who may see it."""
        self._health = health
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
        if report.status != "failed":
            try:
                found = await sample(self._health.sessions)
            except psycopg.Error:
                found = None
        own = [self._metrics.registry] if self._metrics else []
        text = Exposition(report, found, self._client).text(*own)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def _status(self) -> Response:
        status = (await self._health.check()).status
        return JSONResponse({"status": status}, _code(status))


def _code(status: str) -> int:
    return 503 if status == "failed" else 200


def _refusal() -> Response:
    return PlainTextResponse(
        "A token is needed.\n", 401, {"WWW-Authenticate": "Bearer"}
    )
