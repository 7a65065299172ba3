"""What goes wrong, as PostgREST says it: an HTTP status and four fields."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg_pool import PoolTimeout
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

JSON = "application/json; charset=utf-8"
BY_SQLSTATE = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
    "21000": 500,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42501": 403,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
}
"""SQLSTATE, or its class, to status; the longer wins, and 400 is for all others."""


@dataclass(frozen=True)
class Refused(Exception):
    """An answer that is an error."""

    status: int
    code: str
    message: str
    details: str | None = None
    hint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def response(self) -> Response:
        """Give the answer."""
        said = {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
        }
        headers = {"Proxy-Status": f"PostgREST; error={self.code}", **self.headers}
        return Response(json.dumps(said), self.status, headers, JSON)


def status_of(sqlstate: str, message: str, *, anonymous: bool) -> int:
    """Give the HTTP status of an error of the database."""
    if sqlstate.startswith("PT") and sqlstate[2:].isdecimal():
        return int(sqlstate[2:])
    if sqlstate == "42501" and anonymous:
        return 401
    # What the extension safeupdate says.
    if sqlstate == "21000" and message.endswith("requires a WHERE clause"):
        return 400
    if sqlstate == "22023" and message.startswith("role "):
        return 401
    return BY_SQLSTATE.get(sqlstate) or BY_SQLSTATE.get(sqlstate[:2], 400)


def refusal(cause: psycopg.Error | PoolTimeout, *, anonymous: bool) -> Refused:
    """Turn what the database said into an answer."""
    if isinstance(cause, PoolTimeout):
        return Refused(
            504, "PGRST003", "Timed out acquiring connection from connection pool."
        )
    if cause.sqlstate is None:
        return Refused(
            503,
            "PGRST001",
            "Database client error. Retrying the connection.",
            str(cause),
        )
    message = cause.diag.message_primary or ""
    details, hint = cause.diag.message_detail, cause.diag.message_hint
    if cause.sqlstate == "PGRST":
        said, form = json.loads(message), json.loads(details or "{}")
        return Refused(
            form["status"],
            said["code"],
            said["message"],
            said.get("details"),
            said.get("hint"),
            form["headers"],
        )
    status = status_of(cause.sqlstate, message, anonymous=anonymous)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Refused(status, cause.sqlstate, message, details, hint, headers)
