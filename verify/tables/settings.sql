-- Verify turnkeep:tables/settings on pg

begin;

select
    owner_id,
    is_recording_events
from turnkeep.settings
where false;

select 1 / (count(*) = 1)::integer
from turnkeep.settings;

select 1 / count(*)
where
    array[
        'settings_functions',
        'settings_is_one_row',
        'settings_pkey',
        'settings_service'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'turnkeep.settings'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'turnkeep.settings'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'turnkeep.settings'::regclass
    );

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'turnkeep.settings'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'turnkeep.settings', r.privilege) = r.may
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
    ('service_role', 'insert', false),
    ('service_role', 'update', true),
    ('service_role', 'delete', false),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', false),
    ('turnkeep_api', 'update', false),
    ('turnkeep_api', 'delete', false),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;
