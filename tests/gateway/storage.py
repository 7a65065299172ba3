"""Supabase's Storage API for tests: bytes in memory, rows in storage.objects.

Uploads, deletions and listings, for whoever has the secret key or a user's token; a
user may write below the folder named by the own id, as policies of such buckets say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import psycopg
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.keys import ALGORITHM

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.keys import Keys

PREFIX = "/storage/v1"
SCHEMA = """
create schema if not exists storage;
create table if not exists storage.objects (
    id uuid primary key default gen_random_uuid(),
    bucket_id text not null,
    name text not null,
    owner_id text,
    version text,
    metadata jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (bucket_id, name)
);
grant usage on schema storage to authenticated, service_role;
grant select on storage.objects to authenticated, service_role;
"""


@dataclass
class StorageAPI:
    """What the API holds, and what was asked of it."""

    database: str
    keys: Keys
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Bucket and path to content."""
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    """Bucket and path to MIME type."""
    uploads: int = 0
    failing: int = 0
    """How many of the next requests are answered with 503."""
    page_size: int = 1000
    has_rows: bool = False
    """There is a table storage.objects: `create_schema` was called."""
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        """Make the application."""
        self.app = Starlette(
            routes=[
                Route(
                    f"{PREFIX}/object/list-v2/{{bucket}}", self.list, methods=["POST"]
                ),
                Route(f"{PREFIX}/object/{{bucket}}", self.delete, methods=["DELETE"]),
                Route(
                    f"{PREFIX}/object/{{bucket}}/{{name:path}}",
                    self.upload,
                    methods=["POST"],
                ),
            ]
        )

    def create_schema(self) -> None:
        """Give the database the table in which Supabase has its objects."""
        with psycopg.connect(self.database, autocommit=True) as admin:
            admin.execute(SCHEMA)
        self.has_rows = True

    def _refused(self, request: Request, name: str | None = None) -> Response | None:
        if self.failing:
            self.failing -= 1
            return _error(503, "ServiceUnavailable", "no healthy upstream")
        bearer = request.headers.get("authorization", "").partition(" ")[2]
        token = bearer or self.keys.token_of(request.headers.get("apikey", ""))
        try:
            claims = jwt.decode(
                token or "",
                self.keys.jwt_secret,
                [ALGORITHM],
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return _error(403, "Unauthorized", "Invalid Compact JWS")
        if claims["role"] == "service_role":
            return None
        if name is not None and name.startswith(f"{claims.get('sub')}/"):
            return None
        return _error(403, "Unauthorized", "new row violates row-level security policy")

    async def upload(self, request: Request) -> Response:
        """Take an object, unless it is there."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        if refusal := self._refused(request, name):
            return refusal
        async with request.form() as form:
            file: Any = form["file"]
            content, mime_type = await file.read(), file.content_type
        if (bucket, name) in self.objects:
            return _error(409, "Duplicate", "The resource already exists")
        self.uploads += 1
        self.objects[bucket, name] = content
        self.types[bucket, name] = mime_type
        metadata = {"size": len(content), "mimetype": mime_type}
        await run_in_threadpool(
            self._write,
            "insert into storage.objects (bucket_id, name, version, metadata)"
            " values (%s, %s, %s, %s)",
            (bucket, name, str(uuid4()), json.dumps(metadata)),
        )
        return JSONResponse({"Id": str(uuid4()), "Key": f"{bucket}/{name}"})

    async def delete(self, request: Request) -> Response:
        """Delete objects; say which were there."""
        bucket = request.path_params["bucket"]
        if refusal := self._refused(request):
            return refusal
        names = (await request.json())["prefixes"]
        there = [name for name in names if self.objects.pop((bucket, name), None)]
        await run_in_threadpool(
            self._write,
            "delete from storage.objects where bucket_id = %s and name = any(%s)",
            (bucket, there),
        )
        return JSONResponse([{"bucket_id": bucket, "name": name} for name in there])

    async def list(self, request: Request) -> Response:
        """List a page of a bucket in the order of the names."""
        bucket = request.path_params["bucket"]
        if refusal := self._refused(request):
            return refusal
        said = await request.json()
        limit = min(said.get("limit", self.page_size), self.page_size)
        after = said.get("cursor", "")
        names = sorted(n for b, n in self.objects if b == bucket and n > after)
        page, rest = names[:limit], names[limit:]
        now = "2026-01-01T00:00:00Z"
        found = [
            {
                "id": str(uuid4()),
                "key": name,
                "name": name,
                "created_at": now,
                "updated_at": now,
                "metadata": {"size": len(self.objects[bucket, name])},
            }
            for name in page
        ]
        more = {"nextCursor": page[-1]} if rest else {}
        return JSONResponse(
            {"hasNext": bool(rest), "folders": [], "objects": found, **more}
        )

    def _write(self, statement: str, parameters: tuple[object, ...]) -> None:
        if self.has_rows:
            with psycopg.connect(self.database, autocommit=True) as admin:
                # Supabase's guard against deletions that leave the bytes behind.
                admin.execute("set storage.allow_delete_query = 'true'")
                admin.execute(statement, parameters)


def _error(status: int, error: str, message: str) -> Response:
    # The API's own habit: most refusals are 400 with the real status inside.
    outer = 400 if status in (403, 404, 409) else status
    body = {"statusCode": str(status), "error": error, "message": message}
    return JSONResponse(body, status_code=outer)
