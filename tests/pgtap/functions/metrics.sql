begin;

select plan(29);

select append_turn(
    'talk', '[{"role": "user", "content": "a"}]',
    '[{"storage_path": "a"}, {"storage_path": "b"}]'
);
select register_files('[{"storage_path": "c"}]');
select append_turn(
    'other', '[{"role": "user", "content": "a"}]', '[{"storage_path": "linked"}]'
);
delete from turnkeep.events as e where e.subject = 'other';
select delete_conversation('talk');
select cleanup_orphaned_files('0', 1);

insert into turnkeep.events (xid, id, owner_id, kind, created_at, payload)
values
(
    '1', gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'client_replay',
    now() - interval '7 seconds', '{}'
),
(
    '1', '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000000', 'pushed', now() - interval '8 seconds',
    '{"count": 5}'
),
(
    pg_current_xact_id(), '00000000-0000-0000-0000-000000000001',
    '00000000-0000-0000-0000-000000000000', 'client_slow',
    now() - interval '90 seconds', '{}'
);

update turnkeep.event_state
set pumped_xid = '1', pumped_id = '00000000-0000-0000-0000-000000000001';

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
        "client_replay": 1, "client_slow": 1, "turn_appended": 1, "pushed": 1,
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
        "client_replay": 1, "client_slow": 1, "turn_appended": 1, "pushed": 1,
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
select is(
    metrics() #> '{connections,count}',
    (
        select to_jsonb(count(*)) from pg_stat_activity as a
        where a.datname = current_database()
    ),
    'the connections are those to this database'
);
select is(
    metrics() #> '{connections,states}' ? 'unknown', true,
    'of which the service may not see what they do'
);

reset role;
select set_events(false);

select is(
    metrics() #> '{events,enabled}', 'false', 'whether events are written is said'
);

-- The clock has been set back since.
update turnkeep.events set created_at = now() + interval '1 hour';

select
    is(
        metrics() -> 'events' -> v.metric, '0.000',
        v.metric || ' is never less than nothing'
    )
from (values ('lag_seconds'), ('unpushed_seconds')) as v (metric);

analyze public.messages;

select is(
    metrics() #> '{tables,messages,bytes}',
    (
        select to_jsonb(sum(c.relpages) * current_setting('block_size')::bigint)
        from pg_class as c
        where
            c.oid = 'public.messages'::regclass
            or c.oid in (
                select r.reltoastrelid from pg_class as r
                where r.oid = 'public.messages'::regclass
            )
            or c.oid in (
                select i.indexrelid from pg_index as i
                where i.indrelid = 'public.messages'::regclass
            )
    ),
    'the size of a table is that of its rows, its indexes and what is too long for it'
);

-- Many of everything. What was first comes in last.
delete from turnkeep.events;
delete from turnkeep.storage_deletions;

select is(
    metrics() #> '{events,recent}', '{"count": 0, "since": null, "kinds": {}}',
    'without events none are recent'
);
select
    is(
        metrics() -> 'events' -> v.metric, '0', v.metric || ' is nothing without events'
    )
from (values ('lag_seconds'), ('unpushed_seconds')) as v (metric);
select is(
    metrics() -> 'outbox',
    '{"count": 0, "due": 0, "failing": 0, "oldest_at": null, "most_attempts": 0}',
    'and nothing is in an empty outbox'
);

insert into turnkeep.events (owner_id, kind, created_at)
values (
    '00000000-0000-0000-0000-000000000000', 'turn_appended', now() - interval '1 hour'
);

select is(
    metrics() #> '{events,unpushed_seconds}', '0',
    'what waits for an older transaction need not be told of yet'
);

delete from turnkeep.events;

insert into turnkeep.events (xid, id, owner_id, kind, created_at)
select
    '2' as xid,
    format('e0000000-0000-4000-8000-%s', lpad(n.number::text, 12, '0'))::uuid as id,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    case n.number when 1 then 'oldest' else 'newer' end as kind,
    now() as created_at
from generate_series(1, 1002) as n (number);

insert into turnkeep.storage_deletions (
    owner_id, bucket_id, storage_path, due_at, attempts, last_error
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'user-files' as bucket_id,
    format('deleted/%s', lpad((1003 - n.number)::text, 4, '0')) as storage_path,
    now() + n.number * interval '1 minute' as due_at,
    n.number as attempts,
    'error' as last_error
from generate_series(1001, 0, -1) as n (number);

insert into public.files (
    owner_id, bucket_id, storage_path, original_name, unlinked_since
)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'user-files' as bucket_id,
    format('many/%s', n.number) as storage_path,
    'many' as original_name,
    now() - n.number * interval '1 minute' as unlinked_since
from generate_series(1, 1002) as n (number);

select is(
    metrics() -> 'orphans',
    jsonb_build_object('count', 1001, 'oldest_at', now() - interval '1002 minutes'),
    'orphans are counted to a thousand and one, from the oldest on'
);
select is(
    metrics() -> 'outbox',
    jsonb_build_object(
        'count', 1001, 'due', 1, 'failing', 1001, 'oldest_at', now(),
        'most_attempts', 1000
    ),
    'and so is the outbox, from what is due first'
);
select is(
    metrics() #> '{events,unpushed}', '1001', 'and what nobody was told of'
);
select is(
    metrics() #> '{events,recent}',
    jsonb_build_object(
        'count', 1000, 'since', now(), 'kinds', '{"newer": 1000}'::jsonb
    ),
    'a thousand events are recent, and those are the newest'
);

-- A view with the columns of pg_stat_statements, and the extension's place in the
-- catalogue.
create function pg_temp.as_superuser(statement text)
returns void
language plpgsql
as $function$
begin
    if current_setting('is_superuser')::boolean then
        execute as_superuser.statement;
    end if;
end
$function$;

create function pg_temp.slowest(title text, expected jsonb)
returns setof text
language plpgsql
as $function$
begin
    if current_setting('is_superuser')::boolean then
        set local role service_role;
        return query select is(
            jsonb_path_query_array(metrics(), '$.statements[*].query'), expected, title
        );
        reset role;
    else
        return query select skip('needs a superuser', 1);
    end if;
end
$function$;

grant execute on function pg_temp.slowest(text, jsonb) to service_role;

create schema elsewhere;
grant usage on schema elsewhere to service_role;

create view elsewhere.pg_stat_statements as
select
    d.oid as dbid,
    format('%s in %s', n.number, d.datname) as query,
    1::bigint as calls,
    n.number::double precision as total_exec_time,
    n.number::double precision as mean_exec_time
from pg_database as d
cross join generate_series(1, 11) as n (number)
where d.datname in (current_database(), 'template1');

grant select on elsewhere.pg_stat_statements to service_role;

select pg_temp.as_superuser(
    $$
    delete from pg_extension as x where x.extname = 'pg_stat_statements';
    insert into pg_extension (
        oid, extname, extowner, extnamespace, extrelocatable, extversion
    )
    select 4294967294, 'pg_stat_statements', n.nspowner, n.oid, true, '1'
    from pg_namespace as n where n.nspname = 'elsewhere'
    $$
);

create temporary table ten as
select jsonb_agg(format('%s in %s', n.number, current_database())) as queries
from generate_series(11, 2, -1) as n (number);

-- Where the library is loaded, as for the profiler, it has a setting from the start.
select
    pg_temp.slowest(
        'an extension without its library tells of no statements',
        case
            when current_setting('pg_stat_statements.max', true) is null then '[]'
            else t.queries
        end
    )
from ten as t;

select isnt(
    coalesce(
        current_setting('pg_stat_statements.max', true),
        set_config('pg_stat_statements.max', '11', true)
    ),
    null,
    'the library has a setting'
);

select
    pg_temp.slowest(
        'the ten slowest statements of this database are told, the slowest first',
        t.queries
    )
from ten as t;

revoke usage on schema elsewhere from service_role;

select pg_temp.slowest('but nothing to whom may not see the view', '[]');

select pg_temp.as_superuser(
    $$ delete from pg_extension as x where x.extname = 'pg_stat_statements' $$
);

select pg_temp.slowest('nor where there is none', '[]');

select * from finish();

rollback;
