-- Verify turnkeep:tables/events on pg

begin;

select
    xid,
    id,
    owner_id,
    created_at,
    conversation_id,
    kind,
    subject,
    payload
from turnkeep.events
where false;

select 1 / count(*)
where
    array[
        'events_functions',
        'events_pkey',
        'events_service'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.events'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.events'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.events'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.events'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.events', r.privilege) = r.may
    )::integer
from (
    values
    ('anon', 'select', false),
    ('anon', 'insert', false),
    ('anon', 'update', false),
    ('anon', 'delete', false),
    ('anon', 'truncate', false),
    ('authenticated', 'select', false),
    ('authenticated', 'insert', false),
    ('authenticated', 'update', false),
    ('authenticated', 'delete', false),
    ('authenticated', 'truncate', false),
    ('service_role', 'select', true),
    ('service_role', 'insert', true),
    ('service_role', 'update', false),
    ('service_role', 'delete', true),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', true),
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;
