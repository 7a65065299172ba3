"""Each spec of tests/isolation, against the output that it must have."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from isolation.tester import HERE, SPECS, expected, prepare, run
from turnkeep.bundle import project_directory
from turnkeep.embedded.throwaway import throwaway

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import TestServer

FORBIDDEN = re.compile(
    "deadlock detected|LINKED AND MARKED|ORPHAN, NOT MARKED|duplicate key"
    "|violates foreign key|WARNING|timed out"
)
"""What no output may hold, unless its spec is about it."""
NEEDS_BARE = re.compile("create policy|set track_functions")
ABOUT = {"plain_delete": "violates foreign key"}


@pytest.mark.requires_isolationtester
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_spec(spec: Path, pg_server: TestServer, database: str, tmp_path: Path) -> None:
    if pg_server.is_supabase and NEEDS_BARE.search(spec.read_text()):
        pytest.skip(
            "the service goes by a gate of reads, and nobody sets what is tracked"
        )
    prepare(database)
    output = run(spec, database)
    actual = tmp_path / expected(spec).name
    actual.write_text(output)
    assert output.splitlines() == expected(spec).read_text().splitlines(), (
        f"see {actual}; if it is right, copy it to {expected(spec).parent}"
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_no_spec_expects_what_must_not_happen(spec: Path) -> None:
    found = set(FORBIDDEN.findall(expected(spec).read_text()))
    assert found <= {ABOUT.get(spec.stem)}


def test_every_expected_output_has_its_spec() -> None:
    outputs = {path.stem for path in (HERE / "expected").iterdir()}
    assert outputs == {spec.stem for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_spec_prints_no_ids_and_no_times(spec: Path) -> None:
    text = expected(spec).read_text()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|\d{4}-\d\d-\d\d", text)


def test_two_first_deploys_at_once_share_the_roles() -> None:
    """The second waits for the first's role, and then takes it as it is."""
    script = project_directory() / "deploy/schema/roles.sql"
    body = re.sub("^(begin|commit);$", "", script.read_text(), flags=re.MULTILINE)
    with (
        throwaway() as cluster,
        psycopg.connect(cluster.url("postgres")) as first,
        psycopg.connect(cluster.url("template1")) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute(body.encode())
        waiting = pool.submit(second.execute, body.encode())
        blocked = "select from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as watcher:
            while not (
                waiting.done()
                or watcher.execute(blocked, [first.info.backend_pid]).rowcount
            ):
                pass
        assert not waiting.done()
        first.commit()
        waiting.result(60)
        second.commit()
        roles = first.execute(
            "select rolname from pg_roles where rolname !~ '^pg_|^postgres$' order by 1"
        )
        assert [name for (name,) in roles] == [
            "anon",
            "authenticated",
            "service_role",
            "turnkeep_api",
        ]
