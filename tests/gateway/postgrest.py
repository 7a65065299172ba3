"""What PostgREST does with a request: one transaction, as the role of its token.

The statements have the form of PostgREST's own, so that the database meets what it will
meet behind a real one: the role and the claims as settings of the transaction, the body
as one json parameter, read only where the method or the function says so.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import JSON, Refused, refusal
from gateway.filters import Selection, is_filter
from gateway.keys import ALGORITHM
from gateway.schema import Schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from starlette.requests import Request

    from gateway.schema import Routine

ANONYMOUS = "anon"
SCHEMA = "public"
SEARCH_PATH = '"public", "extensions"'
MAX_ROWS = 1000
"""What Supabase sets; what a query returns beyond is cut off without a word."""
POOL_SIZE = 10
ONE_OBJECT = "application/vnd.pgrst.object+json"
READS = ("GET", "HEAD")

PARTS = sql.SQL(
    """
    select
        pg_catalog.count(t) as rows,
        {body} as body,
        nullif(current_setting('response.headers', true), '') as headers,
        nullif(current_setting('response.status', true), '') as status
    from (select * from pgrst_source{rest}) as t
    """
)
BODIES = {
    # returns rows, returns a set
    (False, False): sql.SQL("coalesce(json_agg(t.pgrst_scalar) -> 0, 'null')::text"),
    (False, True): sql.SQL("coalesce(json_agg(t.pgrst_scalar), '[]')::text"),
    (True, False): sql.SQL("coalesce(json_agg(t) -> 0, 'null')::text"),
    (True, True): sql.SQL("coalesce(json_agg(t), '[]')::text"),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A query of the form of PARTS, and what it is run with."""

    query: sql.Composable
    parameters: Sequence[str] = ()
    settings: Mapping[str, str] | None = None
    read_only: bool = False
    success: int = 200


class PostgREST:
    """An ASGI application on one database."""

    def __init__(self, conninfo: str, jwt_secret: str) -> None:
        """Take the login of the role authenticator."""
        self.conninfo = conninfo
        self.jwt_secret = jwt_secret
        self.schema: Schema | None = None
        self.pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None
        methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        self.app = Starlette(
            routes=[
                Route("/rpc/{name}", self.answer, methods=methods),
                Route("/{name}", self.answer, methods=methods),
            ],
            lifespan=self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Hold the connections while the server runs."""
        pool = AsyncConnectionPool(
            self.conninfo, min_size=1, max_size=POOL_SIZE, timeout=10, open=False
        )
        async with pool:
            self.pool = pool
            async with pool.connection() as connection:
                self.schema = await Schema.read(connection, SCHEMA)
            yield

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        role = ANONYMOUS
        try:
            claims = self.claims_of(request.headers.get("authorization"))
            role = str(claims["role"])
            statement = await self.plan(request)
            return await self.run(request, statement, claims)
        except Refused as refused:
            return refused.response
        except (psycopg.Error, PoolTimeout) as error:
            return refusal(error, anonymous=role == ANONYMOUS).response

    def claims_of(self, authorization: str | None) -> dict[str, Any]:
        """Check the token; without one the request is anonymous."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return {"role": ANONYMOUS}
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.jwt_secret,
                [ALGORITHM],
                # As PostgREST: half a minute of skew, and any audience.
                leeway=30,
                options={"verify_aud": False, "verify_sub": False, "verify_jti": False},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthorized("PGRST303", "JWT expired") from None
        except (jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError):
            raise _unauthorized("PGRST303", "JWT not yet valid") from None
        except jwt.InvalidTokenError as error:
            raise _unauthorized(
                "PGRST301", "No suitable key or wrong key type", str(error)
            ) from None
        return {"role": ANONYMOUS, **claims}

    async def plan(self, request: Request) -> Statement:
        """Choose the statement for a request."""
        if self.schema is None:
            raise Refused(503, "PGRST002", "Could not query the database.")
        name = request.path_params["name"]
        if not request.url.path.startswith("/rpc/"):
            self.schema.check_relation(name)
            return await plan_relation(request, name)
        if request.method in READS:
            return plan_get(self.schema, name, request.query_params.multi_items())
        if request.method != "POST":
            message = f"Cannot use the {request.method} method on RPC"
            raise Refused(405, "PGRST101", message)
        return plan_post(self.schema, name, await request.body())

    async def run(
        self, request: Request, statement: Statement, claims: Mapping[str, Any]
    ) -> Response:
        """Run the statement in a transaction of its own, and answer once it is over."""
        if self.pool is None or self.schema is None:
            raise Refused(503, "PGRST000", "Database connection error.")
        role = str(claims["role"])
        settings = {
            "search_path": SEARCH_PATH,
            "role": role,
            **self.schema.role_settings.get(role, {}),
            "request.jwt.claims": json.dumps(claims),
            "request.method": request.method,
            "request.path": request.url.path,
            "request.headers": json.dumps(dict(request.headers)),
            "request.cookies": json.dumps(request.cookies),
            **(statement.settings or {}),
        }
        async with self.pool.connection() as connection:
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
            await connection.set_read_only(statement.read_only)
            await connection.execute(
                sql.SQL("select {}").format(
                    sql.SQL(", ").join(
                        [sql.SQL("set_config(%s, %s, true)")] * len(settings)
                    )
                ),
                [text for pair in settings.items() for text in pair],
            )
            cursor = await connection.execute(statement.query, statement.parameters)
            row = await cursor.fetchone()
        return respond(request, statement, row or (0, "null", None, None))


def plan_post(schema: Schema, name: str, body: bytes) -> Statement:
    """Call a function with the keys of a JSON object."""
    try:
        text = body.decode() or "{}"
        said = json.loads(text)
    except ValueError as error:
        raise Refused(400, "PGRST102", f"Empty or invalid json: {error}") from None
    if isinstance(said, list) and said and isinstance(said[0], dict):
        text, said = json.dumps(said[0]), said[0]
    elif not isinstance(said, dict):
        text, said = "{}", {}
    routine = schema.choose(name, said)
    parameters = routine.parameters(said)
    if not parameters:
        return _call(routine, sql.SQL(""), sql.SQL(""), [], routine.is_volatile)
    names = [sql.Identifier(parameter) for parameter, _ in parameters]
    fields = sql.SQL(
        "(select %s::json as json_data) as pgrst_payload, "
        "lateral (select {} from json_to_record(json_data) as _({}) limit 1) "
        "as pgrst_body, lateral "
    ).format(
        sql.SQL(", ").join(names),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(parameter), sql.SQL(kind))
            for parameter, kind in parameters
        ),
    )
    arguments = sql.SQL(", ").join(
        sql.SQL("{0} := pgrst_body.{0}").format(parameter) for parameter in names
    )
    return _call(routine, fields, arguments, [text], routine.is_volatile)


def plan_get(schema: Schema, name: str, query: Sequence[tuple[str, str]]) -> Statement:
    """Call a function with the texts of a query string, read only."""
    said = {key: value for key, value in query if not is_filter(value)}
    routine = schema.choose(name, said)
    parameters = routine.parameters(said)
    arguments = sql.SQL(", ").join(
        sql.SQL("{} := %s::{}").format(sql.Identifier(parameter), sql.SQL(kind))
        for parameter, kind in parameters
    )
    texts = [said[parameter] for parameter, _ in parameters]
    return _call(routine, sql.SQL(""), arguments, texts, volatile=False)


def _call(
    routine: Routine,
    fields: sql.Composable,
    arguments: sql.Composable,
    parameters: Sequence[str],
    volatile: bool,  # noqa: FBT001
) -> Statement:
    form = "{}({}) as pgrst_call"
    if not routine.returns_rows:
        form = "(select {}({}) as pgrst_scalar) as pgrst_call"
    call = sql.SQL(form).format(sql.Identifier(SCHEMA, routine.name), arguments)
    source = sql.SQL("with pgrst_source as (select pgrst_call.* from {}{})")
    body = BODIES[bool(routine.returns_rows), routine.returns_set]
    rest = sql.SQL(" limit {}").format(MAX_ROWS)
    return Statement(
        source.format(fields, call) + PARTS.format(body=body, rest=rest),
        parameters,
        routine.hoisted,
        read_only=not volatile,
        success=204 if routine.returns_void else 200,
    )


async def plan_relation(request: Request, name: str) -> Statement:
    """Read or write a table."""
    selection = Selection.parse(request.query_params.multi_items(), MAX_ROWS)
    relation = sql.Identifier(SCHEMA, name)
    body = BODIES[True, True]
    if request.method in READS:
        source = sql.SQL("with pgrst_source as (select {} from {}{}{}{})").format(
            selection.columns,
            relation,
            selection.where,
            selection.order,
            selection.page,
        )
        parts = PARTS.format(body=body, rest=sql.SQL(""))
        return Statement(source + parts, read_only=True)
    # Without "Prefer: return=representation" nothing is read back.
    minimal = "representation" not in request.headers.get("prefer", "")
    returning = sql.SQL("1") if minimal else selection.columns
    parameters: list[str] = []
    if request.method == "DELETE":
        write = sql.SQL("delete from {}{}").format(relation, selection.where)
    else:
        parameters = [(await request.body()).decode()]
        said = json.loads(parameters[0])
        first = said[0] if isinstance(said, list) else said
        columns = sql.SQL(", ").join(map(sql.Identifier, first))
        records = sql.SQL(
            "json_populate_recordset(null::{}, case json_typeof(p.body) "
            "when 'array' then p.body else json_build_array(p.body) end) as r"
        ).format(relation)
        payload = sql.SQL("(select %s::json as body) as p")
        if request.method == "POST":
            write = sql.SQL("insert into {}({}) select {} from {}, lateral {}").format(
                relation, columns, columns, payload, records
            )
        else:
            write = sql.SQL(
                "update {} set ({}) = (select {} from {}, lateral {}){}"
            ).format(relation, columns, columns, payload, records, selection.where)
    if request.method != "POST" and not selection.conditions:
        verb = "DELETE" if request.method == "DELETE" else "UPDATE"
        raise Refused(400, "21000", f"{verb} requires a WHERE clause")
    source = sql.SQL("with pgrst_source as ({} returning {})").format(write, returning)
    parts = PARTS.format(body=body, rest=sql.SQL(""))
    success = 201 if request.method == "POST" else 204 if minimal else 200
    return Statement(source + parts, parameters, success=success)


def respond(request: Request, statement: Statement, row: tuple[Any, ...]) -> Response:
    """Put what the database said into an answer."""
    rows, body, headers, status = row
    more = {}
    for header in json.loads(headers or "[]"):
        more.update(header)
    code = int(status or statement.success)
    if code == 204:
        return Response(status_code=code, headers=more)
    content_type = JSON
    if ONE_OBJECT in request.headers.get("accept", ""):
        content_type = f"{ONE_OBJECT}; charset=utf-8"
        if body.startswith("["):
            if rows != 1:
                raise Refused(
                    406,
                    "PGRST116",
                    "Cannot coerce the result to a single JSON object",
                    f"The result contains {rows} rows",
                )
            body = json.dumps(json.loads(body)[0])
    last = f"0-{rows - 1}" if rows else "*"
    more = {"Content-Range": f"{last}/*", **more}
    written = b"" if code == 201 else body.encode()
    return Response(written, code, more, content_type)


def _unauthorized(code: str, message: str, details: str | None = None) -> Refused:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    headers = {"WWW-Authenticate": challenge}
    return Refused(401, code, message, details, headers=headers)
