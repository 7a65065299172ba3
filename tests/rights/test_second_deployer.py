"""A second project of a cluster, deployed by a role that did not make turnkeep_api."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from support.databases import name_of
from turnkeep.bundle import project_directory
from turnkeep.errors import TurnkeepError
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from support.servers import TestServer


def test_who_is_no_member_is_told_so_and_then_can_deploy(
    pg_server: TestServer, database: str, empty_database: str
) -> None:
    """``database`` is there so that the cluster has the roles."""
    assert database
    name = f"deployer_{os.getpid()}"
    role = sql.Identifier(name)
    url = make_conninfo(empty_database, user=name)
    with psycopg.connect(pg_server.cluster.url("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login").format(role))
        change_owner = sql.SQL("alter database {} owner to {}")
        target = sql.Identifier(name_of(empty_database))
        admin.execute(change_owner.format(target, role))
        try:
            with pytest.raises(TurnkeepError, match="no member of turnkeep_api"):
                deploy(url, project_directory())
            admin.execute(sql.SQL("grant turnkeep_api to {}").format(role))
            deploy(url, project_directory())
            with psycopg.connect(url) as session:
                row = session.execute("select health() ->> 'status'").fetchone()
            assert row == ("ok",)
        finally:
            drop = sql.SQL("drop database {} with (force)").format(target)
            admin.execute(drop)
            admin.execute(sql.SQL("drop role {}").format(role))
