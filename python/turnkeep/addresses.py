"""Where a client finds its database, and with which keys it may come in.

`postgresql://...`, or what else libpq takes, is a direct connection. `https://...` is a
Supabase project, or any PostgREST.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from turnkeep.database import ENVIRONMENT_VARIABLE, without_hint
from turnkeep.errors import Misconfigured

PROJECT_VARIABLE = "SUPABASE_URL"
SERVICE_KEYS = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
PUBLIC_KEYS = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
REST_PATH = "/rest/v1"
STORAGE_PATH = "/storage/v1"
FORMS = "pass postgresql://... or https://..."
AccessToken = str | Callable[[], str]


@dataclass(frozen=True, slots=True)
class Direct:
    """A server, over PostgreSQL's own protocol."""

    conninfo: str = field(compare=False)
    parameters: tuple[tuple[str, object], ...]
    """libpq's, sorted: what says whether two are the same."""
    prepared: bool | None = None
    """False behind a pooler in transaction mode; None: find out by the port."""


@dataclass(frozen=True, slots=True)
class Project:
    """A Supabase project, through its gateway."""

    url: str
    """Of the REST API."""
    key: str = field(repr=False)
    """An API key: `sb_publishable_...`, `sb_secret_...`, or one of the older tokens."""
    access_token: AccessToken | None = field(default=None, repr=False)
    """A signed-in user's own token, or what gives a fresh one for each call."""

    @property
    def storage_url(self) -> str:
        """Where the Storage API is."""
        return self.url.removesuffix(REST_PATH) + STORAGE_PATH

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request: the key, as a token too when it is one."""
        headers = {"apikey": self.key}
        if not self.key.startswith("sb_"):
            headers["Authorization"] = f"Bearer {self.key}"
        return headers


Address = Direct | Project
Target = str | Mapping[str, str] | Address | None


def find_address(
    target: Target = None,
    *,
    key: str | None = None,
    access_token: AccessToken | None = None,
    prepared: bool | None = None,
) -> Address:
    """Find out where to connect: a URL, or an environment that names one.

    The environment is the process's own when `target` is None. It names a database by
    `TURNKEEP_DATABASE_URL`, or a project by `SUPABASE_URL`; otherwise libpq's variables
    and defaults hold. A project's key is that of the service, if there is one; for a
    user (`access_token`) it is the public one.

    :raises turnkeep.errors.Misconfigured: a key is missing, or is one too many
    """
    if isinstance(target, Direct | Project):
        return target
    if not isinstance(target, str | Mapping | None):
        raise Misconfigured(f"{type(target).__name__} is no address", hint=FORMS)
    environ = os.environ if target is None or isinstance(target, str) else target
    url = target if isinstance(target, str) else _named_in(environ)
    if url.startswith(("https://", "http://")):
        names = SERVICE_KEYS + PUBLIC_KEYS
        if access_token is not None:
            names = PUBLIC_KEYS + SERVICE_KEYS
        return Project(rest_url(url), key or _key_in(environ, url, names), access_token)
    if key or access_token:
        raise Misconfigured(
            "a key is for Supabase's gateway, and this is a direct connection",
            hint="pass the project's URL, https://...; or acting_as(user_id)",
        )
    conninfo = without_hint(url)
    is_pooled = conninfo != url
    try:
        parameters = tuple(sorted(conninfo_to_dict(conninfo).items()))
    except ProgrammingError as cause:
        raise Misconfigured(str(cause).strip(), hint=FORMS) from cause
    return Direct(conninfo, parameters, False if is_pooled else prepared)


def find_service(url: str) -> Project:
    """Find out how the service comes into a project: by a secret key, and no other.

    :raises turnkeep.errors.Misconfigured: the environment has none
    """
    return Project(rest_url(url), _key_in(os.environ, url, SERVICE_KEYS))


def rest_url(url: str) -> str:
    """Give the URL of the REST API: Supabase's path, unless the URL has its own.

    :raises turnkeep.errors.Misconfigured: it is no URL
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        is_url = re.fullmatch(rb"[!-~]+", host) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise Misconfigured(
            "this is no URL", where=url, hint="pass https://PROJECT.supabase.co"
        )
    return url.rstrip("/") if parts.path.strip("/") else url.rstrip("/") + REST_PATH


def _named_in(environ: Mapping[str, str]) -> str:
    for name in (ENVIRONMENT_VARIABLE, PROJECT_VARIABLE):
        if url := environ.get(name):
            return url
    return ""


def _key_in(environ: Mapping[str, str], url: str, names: tuple[str, ...]) -> str:
    # The keys of one project are not shown to another.
    if environ.get(PROJECT_VARIABLE, url).rstrip("/") == url.rstrip("/"):
        for name in names:
            if key := environ.get(name):
                return key
    raise Misconfigured(
        "the project's key is missing",
        where=url,
        hint=f"set one of {', '.join(names)}, or in Python pass key=...",
    )
