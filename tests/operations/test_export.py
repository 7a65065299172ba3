"""The jobs that `turnkeep export cron` prints are pg_cron's, and run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner

from support.servers import servers
from turnkeep.bundle import project_directory
from turnkeep.cli.group import cli
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["cache", "cleanup", "events", "history", "pump", "search"]


def export(*options: str) -> str:
    answer = CliRunner().invoke(cli, ["export", "cron", *options])
    assert answer.exit_code == 0
    return answer.stdout


def jobs(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(
        connection.execute(
            "select jobname, command from cron.job order by 1"
        ).fetchall()
    )


@pytest.fixture(scope="module")
def cron() -> Iterator[psycopg.Connection[Any]]:
    """Give a database with Turnkeep and pg_cron, whose jobs wait for the minute."""
    settings = {
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "cron.use_background_workers": "on",
        "max_worker_processes": "20",
    }
    with throwaway(servers()["15"], settings) as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create extension pg_cron")
            yield connection


@pytest.mark.skipif("15" not in servers(), reason="needs PostgreSQL 15")
@pytest.mark.requires_pg_cron
def test_jobs_are_scheduled_once_run_and_taken_away(
    cron: psycopg.Connection[Any],
) -> None:
    for _ in range(2):
        cron.execute(export().encode())
        scheduled = jobs(cron)
        assert [name.removeprefix("turnkeep ") for name in scheduled] == NAMES
    for command in scheduled.values():
        cron.execute(command.encode())

    cron.execute("select cron.schedule('another', '* * * * *', 'select 1')")
    cron.execute(export("--remove").encode())
    assert list(jobs(cron)) == ["another"]


def test_every_job_ends_and_calls_what_there_is(
    connection: psycopg.Connection[Any],
) -> None:
    """Also where there is no pg_cron to ask."""
    called = re.findall(r"\$\$(select public\.\w+\(.*?\))\$\$", export())
    assert len(called) == len(NAMES) - 1
    for call in called:
        connection.execute(call.encode())
