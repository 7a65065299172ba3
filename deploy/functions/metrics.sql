-- Deploy turnkeep:functions/metrics to pg
-- requires: functions/health
-- requires: tables/conversation_files
-- requires: tables/storage_deletions
-- requires: tables/events
-- requires: tables/event_state
-- requires: tables/settings
-- requires: tables/responses

begin;

create function public.metrics()
returns jsonb
language plpgsql
stable
set search_path = pg_temp
-- Each number is the head of an index, or of the statistics that the server keeps.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
-- A plan that does what is off counts as dear, and would be compiled at every call.
set jit = off
as $function$
declare
    -- Where counting ends: more than these are too many, however many they are.
    v_most constant integer := 1001;
    v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    v_horizon constant xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_state turnkeep.event_state;
    v_schema text;
    v_statements jsonb;
begin
    select s.* into v_state
    from turnkeep.event_state as s
    where s.owner_id = v_nobody;

    -- Loaded with the server, or else the view raises.
    if current_setting('pg_stat_statements.max', true) is not null then
        select n.nspname into v_schema
        from pg_extension as x
        join pg_namespace as n on n.oid = x.extnamespace
        where x.extname = 'pg_stat_statements'
          and has_schema_privilege(n.oid, 'usage');

        if found then
            execute format(
                $query$
                select jsonb_agg(
                    jsonb_build_object(
                        'query', left(q.query, 500),
                        'calls', q.calls,
                        'total_ms', round(q.total_exec_time::numeric, 3),
                        'mean_ms', round(q.mean_exec_time::numeric, 3)
                    )
                )
                from (
                    select s.*
                    from %I.pg_stat_statements as s
                    join pg_database as d on d.oid = s.dbid
                    where d.datname = current_database()
                    order by s.total_exec_time desc
                    limit 10
                ) as q
                $query$,
                v_schema
            )
            into v_statements;
        end if;
    end if;

    return jsonb_build_object(
        'schema_version', public.health() -> 'schema_version',
        'now', now(),
        'in_recovery', current_setting('in_hot_standby')::boolean,
        'tables', (
            select jsonb_object_agg(
                t.relname,
                jsonb_build_object(
                    'rows', t.n_live_tup,
                    'inserted', t.n_tup_ins,
                    'updated', t.n_tup_upd,
                    'deleted', t.n_tup_del,
                    'bytes', p.pages * current_setting('block_size')::bigint
                )
            )
            from pg_stat_user_tables as t
            cross join lateral (
                select sum(c.relpages::bigint) as pages
                from (
                    select t.relid as oid
                    union all
                    select r.reltoastrelid from pg_class as r where r.oid = t.relid
                    union all
                    select i.indexrelid from pg_index as i where i.indrelid = t.relid
                ) as k
                join pg_class as c on c.oid = k.oid
            ) as p
            where (t.schemaname, t.relname) in (
                ('public', 'conversations'), ('public', 'messages'),
                ('public', 'files'), ('public', 'conversation_files'),
                ('turnkeep', 'storage_deletions'), ('turnkeep', 'events'),
                ('turnkeep', 'responses')
            )
        ),
        'orphans', (
            select jsonb_build_object(
                'count', count(*), 'oldest_at', min(o.unlinked_since)
            )
            from (
                select f.unlinked_since
                from public.files as f
                where f.unlinked_since <= now()
                order by f.unlinked_since
                limit v_most
            ) as o
        ),
        'outbox', (
            select jsonb_build_object(
                'count', count(*),
                'due', count(*) filter (where o.due_at <= now()),
                'failing', count(*) filter (where o.last_error is not null),
                'oldest_at', min(o.requested_at),
                'most_attempts', coalesce(max(o.attempts), 0)
            )
            from (
                select s.*
                from turnkeep.storage_deletions as s
                order by s.due_at
                limit v_most
            ) as o
        ),
        'events', jsonb_build_object(
            'enabled', (
                select s.is_recording_events from turnkeep.settings as s
                where s.owner_id = v_nobody
            ),
            -- Committed, and not to be read until an older transaction has ended.
            'lag_seconds', coalesce(
                (
                    select round(
                        extract(epoch from greatest(now() - e.created_at, '0')), 3
                    )
                    from turnkeep.events as e
                    where e.xid >= v_horizon
                    order by e.xid, e.id
                    limit 1
                ),
                0
            ),
            'unpushed', (
                select count(*)
                from (
                    select
                    from turnkeep.events as e
                    where (e.xid, e.id) > (v_state.pumped_xid, v_state.pumped_id)
                      and e.xid < v_horizon
                    order by e.xid, e.id
                    limit v_most
                ) as u
            ),
            'unpushed_seconds', coalesce(
                (
                    select round(
                        extract(epoch from greatest(now() - e.created_at, '0')), 3
                    )
                    from turnkeep.events as e
                    where (e.xid, e.id) > (v_state.pumped_xid, v_state.pumped_id)
                      and e.xid < v_horizon
                    order by e.xid, e.id
                    limit 1
                ),
                0
            ),
            'pushed_at', v_state.pumped_at,
            'recent', (
                select jsonb_build_object(
                    'count', coalesce(sum(k.event_count), 0),
                    'since', min(k.first_at),
                    'kinds', coalesce(jsonb_object_agg(k.kind, k.event_count), '{}')
                )
                from (
                    select
                        e.kind,
                        -- What a client reports may stand for many.
                        sum(
                            case
                                when not starts_with(e.kind, 'client_') then 1
                                when jsonb_typeof(e.payload -> 'count') = 'number'
                                    then least(
                                        greatest((e.payload ->> 'count')::numeric, 0),
                                        1000000000
                                    )
                                else 1
                            end
                        )::bigint as event_count,
                        min(e.created_at) as first_at
                    from (
                        select n.kind, n.created_at, n.payload
                        from turnkeep.events as n
                        order by n.xid desc, n.id desc
                        limit 1000
                    ) as e
                    group by e.kind
                ) as k
            )
        ),
        'connections', (
            select jsonb_build_object(
                'count', sum(c.connection_count),
                'most', current_setting('max_connections')::integer,
                'states', jsonb_object_agg(c.state, c.connection_count)
            )
            from (
                select
                    coalesce(a.state, 'unknown') as state,
                    count(*) as connection_count
                from pg_stat_activity as a
                where a.datname = current_database()
                group by 1
            ) as c
        ),
        'functions', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'name', f.schemaname || '.' || f.funcname,
                        'calls', f.calls,
                        'total_ms', round(f.total_time::numeric, 3),
                        'self_ms', round(f.self_time::numeric, 3)
                    )
                    order by f.self_time desc
                )
                from (
                    select u.*
                    from pg_stat_user_functions as u
                    where u.schemaname in ('public', 'turnkeep')
                    order by u.self_time desc
                    limit 10
                ) as f
            ),
            '[]'
        ),
        'statements', coalesce(v_statements, '[]')
    );
end
$function$;

comment on function public.metrics() is
$comment$How the store is doing, for monitoring to read every few seconds; costs the
same however large the tables are.

Returns {"schema_version", "now", "in_recovery", "tables": {name: {"rows", "inserted",
"updated", "deleted", "bytes"}}, "orphans": {"count", "oldest_at"}, "outbox": {"count",
"due", "failing", "oldest_at", "most_attempts"}, "events": {"enabled", "lag_seconds",
"unpushed", "unpushed_seconds", "pushed_at", "recent": {"count", "since", "kinds":
{kind: count}}}, "connections": {"count", "most", "states": {state: count}},
"functions": [{"name", "calls", "total_ms", "self_ms"}], "statements": [{"query",
"calls", "total_ms", "mean_ms"}]}.

tables: of the server's statistics; rows and bytes are estimates of the last vacuum or
analyze, the others count since the statistics were reset; updates of responses are hits,
to a second, and replaced answers. orphans, outbox and unpushed are counted up to 1001:
that is a thousand and more; outbox begins with what is due first. unpushed_seconds: the
age of the oldest event that pump_events has not pushed. recent: the newest 1000 events,
where a report of clients counts as often as its payload's count says; a replay writes
nothing and so is no event, unless clients report it. functions: the slowest ten,
where track_functions is pl or all. statements: likewise, where pg_stat_statements is and
lets the caller see them. states: unknown where the caller may not see it.

Service only.$comment$;

revoke all on function public.metrics()
from public, anon, authenticated, service_role;
grant execute on function public.metrics() to service_role;

commit;
