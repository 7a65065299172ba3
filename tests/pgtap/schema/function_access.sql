-- Each role calls each function.
begin;

select plan(4);

-- What a role gets for a call with nulls: 'denied', or else 'let in'. A call that was
-- let in is taken back.
create function pg_temp.attempt(role text, call text)
returns text
language plpgsql
as $function$
begin
    begin
        execute format('set local role %I', attempt.role);
        execute attempt.call;
        raise exception using errcode = 'TK000', message = 'take it back';
    exception
        when insufficient_privilege then return 'denied';
        when others then return 'let in';
    end;
end
$function$;

create temporary table tried on commit drop as
with functions as (
    select
        f.oid,
        format('%s.%s', n.nspname, f.proname) as name,
        format(
            'select %I.%I(%s)', n.nspname, f.proname,
            (
                select
                    string_agg(
                        format('null::%s', format_type(a.type, null)),
                        ', ' order by a.place
                    )
                from unnest(f.proargtypes::oid[]) with ordinality as a (type, place)
            )
        ) as call
    from pg_proc as f
    inner join pg_namespace as n on f.pronamespace = n.oid
    where
        n.nspname in ('public', 'turnkeep')
        and f.prorettype <> 'trigger'::regtype
        and not exists (
            select from pg_depend as d
            where
                d.classid = 'pg_proc'::regclass
                and d.objid = f.oid
                and d.deptype = 'e'
        )
)

select
    f.oid,
    r.role,
    f.name as function,
    pg_temp.attempt(r.role, f.call) as outcome
from functions as f
cross join (
    values ('anon'), ('authenticated'), ('service_role'), ('turnkeep_api')
) as r (role);

select set_eq(
    $$ select t.function, t.role from tried as t where t.outcome = 'let in' $$,
    $$
    select f.function, r.role
    from (values
        ('public.append_turn', 'authenticated service_role'),
        ('public.get_thread', 'authenticated service_role'),
        ('public.register_files', 'authenticated service_role'),
        ('public.link_file_to_conversation', 'authenticated service_role'),
        ('public.link_files_to_conversation', 'authenticated service_role'),
        ('public.unlink_files_from_conversation', 'authenticated service_role'),
        ('public.upsert_conversation', 'authenticated service_role'),
        ('public.list_conversations', 'authenticated service_role'),
        ('public.delete_conversation', 'authenticated service_role'),
        ('public.truncate_thread', 'authenticated service_role'),
        ('public.search_messages', 'authenticated service_role'),
        ('public.health', 'anon authenticated service_role'),
        ('public.cleanup_orphaned_files', 'service_role'),
        ('public.claim_storage_deletions', 'service_role'),
        ('public.finish_storage_deletions', 'service_role'),
        ('public.forget_owner', 'service_role'),
        ('public.index_messages', 'service_role'),
        ('public.set_search_language', 'service_role'),
        ('public.list_events', 'service_role'),
        ('public.record_events', 'service_role'),
        ('public.set_events', 'service_role'),
        ('public.prune_events', 'service_role'),
        ('public.pump_events', 'service_role'),
        ('public.cache_get', 'service_role'),
        ('public.cache_put', 'service_role'),
        ('public.cache_nearest', 'service_role'),
        ('public.cache_purge', 'service_role'),
        ('public.metrics', 'service_role'),
        -- What the functions above run, by their callers or by their owner.
        ('turnkeep.is_service', 'authenticated service_role turnkeep_api'),
        ('turnkeep.current_owner', 'authenticated service_role turnkeep_api'),
        ('turnkeep.resolve_owner', 'authenticated service_role turnkeep_api'),
        ('turnkeep.conversation_owner', 'authenticated service_role'),
        ('turnkeep.append_turn', 'authenticated service_role turnkeep_api'),
        ('turnkeep.note_uploads', 'authenticated service_role'),
        ('turnkeep.register_files', 'authenticated service_role turnkeep_api'),
        (
            'turnkeep.link_files_to_conversation',
            'authenticated service_role turnkeep_api'
        ),
        (
            'turnkeep.unlink_files_from_conversation',
            'authenticated service_role turnkeep_api'
        ),
        (
            'turnkeep.upsert_conversation', 'authenticated service_role turnkeep_api'
        ),
        (
            'turnkeep.delete_conversation', 'authenticated service_role turnkeep_api'
        ),
        ('turnkeep.truncate_thread', 'authenticated service_role turnkeep_api'),
        ('turnkeep.find_messages', 'authenticated service_role turnkeep_api'),
        ('turnkeep.forget_owner', 'service_role turnkeep_api'),
        ('turnkeep.index_messages', 'service_role'),
        ('turnkeep.id_at', 'service_role'),
        ('turnkeep.check_digest', 'service_role'),
        -- The functions' owner may too, for the owner of the call.
        ('turnkeep.write_event', 'service_role'),
        ('turnkeep.check_request', 'turnkeep_api'),
        ('turnkeep.sees_storage', 'authenticated service_role'),
        ('turnkeep.act_for', 'turnkeep_api'),
        ('turnkeep.check_conversation', 'turnkeep_api'),
        ('turnkeep.unlink_files', 'turnkeep_api'),
        ('turnkeep.new_id', 'service_role turnkeep_api'),
        ('turnkeep.check_messages', 'turnkeep_api'),
        ('turnkeep.read_files', 'turnkeep_api'),
        ('turnkeep.find_files', 'turnkeep_api'),
        ('turnkeep.upsert_files', 'turnkeep_api'),
        ('turnkeep.pin_files', 'turnkeep_api'),
        ('turnkeep.link_files', 'turnkeep_api'),
        ('turnkeep.named_files', 'turnkeep_api'),
        ('turnkeep.replayed_turn', 'turnkeep_api'),
        ('turnkeep.lock_conversation', 'turnkeep_api')
    ) as f (function, roles)
    cross join string_to_table(f.roles, ' ') as r (role)
    $$,
    'each role can call what it needs, and nothing else'
);

-- A right to a function whose tables are closed to the role shows in no call.
select is_empty(
    $$
    select t.function, t.role from tried as t
    where has_function_privilege(t.role, t.oid, 'execute') <> (t.outcome = 'let in')
      -- Let in, and then stopped by a policy: an event of nobody.
      and (t.function, t.role) <> ('turnkeep.write_event', 'turnkeep_api')
    $$,
    'and who is not let in holds no right to a call'
);

select is_empty(
    $$
    select t.* from tried as t
    where t.role = 'anon'
      and t.outcome <> 'denied'
      and t.function <> 'public.health'
    $$,
    'who is not signed in can ask for the health and call nothing else'
);

select set_eq(
    $$
    select t.function from tried as t
    where t.role = 'service_role'
      and t.outcome = 'let in'
      and t.function like 'public.%'
    except
    select t.function from tried as t
    where t.role = 'authenticated'
      and t.outcome = 'let in'
    $$,
    array[
        'public.cleanup_orphaned_files',
        'public.claim_storage_deletions',
        'public.finish_storage_deletions',
        'public.forget_owner',
        'public.index_messages',
        'public.set_search_language',
        'public.list_events',
        'public.record_events',
        'public.set_events',
        'public.prune_events',
        'public.pump_events',
        'public.cache_get',
        'public.cache_put',
        'public.cache_nearest',
        'public.cache_purge',
        'public.metrics'
    ],
    'what works on the rows of all owners is for the service alone'
);

select * from finish();

rollback;
