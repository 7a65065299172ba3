"""What `turnkeep export supabase` prints sets a project up for files and Realtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from turnkeep.cli.group import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

pytestmark = pytest.mark.shaped
TURN = '[{"role": "user", "content": "Hello"}]'
OBJECT = "insert into storage.objects (bucket_id, name) values (%s, %s)"


def export(*options: str) -> Any:
    answer = CliRunner().invoke(cli, ["export", "supabase", *options])
    assert answer.exit_code == 0
    return answer.stdout


@pytest.fixture
def project(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a project that was set up twice."""
    # In a project an extension lets postgres make policies for these tables.
    owner = make_conninfo(database, user="supabase_admin")
    with psycopg.connect(owner, autocommit=True) as connection:
        for _ in range(2):
            connection.execute(export())
        yield connection


def sign_in(connection: psycopg.Connection[Any], user_id: UUID) -> None:
    connection.execute("set role authenticated")
    claims = f'{{"sub": "{user_id}", "role": "authenticated"}}'
    connection.execute("select set_config('request.jwt.claims', %s, false)", [claims])


@pytest.mark.parametrize("bucket", ["user-files", "generated-files"])
def test_a_user_has_a_folder_in_each_bucket(
    project: psycopg.Connection[Any], bucket: str
) -> None:
    me, other = uuid4(), uuid4()
    for user_id in (me, other):
        sign_in(project, user_id)
        project.execute(OBJECT, (bucket, f"{user_id}/a.png"))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.execute(OBJECT, (bucket, f"{me}/b.png"))
    seen = project.execute("select name from storage.objects").fetchall()
    assert seen == [(f"{other}/a.png",)]
    assert project.execute("update storage.objects set name = 'x'").rowcount == 0


def test_a_users_folder_in_another_bucket_is_not_opened(
    project: psycopg.Connection[Any],
) -> None:
    me = uuid4()
    project.execute("insert into storage.buckets (id, name) values ('own', 'own')")
    project.execute(OBJECT, ("own", f"{me}/a.png"))
    sign_in(project, me)
    assert project.execute("select from storage.objects").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        project.execute(OBJECT, ("own", f"{me}/b.png"))


def test_the_buckets_are_private(project: psycopg.Connection[Any]) -> None:
    buckets = project.execute("select id from storage.buckets where not public")
    assert sorted(buckets) == [("generated-files",), ("user-files",)]


def test_a_user_hears_of_conversations_of_his_own(
    project: psycopg.Connection[Any],
) -> None:
    me, other = uuid4(), uuid4()
    sign_in(project, me)
    project.execute("select public.append_turn(%s, %s)", ("c", TURN))
    project.execute("reset role")
    project.execute("select set_config('request.jwt.claims', '', false)")
    pump = "select public.pump_events() ->> 'events' <> '0'"
    # Not before the transactions of other tests that began earlier have ended.
    while project.execute(pump).fetchone() != (True,):
        pass
    presence = "insert into realtime.messages (topic, extension) values (%s, %s)"
    project.execute(presence, (f"user:{me}", "presence"))
    # Whoever may read a row with the topic set may listen to the topic.
    for user_id, may_listen in ((me, True), (other, False)):
        sign_in(project, user_id)
        topic = f"user:{me}"
        project.execute("select set_config('realtime.topic', %s, false)", [topic])
        rows = project.execute(
            "select from realtime.messages where topic = %s", [topic]
        )
        assert rows.rowcount == may_listen


def test_policies_go_again(project: psycopg.Connection[Any]) -> None:
    project.execute(export("--remove"))
    left = project.execute(
        "select policyname from pg_policies where policyname like 'turnkeep: %'"
    ).fetchall()
    assert left == []
