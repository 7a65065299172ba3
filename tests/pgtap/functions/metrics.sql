begin;

select plan(11);

select append_turn(
    'talk', '[{"role": "user", "content": "a"}]',
    '[{"storage_path": "a"}, {"storage_path": "b"}]'
);
select register_files('[{"storage_path": "c"}]');
select delete_conversation('talk');
select cleanup_orphaned_files('0', 1);

insert into turnkeep.events (xid, id, owner_id, kind, created_at, payload)
values
(
    '1', gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'client_replay',
    now() - interval '7 seconds', '{}'
),
(
    pg_current_xact_id(), '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000000', 'client_slow',
    now() - interval '90 seconds', '{}'
);

set local role service_role;

select is(
    (
        select jsonb_object_agg(m.key, jsonb_typeof(m.value))
        from jsonb_each(metrics()) as m
    ),
    '{
        "schema_version": "string", "now": "string", "in_recovery": "boolean",
        "tables": "object", "orphans": "object", "outbox": "object",
        "events": "object", "connections": "object", "functions": "array",
        "statements": "array"
    }',
    'metrics have these keys and no others'
);
select is(
    metrics() -> 'orphans',
    jsonb_build_object('count', 2, 'oldest_at', now()),
    'orphans are counted'
);
select is(
    metrics() -> 'outbox',
    jsonb_build_object(
        'count', 1, 'due', 1, 'failing', 0, 'oldest_at', now(), 'most_attempts', 0
    ),
    'and so is the outbox'
);
select is(metrics() #> '{events,unpushed}', '1', 'and what nobody was told of');
select is(
    metrics() #> '{events,unpushed_seconds}', '7.000', 'with the age of the oldest'
);
select is(
    metrics() #> '{events,lag_seconds}', '90.000',
    'the lag is the age of what waits for an older transaction'
);
select is(
    metrics() #> '{events,recent,kinds}',
    '{
        "client_replay": 1, "client_slow": 1, "turn_appended": 1,
        "conversation_deleted": 1, "orphans_removed": 1
    }',
    'the newest events are counted by their kinds'
);
select record_events('[
    {"kind": "client_retry", "payload": {"count": 3}},
    {"kind": "client_retry", "payload": {"count": 4}},
    {"kind": "client_error", "payload": {"count": "many"}},
    {"kind": "client_odd", "payload": {"count": -1e999}},
    {"kind": "client_odd", "payload": {"count": 1e999}}
]');
select is(
    metrics() #> '{events,recent,kinds}',
    '{
        "client_replay": 1, "client_slow": 1, "turn_appended": 1,
        "conversation_deleted": 1, "orphans_removed": 1, "client_retry": 7,
        "client_error": 1, "client_odd": 1000000000
    }',
    'a report counts as often as it says'
);
select is(
    (
        select array_agg(k.name order by k.name)
        from jsonb_object_keys(metrics() -> 'tables') as k (name)
    ),
    array[
        'conversation_files', 'conversations', 'events', 'files', 'messages',
        'responses', 'storage_deletions'
    ],
    'the tables are those that grow'
);
select cmp_ok(
    (metrics() #>> '{connections,count}')::integer, '>', 0, 'there is a connection'
);

reset role;
select set_events(false);

select is(
    metrics() #> '{events,enabled}', 'false', 'whether events are written is said'
);

select * from finish();

rollback;
