"""Sweeping deletes what nothing uses, row and bytes, and nothing else, ever."""

from __future__ import annotations

import json
import multiprocessing
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from operations.dying_sweeper import sweep_and_die
from operations.storage_api import BAD_GATEWAY, KEY, storage_api
from turnkeep import exchange
from turnkeep.calls import append_turn, cache_put, register_files
from turnkeep.cli import sweeping
from turnkeep.cli.group import cli
from turnkeep.client import Client
from turnkeep.errors import (
    Misconfigured,
    NotDeployed,
    TurnkeepError,
    Unavailable,
    Unreachable,
)
from turnkeep.storage import DirectoryStorage
from turnkeep.supabase_storage import SupabaseStorage
from turnkeep.sweep import Sweeper, Swept
from turnkeep.transports import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from operations.storage_api import StorageApi
    from turnkeep.storage import Storage

DAY = timedelta(days=1)
NOW = timedelta(0)
BUCKETS = ("user-files", "generated-files")


@pytest.fixture
def client(database: str) -> Iterator[Client]:
    with Client(database) as client:
        yield client


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "storage").mkdir()
    return tmp_path / "storage"


@pytest.fixture
def api(database: str) -> Iterator[StorageApi]:
    with storage_api(database) as api:
        yield api


@pytest.fixture
def supabase(api: StorageApi) -> Iterator[SupabaseStorage]:
    headers = {"apikey": KEY, "Authorization": f"Bearer {KEY}"}
    storage = SupabaseStorage(f"{api.url}/storage/v1", headers)
    yield storage
    storage.close()


def store(client: Client, storage: Storage | None, used: int, unused: int) -> None:
    """Register files in each bucket, upload them, and let a turn use some."""
    for bucket in BUCKETS:
        paths = [
            *(f"used/{number:04}" for number in range(used)),
            *(f"unused/{number:04}" for number in range(unused)),
        ]
        files = [{"storage_path": path, "bucket_id": bucket} for path in paths]
        for begin in range(0, len(files), 1000):
            client(register_files(files[begin : begin + 1000]))  # type: ignore[arg-type]
        if storage:
            for path in paths:
                storage.put(bucket, path, BytesIO(b"."))
        client(
            append_turn(
                "c",
                [{"role": "user", "content": "Look"}],
                files=files[:used],  # type: ignore[arg-type]
            )
        )


def objects(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    }


def upload(connection: psycopg.Connection[Any]) -> None:
    """Have an object for every file, as after an upload to Supabase."""
    connection.execute(
        "insert into storage.objects (bucket_id, name)"
        " select bucket_id, storage_path from public.files"
    )


def left(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(
        "select (select count(*) from public.files),"
        " (select count(*) from turnkeep.storage_deletions)"
    ).fetchall()


def end_leases(connection: psycopg.Connection[Any]) -> None:
    """Let the time pass that a dead worker's lease takes."""
    connection.execute("update turnkeep.storage_deletions set due_at = now()")


def run(*arguments: object, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, [*map(str, arguments)], env=environment)


def test_a_round_deletes_orphans_and_their_bytes(
    client: Client, connection: psycopg.Connection[Any], root: Path
) -> None:
    storage = DirectoryStorage(root)
    store(client, storage, used=2, unused=3)
    assert Sweeper(client, storage, grace=DAY).sweep().files == 0
    assert len(objects(root)) == 10
    swept = Sweeper(client, storage, grace=NOW).sweep()
    assert (swept.files, swept.objects, swept.failed_objects) == (6, 6, 0)
    assert left(connection) == [(4, 0)]
    assert objects(root) == {f"{b}/used/000{n}" for b in BUCKETS for n in range(2)}


def test_a_round_prunes_events_and_answers_and_indexes_messages(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client(append_turn("c", [{"role": "user", "content": "Rome"}]))
    client(cache_put("0" * 64, {"text": "Rome"}))
    connection.execute(
        "update turnkeep.events set created_at = now() - interval '8 days'"
    )
    connection.execute("update turnkeep.responses set expires_at = now()")
    connection.execute(
        "update public.messages set id = turnkeep.id_at(now() - interval '1 hour')"
    )
    swept = Sweeper(client, None).sweep()
    assert (swept.pruned_events, swept.purged_responses) == (1, 1)
    assert swept.indexed_messages == 1


def test_without_a_storage_the_bytes_are_left_to_another(
    client: Client, connection: psycopg.Connection[Any], root: Path
) -> None:
    storage = DirectoryStorage(root)
    store(client, storage, used=0, unused=3)
    assert Sweeper(client, None, grace=NOW).sweep().objects == 0
    assert left(connection) == [(0, 6)]
    assert Sweeper(client, storage, grace=NOW).sweep().objects == 6
    assert objects(root) == set()


def test_a_worker_begins_no_deletion_when_its_lease_may_end_meanwhile(
    client: Client,
    connection: psycopg.Connection[Any],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = DirectoryStorage(root)
    store(client, storage, used=0, unused=1)
    with monkeypatch.context() as late:
        late.setattr("turnkeep.sweep.SAFE_SECONDS", -1)
        assert Sweeper(client, storage, grace=NOW).sweep().objects == 0
    assert len(objects(root)) == 2
    assert Sweeper(client, storage, grace=NOW).sweep().objects == 0
    end_leases(connection)
    assert Sweeper(client, storage, grace=NOW).sweep().objects == 2


def test_a_stop_ends_it_after_the_step(client: Client, root: Path) -> None:
    store(client, None, used=0, unused=3)
    seen: list[Swept] = []
    sweeper = Sweeper(
        client, DirectoryStorage(root), grace=NOW, is_stopping=lambda: len(seen) == 1
    )
    swept = sweeper.sweep(seen.append)
    assert (swept.files, swept.objects) == (6, 0)


@pytest.mark.parametrize("last", range(18))
def test_killed_at_any_step_it_deletes_nothing_in_use_and_leaves_nothing_for_ever(
    database: str, connection: psycopg.Connection[Any], root: Path, last: int
) -> None:
    with Client(database) as client:
        store(client, DirectoryStorage(root), used=2, unused=2)
    method = multiprocessing.get_context("forkserver")
    method.set_forkserver_preload(["operations.dying_sweeper"])
    victim = method.Process(
        target=sweep_and_die,
        args=(database, root, NOW, last),
    )
    victim.start()
    victim.join()
    assert victim.exitcode in (0, -signal.SIGKILL)
    used = {f"{b}/used/000{n}" for b in BUCKETS for n in range(2)}
    assert objects(root) >= used
    end_leases(connection)
    with Client(database) as client:
        Sweeper(client, DirectoryStorage(root), grace=NOW).sweep()
    assert objects(root) == used
    assert left(connection) == [(4, 0)]


def test_the_last_of_those_steps_is_the_end(
    client: Client, database: str, root: Path, connection: psycopg.Connection[Any]
) -> None:
    """The test above kills at every step that there is."""
    store(client, DirectoryStorage(root), used=2, unused=2)
    method = multiprocessing.get_context("forkserver")
    victim = method.Process(target=sweep_and_die, args=(database, root, NOW, 18))
    victim.start()
    victim.join()
    assert victim.exitcode == 0
    assert left(connection) == [(4, 0)]


@pytest.mark.bare
def test_several_share_the_work(
    client: Client,
    connection: psycopg.Connection[Any],
    api: StorageApi,
    supabase: SupabaseStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("turnkeep.sweep.MOST_PATHS", 20)
    store(client, None, used=1, unused=150)
    upload(connection)
    with ThreadPoolExecutor(4) as threads:
        sweepers = [Sweeper(client, supabase, grace=NOW) for _ in range(4)]
        done = list(threads.map(Sweeper.sweep, sweepers))
    assert sum(each.files for each in done) == 300
    assert sum(each.objects for each in done) == 300
    assert len(api.deleted) == len(set(api.deleted)) == 300
    assert left(connection) == [(2, 0)]


@pytest.mark.bare
def test_supabase_takes_a_thousand_paths_at_once(
    client: Client,
    connection: psycopg.Connection[Any],
    api: StorageApi,
    supabase: SupabaseStorage,
) -> None:
    store(client, None, used=1, unused=1100)
    upload(connection)
    swept = Sweeper(client, supabase, grace=NOW).sweep()
    assert (swept.files, swept.objects, swept.failed_objects) == (2200, 2200, 0)
    assert sum(api.batches) == 2200
    assert max(api.batches) <= 1000
    names = connection.execute("select name from storage.objects").fetchall()
    assert names == [("used/0000",)] * 2


@pytest.mark.bare
def test_what_was_uploaded_again_stays(
    client: Client,
    connection: psycopg.Connection[Any],
    supabase: SupabaseStorage,
) -> None:
    store(client, None, used=0, unused=3)
    upload(connection)
    Sweeper(client, None, grace=NOW).sweep()
    connection.execute(
        "update storage.objects set version = 'another' where name = 'unused/0001'"
    )
    client(register_files([{"storage_path": "unused/0002", "bucket_id": BUCKETS[0]}]))
    assert Sweeper(client, supabase, grace=DAY).sweep().objects == 3
    kept = connection.execute(
        "select bucket_id, name from storage.objects order by 2, 1"
    ).fetchall()
    assert kept == [
        ("generated-files", "unused/0001"),
        ("user-files", "unused/0001"),
        ("user-files", "unused/0002"),
    ]
    assert left(connection) == [(1, 0)]


@pytest.mark.bare
@pytest.mark.parametrize("status", [403, BAD_GATEWAY, 503])
def test_a_bucket_that_is_refused_is_tried_again_later(
    client: Client,
    connection: psycopg.Connection[Any],
    api: StorageApi,
    supabase: SupabaseStorage,
    status: int,
) -> None:
    store(client, None, used=0, unused=2)
    upload(connection)
    api.refused["generated-files"] = status
    swept = Sweeper(client, supabase, grace=NOW).sweep()
    assert (swept.objects, swept.failed_objects) == (2, 2)
    assert api.batches == [2, 2]
    failed = connection.execute(
        "select distinct last_error from turnkeep.storage_deletions"
    ).fetchall()
    said = "HTTP 502 Bad Gateway" if status == BAD_GATEWAY else "Refused"
    reason = f"storage: {said}: bucket generated-files"
    assert failed == [(reason,)]
    assert str(swept).endswith(f"2 objects to be tried again: {reason}")
    api.refused.clear()
    end_leases(connection)
    assert Sweeper(client, supabase, grace=NOW).sweep().objects == 2


def test_the_command_says_what_it_does(
    client: Client, database: str, root: Path
) -> None:
    storage = DirectoryStorage(root)
    store(client, storage, used=1, unused=2)
    options = ("--grace", "0s", "--storage", root)
    answer = run("sweep", database, "--dry-run", "--grace", "0s")
    assert answer.exit_code == 0
    assert "4 orphaned files" in answer.stdout
    assert "user-files/unused/0001" in answer.stdout
    assert len(objects(root)) == 6
    answer = run("sweep", database, "--json", *options)
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["objects"] == 4
    answer = run("sweep", database, *options)
    assert "0 orphaned files deleted" in answer.stdout


def test_the_command_goes_on_until_it_is_told_to_stop(
    client: Client, database: str, root: Path
) -> None:
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "turnkeep", "sweep", database, "--json"),
            *("--storage", root, "--grace", "0s", "--every", "1s"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert json.loads(process.stdout.readline())["files"] == 0
        store(client, DirectoryStorage(root), used=0, unused=1)
        objects_deleted = 0
        while objects_deleted < 2:
            objects_deleted += json.loads(process.stdout.readline())["objects"]
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("signals", "options", "code"),
    [
        ([signal.SIGTERM], (), 2),
        ([signal.SIGINT], ("--every", "1s"), 0),
        ([signal.SIGTERM, signal.SIGINT], ("--every", "1s"), 2),
    ],
)
def test_the_command_ends_after_its_step_or_at_once(
    database: str,
    connection: psycopg.Connection[Any],
    signals: list[signal.Signals],
    options: tuple[str, ...],
    code: int,
) -> None:
    """Its first step waits for a lock, which is given when one signal was enough."""
    command = (sys.executable, "-m", "turnkeep", "sweep", database, *options)
    with (
        connection.transaction(),
        psycopg.connect(database, autocommit=True) as observer,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,  # noqa: S603
    ):
        connection.execute("lock public.files")
        while not observer.execute(
            "select from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        ).fetchall():
            pass
        for number in signals:
            process.send_signal(number)
        if len(signals) == 1:
            connection.execute("rollback; begin")
        _, said = process.communicate(timeout=60)
        assert process.returncode == code
        assert ("stopped" in said) == bool(code)
        assert "Traceback" not in said


def test_a_database_that_is_away_is_swept_later_and_one_that_refuses_ends_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waited(Exception):
        pass

    class Waiting(threading.Event):
        def wait(self, _: float | None = None) -> bool:
            raise Waited

    monkeypatch.setattr(exchange, "START_SECONDS", 0)
    monkeypatch.setattr(sweeping, "Event", Waiting)
    for url, kind, said in (
        ("host=127.0.0.1 port=1", Waited, "the next round is in"),
        (make_conninfo(database, user="nobody_of_that_name"), Unreachable, ""),
    ):
        answer = run("sweep", url, "--every", "1s")
        assert isinstance(answer.exception, kind)
        assert said in answer.stderr


def test_rows_and_objects_are_reconciled(
    client: Client, connection: psycopg.Connection[Any], database: str, root: Path
) -> None:
    storage = DirectoryStorage(root)
    store(client, storage, used=2, unused=1)
    storage.put("user-files", "stray", BytesIO(b"?"))
    storage.put("others", "not ours", BytesIO(b"!"))
    storage.delete("user-files", ["used/0001", "unused/0000"])
    options = ("--storage", root, "--grace", "0s", "--reconcile", "--json")
    answer = run("sweep", database, *options)
    assert answer.exit_code == 1, answer.stderr
    document = json.loads(answer.stdout)
    assert document["strays"] == ["user-files/stray"]
    assert document["lost"] == ["user-files/used/0001"]
    answer = run("sweep", database, *options[:-1], "--grace", "1d")
    assert answer.exit_code == 0
    assert "buckets compared: generated-files, user-files\n" in answer.stdout
    assert run("sweep", database, *options, "--repair").exit_code == 2

    repair = (*options, "--repair", "--bucket", "user-files")
    document = json.loads(run("sweep", database, *repair).stdout)
    assert (document["deletions_requested"], document["uploads_requested"]) == (1, 1)
    registered = client(
        register_files([{"storage_path": "used/0001", "bucket_id": "user-files"}])
    )
    assert registered.files[0].upload_needed
    Sweeper(client, storage, grace=DAY).sweep()
    assert "user-files/stray" not in objects(root)
    assert "others/not ours" in objects(root)
    assert left(connection) == [(6, 0)]


def test_who_reconciles_nothing_is_told_so(database: str, root: Path) -> None:
    answer = run("sweep", database, "--storage", root, "--reconcile")
    assert answer.exit_code == 0
    assert "buckets compared: none" in answer.stdout


@pytest.mark.bare
def test_supabase_is_reconciled_by_its_versions(
    client: Client,
    connection: psycopg.Connection[Any],
    database: str,
    api: StorageApi,
) -> None:
    store(client, None, used=1, unused=0)
    connection.execute(
        "insert into storage.objects (bucket_id, name) values"
        " ('user-files', 'stray'), ('user-files', 'again'),"
        " ('user-files', 'used/0000')"
    )
    options = ("--storage", api.url, "--grace", "0s", "--reconcile", "--json")
    chosen = ("--bucket", "user-files", "--repair")
    answer = run("sweep", database, *options, *chosen, SUPABASE_SERVICE_ROLE_KEY=KEY)
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["strays"] == [
        "user-files/again",
        "user-files/stray",
    ]
    connection.execute("update storage.objects set version = 'x' where name = 'again'")
    answer = run("sweep", database, *options[:2], SUPABASE_SECRET_KEY=KEY)
    assert answer.exit_code == 0, answer.stderr
    assert api.deleted == ["user-files/stray"]


@pytest.mark.parametrize(
    "options",
    [
        ("--storage", "/no/such/directory"),
        ("--storage", "https://example.invalid"),
        ("--every", "5"),
        ("--every", "5m", "--once"),
        ("--repair",),
        ("--reconcile",),
        ("--bucket", "b"),
        ("--every", "0s"),
        ("--every", "99999999999d"),
        ("--every", "9" * 5000 + "s"),
        ("--grace", "36501d"),
        ("--every", "5m", "--dry-run"),
        ("--every", "5m", "--reconcile", "--storage", "."),
        ("--dry-run", "--reconcile", "--storage", "."),
    ],
)
def test_what_makes_no_sense_is_refused(options: tuple[str, ...]) -> None:
    answer = run("sweep", "host=127.0.0.1 port=1", *options)
    assert answer.exit_code == 2 or isinstance(answer.exception, TurnkeepError)
    assert "database:" not in answer.stderr


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--reconcile",)])
def test_a_database_that_is_none_or_is_not_ready_is_said_in_words(
    empty_database: str,
    root: Path,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "START_SECONDS", 0)
    options = ("--storage", str(root), *options)
    for url, kind, words in (
        ("nonsense", Misconfigured, "nonsense"),
        ("bogus://nowhere", Misconfigured, "bogus"),
        ("host=127.0.0.1 port=1", Unavailable, "refused"),
        (empty_database, NotDeployed, "turnkeep deploy"),
    ):
        answer = run("sweep", url, *options)
        assert isinstance(answer.exception, kind)
        assert words in str(answer.exception)


@pytest.mark.parametrize("options", [("--dry-run",), ("--reconcile",)])
@pytest.mark.parametrize(("limit", "own"), [(2, ""), (3600, "connect_timeout=2")])
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    root: Path,
    options: tuple[str, ...],
    limit: int,
    own: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT_SECONDS", limit)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"host=127.0.0.1 port={silent.getsockname()[1]} {own}"
        began = time.monotonic()
        answer = run("sweep", url, "--storage", str(root), *options)
    # psycopg's own limit is twice as long.
    assert time.monotonic() - began < 60
    assert isinstance(answer.exception, Unavailable)
    assert "timeout" in str(answer.exception)


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "turnkeep.supabase_storage", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)
    answer = run("sweep", "--storage", "https://x.example", SUPABASE_SECRET_KEY=KEY)
    assert isinstance(answer.exception, Misconfigured)
    assert "turnkeep[supabase]" in str(answer.exception)


def test_why_bytes_could_not_be_deleted_is_said(client: Client, root: Path) -> None:
    store(client, DirectoryStorage(root), used=0, unused=1)
    (root / "user-files/unused/0000").unlink()
    (root / "user-files/unused/0000/folder").mkdir(parents=True)
    swept = Sweeper(client, DirectoryStorage(root), grace=NOW).sweep()
    assert (swept.objects, swept.failed_objects) == (1, 1)
    assert "1 objects to be tried again: [Errno" in str(swept)
