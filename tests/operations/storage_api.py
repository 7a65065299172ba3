"""A stand-in for Supabase's Storage API, on the table `storage.objects` of a test.

As the real one, it deletes at most 1,000 objects a call, the row with the bytes, and
answers with those that were there.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

MOST = 1000
BAD_GATEWAY = 502
KEY = "the secret key"
TABLE = """
    create schema storage;
    create table storage.objects (
        bucket_id text not null,
        name text not null,
        version text not null default gen_random_uuid(),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        metadata jsonb not null default '{"size": 1}',
        primary key (bucket_id, name)
    );
"""


@dataclass
class StorageApi:
    """What was asked of it; and a refusal that a test orders."""

    database: str
    url: str
    deleted: list[str] = field(default_factory=list)
    """`bucket/name` of each object that was deleted, in order."""
    batches: list[int] = field(default_factory=list)
    """How many paths each call named."""
    refused: dict[str, int] = field(default_factory=dict)
    """Bucket to the HTTP status that it is answered with; 502 as by a proxy."""

    async def delete(self, request: Request) -> Response:
        """`DELETE /object/{bucket}`."""
        bucket_id = request.path_params["bucket"]
        paths = (await request.json())["prefixes"]
        self.batches.append(len(paths))
        if len(paths) > MOST or request.headers.get("apikey") != KEY:
            return _error(400, "InvalidRequest")
        if status := self.refused.get(bucket_id):
            return _error(status, "Refused")
        rows = await run_in_threadpool(
            self._run,
            "delete from storage.objects where bucket_id = %s and name = any (%s)"
            " returning name",
            [bucket_id, paths],
        )
        self.deleted += (f"{bucket_id}/{row['name']}" for row in rows)
        return JSONResponse(rows)

    async def list(self, request: Request) -> JSONResponse:
        """`POST /object/list-v2/{bucket}`."""
        options = await request.json()
        limit = options["limit"]
        rows = await run_in_threadpool(
            self._run,
            "select name, name as key, gen_random_uuid()::text as id, metadata,"
            " to_json(updated_at)#>>'{}' as updated_at,"
            " to_json(created_at)#>>'{}' as created_at,"
            " to_json(created_at)#>>'{}' as last_accessed_at from storage.objects"
            " where bucket_id = %s and name > %s order by name limit %s",
            [request.path_params["bucket"], options.get("cursor") or "", limit + 1],
        )
        page = rows[:limit]
        return JSONResponse(
            {
                "hasNext": len(rows) > limit,
                "nextCursor": page[-1]["name"] if len(rows) > limit else None,
                "folders": [],
                "objects": page,
            }
        )

    def _run(self, query: str, parameters: list[Any]) -> list[dict[str, Any]]:
        with psycopg.connect(
            self.database, autocommit=True, row_factory=psycopg.rows.dict_row
        ) as connection:
            return connection.execute(query.encode(), parameters).fetchall()


@contextmanager
def storage_api(database: str) -> Iterator[StorageApi]:
    """Serve the objects of a database, in which the table is made."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLE)
    listener = socket.create_server(("127.0.0.1", 0))
    api = StorageApi(database, f"http://127.0.0.1:{listener.getsockname()[1]}")
    app = Starlette(
        routes=[
            Route("/storage/v1/object/{bucket}", api.delete, methods=["DELETE"]),
            Route("/storage/v1/object/list-v2/{bucket}", api.list, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _error(status: int, error: str) -> Response:
    if status == BAD_GATEWAY:
        return HTMLResponse("<html>\n<h1>Bad\nGateway</h1>\n</html>", status)
    document = {"statusCode": str(status), "error": error, "message": error}
    return JSONResponse(document, status)
