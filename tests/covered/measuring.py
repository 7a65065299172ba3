"""Runs the pgTAP tests under plpgsql_check's profiler, and reads its counts."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from support.pgtap import OPTIONS, PSQL, load_pgtap
from turnkeep.bundle import project_directory
from turnkeep.embedded.binaries import find_binaries
from turnkeep.embedded.throwaway import throwaway
from turnkeep.sqitch import deploy

if TYPE_CHECKING:
    from typing import LiteralString

PGTAP = Path(__file__).parents[1] / "pgtap"
PROFILER = {
    # The last is what metrics() reads where it is loaded.
    "shared_preload_libraries": "plpgsql,plpgsql_check,pg_stat_statements",
    "plpgsql_check.profiler": "on",
}
OURS: LiteralString = """
    select p.oid, p.oid::regprocedure::text as name, p.prosrc from pg_proc as p
    join pg_language as l on l.oid = p.prolang
    where p.pronamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and l.lanname = 'plpgsql'
"""
RATES: LiteralString = """
    select o.name, plpgsql_coverage_statements(o.oid),
        plpgsql_coverage_branches(o.oid)
    from ours as o
    order by o.name
"""
UNREACHED: LiteralString = """
    select o.name, btrim(split_part(o.prosrc, e'\\n', s.lineno)), s.lineno
    from ours as o
    cross join plpgsql_profiler_function_statements_tb(o.oid) as s
    where s.exec_stmts = 0
    order by 1, 3
"""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tests reach."""

    rates: dict[str, tuple[float, float]]
    """Statements and branches of each function, from 0 to 1."""
    unreached: dict[tuple[str, str], int]
    """Function and text of each line that no test reaches, and the line's number."""


def measure() -> Coverage:
    """Run all pgTAP files in one database: the profiler counts for each by itself.

    The files end with a rollback. CalledProcessError: one of them fails.
    """
    binaries = find_binaries("15")
    with throwaway(binaries, PROFILER) as cluster:
        url = cluster.url("postgres")
        deploy(url, project_directory())
        load_pgtap(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create extension pg_stat_statements")
        for path in sorted(PGTAP.rglob("*.sql")):
            subprocess.run(  # noqa: S603
                [binaries.directory / "psql", *PSQL, "-f", path, url],
                check=True,
                capture_output=True,
                cwd=path.parent,
                env={**os.environ, "PGOPTIONS": OPTIONS},
                stdin=subprocess.DEVNULL,
            )
        with psycopg.connect(url, autocommit=True, options=OPTIONS) as connection:
            rates = connection.execute(f"with ours as ({OURS}) {RATES}").fetchall()
            lines = connection.execute(f"with ours as ({OURS}) {UNREACHED}").fetchall()
    return Coverage(
        {name: (statements, branches) for name, statements, branches in rates},
        {(name, text): number for name, text, number in lines},
    )
