"""Databases for tests: empty ones, and clones of one that has the project deployed."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pytest_postgresql import factories

from support.servers import servers
from turnkeep.bundle import project_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import TestServer

numbers = itertools.count(1)


@contextmanager
def new_database(
    server: TestServer, template: str = "template1", options: LiteralString = ""
) -> Iterator[str]:
    """Make a database like ``template``, give its URL, and drop it with its sessions.

    The name is this process's own: workers share a server.
    """
    name = f"test_{os.getpid()}_{next(numbers)}"
    with psycopg.connect(server.cluster.url("postgres"), autocommit=True) as admin:
        # On a RAM disk copying files takes half the time of logging their blocks.
        create = "create database {} template {} owner {} strategy file_copy " + options
        names = map(sql.Identifier, (name, template, server.user))
        admin.execute(sql.SQL(create).format(*names))
        try:
            yield server.url(name)
        finally:
            drop = sql.SQL("drop database if exists {} with (force)")
            admin.execute(drop.format(sql.Identifier(name)))


def name_of(url: str) -> str:
    """Give the database that ``url`` names."""
    return str(conninfo_to_dict(url)["dbname"])


def deploy_project(host: str, port: int, user: str, dbname: str, **_: object) -> None:
    """Fill pytest-postgresql's template through our own engine."""
    from turnkeep.sqitch import deploy  # noqa: PLC0415

    conninfo = make_conninfo(host=host, port=port, user=user, dbname=dbname)
    deploy(conninfo, project_directory())


globals().update(
    {
        f"template_{kind}": factories.postgresql_noproc(
            depends_on=f"server_{kind}", dbname="turnkeep", load=[deploy_project]
        )
        for kind in servers()
    }
)


@pytest.fixture(scope="session")
def template(request: pytest.FixtureRequest, pg_server: TestServer) -> str:
    """Name the database of ``pg_server`` that has the project deployed, to be cloned.

    One for each worker and server.
    """
    executor = request.getfixturevalue(f"template_{pg_server.kind}")
    name: str = executor.template_dbname
    return name


@pytest.fixture
def empty_database(pg_server: TestServer) -> Iterator[str]:
    """Give the URL of a database with nothing in it."""
    with new_database(pg_server) as url:
        yield url


@pytest.fixture
def database(pg_server: TestServer, template: str) -> Iterator[str]:
    """Give the URL of a database with the project deployed."""
    with new_database(pg_server, template) as url:
        yield url


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """Give a session in ``database``, not in a transaction, as who deployed."""
    with psycopg.connect(database, autocommit=True) as session:
        yield session
