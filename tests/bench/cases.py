"""The cases: each is one statement that the server runs again and again."""

from __future__ import annotations

from dataclasses import dataclass

OWNER = "11111111-1111-4111-8111-111111111111"
CLAIMS = f'{{"sub": "{OWNER}"}}'
QUESTION = "What is the tallest mountain, and how long does it take to climb it?"
ANSWER = (
    "Mount Everest, at 8,849 metres. Most expeditions take about two months, nearly"
    " all of it for getting used to the height; the last climb takes four days."
)
MESSAGES = (
    f'[{{"role": "user", "content": "{QUESTION}"}},'
    f' {{"role": "assistant", "content": "{ANSWER}"}}]'
)
CONVERSATIONS = 100

SETUP_TABLES = f"""
    create schema bench;
    -- The leanest table that has the same keys: an id in the order of time, and a
    -- place in a conversation.
    create table bench.lean (
        id uuid primary key default turnkeep.new_id(),
        conversation_id uuid not null,
        seq bigint not null,
        role public.message_role not null,
        content text not null,
        created_at timestamptz not null default now(),
        unique (conversation_id, seq)
    );
    create table bench.lean_conversations (id uuid primary key, next_seq bigint);
    insert into bench.lean_conversations
    select gen_random_uuid(), 1 from generate_series(1, {CONVERSATIONS});
    create table bench.targets as
    select row_number() over () as number, id from bench.lean_conversations;
    alter table bench.targets add primary key (number);
    create sequence bench.ticks;
    grant usage on schema bench to authenticated;
    grant usage on schema bench to service_role;
    grant usage on sequence bench.ticks to authenticated, service_role;
"""

SETUP_THREADS = f"""
    select public.append_turn(
        'bench ' || n, '{MESSAGES}', owner_id => '{OWNER}'
    ) from generate_series(0, {CONVERSATIONS} - 1) as n;
"""

SETUP = f"""
    {SETUP_TABLES}
    {SETUP_THREADS}
    -- Enough for the server to look a key of theirs up from the first call on: it keeps
    -- the plan of a foreign key's check.
    select public.register_files(
        jsonb_agg(jsonb_build_object('storage_path', '{OWNER}/known/' || n)),
        '{OWNER}'
    ) from generate_series(1, 1000) as n;
    select public.append_turn(
        'short', (select jsonb_agg(m) from jsonb_array_elements('{MESSAGES}') as m),
        owner_id => '{OWNER}'
    ) from generate_series(1, 10);
    select public.append_turn(
        'long', (
            select jsonb_agg(m) from jsonb_array_elements('{MESSAGES}') as m,
            generate_series(1, 100)
        ), owner_id => '{OWNER}'
    ) from generate_series(1, 10);
    -- Written past the function, which would take longer than the measuring.
    select public.append_turn('endless', '{MESSAGES}', owner_id => '{OWNER}');
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content
    )
    select c.id, c.owner_id, n, c.updated_at + n * interval '1 microsecond', 'user',
        '{QUESTION}'
    from public.conversations as c
    cross join generate_series(3, 200000) as n
    where c.continuation_id = 'endless';
    update public.conversations
    set next_seq = 200001, updated_at = updated_at + interval '1 second'
    where continuation_id = 'endless';
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A statement, who runs it, and the case that it is measured against."""

    name: str
    query: str
    is_user: bool
    """Run as ``authenticated`` under row security; otherwise as the tables' owner."""
    floor: str | None = None


READ = """
    select jsonb_agg(jsonb_build_object(
        'id', m.id, 'seq', m.seq, 'role', m.role, 'content', m.content,
        'created_at', m.created_at) order by m.seq)
    from (
        select m.* from public.messages as m
        where m.owner_id = '{owner}'
          and m.conversation_id = (
              select c.id from public.conversations as c
              where c.owner_id = '{owner}'
                and c.continuation_id = '{name}'
          )
        order by m.seq desc
        limit 20
    ) as m
"""

LEAN = f"""
    insert into bench.lean (conversation_id, seq, role, content)
    select t.id, 2 * k.tick + n.n, n.role::public.message_role, n.content
    from (select nextval('bench.ticks') as tick) as k
    join bench.targets as t on t.number = 1 + k.tick % {CONVERSATIONS}
    cross join (values (0, 'user', '{QUESTION}'), (1, 'assistant', '{ANSWER}'))
        as n (n, role, content)
"""
MOVED_ON = f"""
    with turn as (
        update public.conversations as c
        set next_seq = c.next_seq + 2, version = c.version + 1,
            updated_at = clock_timestamp()
        where c.owner_id = '{OWNER}'
          and c.continuation_id
          = (select 'bench ' || nextval('bench.ticks') % {CONVERSATIONS})
        returning c.id, c.owner_id, c.next_seq, c.updated_at, c.version
    )
"""
STORED = f"""
    insert into public.messages (
        conversation_id, owner_id, seq, created_at, role, content, request_id,
        turn_size
    )
    select t.id, t.owner_id, t.next_seq - 2 + n.n, t.updated_at,
        n.role::public.message_role, n.content,
        case when n.n = 0 then gen_random_uuid()::text end,
        case when n.n = 0 then 2 end
    from turn as t
    cross join (values (0, 'user', '{QUESTION}'), (1, 'assistant', '{ANSWER}'))
        as n (n, role, content)
"""
PLAIN = f"{MOVED_ON} {STORED}"
PLAIN_WITH_FILES = f"""
    {MOVED_ON},
    registered as (
        insert into public.files (
            owner_id, bucket_id, storage_path, original_name, size_bytes, sha256,
            stored_at, unlinked_since
        )
        select '{OWNER}', 'user-files', p.path, p.path, 100,
            encode(sha256(p.path::bytea), 'hex'), now(), null
        from (
            select '{OWNER}/' || gen_random_uuid() as path from generate_series(1, 8)
        ) as p
        returning id
    ),
    linked as (
        insert into public.conversation_files (conversation_id, file_id, owner_id, seq)
        select t.id, r.id, t.owner_id, t.next_seq - 2
        from turn as t cross join registered as r
    )
    {STORED}
"""
APPEND = f"""
    select public.append_turn(
        'bench ' || nextval('bench.ticks') % {CONVERSATIONS}, '{MESSAGES}',
        request_id => gen_random_uuid()::text
    )
"""
APPEND_WITH_FILES = f"""
    select public.append_turn(
        'bench ' || nextval('bench.ticks') % {CONVERSATIONS}, '{MESSAGES}',
        files => (
            select jsonb_agg(jsonb_build_object(
                'storage_path', p.path, 'size_bytes', 100,
                'sha256', encode(sha256(p.path::bytea), 'hex')
            ))
            from (
                select '{OWNER}/' || gen_random_uuid() as path
                from generate_series(1, 8)
            ) as p
        ),
        request_id => gen_random_uuid()::text
    )
"""

APPEND_LONG = f"""
    select public.append_turn(
        'bench ' || nextval('bench.ticks') % {CONVERSATIONS},
        (
            select jsonb_agg(jsonb_build_object('role', 'tool', 'content', '{ANSWER}'))
            from generate_series(1, 200)
        ),
        request_id => gen_random_uuid()::text
    )
"""

CASES = [
    Case("lean: insert 2 messages", LEAN, is_user=False),
    Case(
        "plain: the same rows as a turn",
        PLAIN,
        is_user=False,
        floor="lean: insert 2 messages",
    ),
    Case(
        "append_turn: 2 messages",
        APPEND,
        is_user=True,
        floor="plain: the same rows as a turn",
    ),
    Case("plain: the same rows and 8 new files", PLAIN_WITH_FILES, is_user=False),
    Case(
        "append_turn: 2 messages, 8 new files",
        APPEND_WITH_FILES,
        is_user=True,
        floor="plain: the same rows and 8 new files",
    ),
    Case("append_turn: 200 messages", APPEND_LONG, is_user=True),
    Case(
        "append_turn: a replay",
        f"""select public.append_turn(
            'replayed', '{MESSAGES}', request_id => 'the same'
        )""",
        is_user=True,
        floor="append_turn: 2 messages",
    ),
    *(
        case
        for name, total in (("short", 20), ("long", 2_000), ("endless", 200_000))
        for case in (
            Case(
                f"plain: newest 20 of {total:,}",
                READ.format(owner=OWNER, name=name),
                is_user=False,
            ),
            Case(
                f"get_thread: newest 20 of {total:,}",
                f"select public.get_thread('{name}', 20)",
                is_user=True,
                floor=f"plain: newest 20 of {total:,}",
            ),
        )
    ),
]
