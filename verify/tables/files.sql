-- Verify turnkeep:tables/files on pg

begin;

select
    id,
    owner_id,
    size_bytes,
    created_at,
    stored_at,
    unlinked_since,
    file_type,
    bucket_id,
    storage_path,
    original_name,
    mime_type,
    sha256,
    metadata
from public.files
where false;

select 1 / c.relrowsecurity::integer
from pg_class as c
where c.oid = 'public.files'::regclass;

select
    1 / bool_and(
        has_table_privilege(r.name, 'public.files', r.privilege) = r.may
    )::integer
from (
    values
    ('anon', 'select', false),
    ('anon', 'insert', false),
    ('anon', 'update', false),
    ('anon', 'delete', false),
    ('anon', 'truncate', false),
    ('authenticated', 'select', true),
    ('authenticated', 'insert', false),
    ('authenticated', 'update', false),
    ('authenticated', 'delete', false),
    ('authenticated', 'truncate', false),
    ('service_role', 'select', true),
    ('service_role', 'insert', false),
    ('service_role', 'update', true),
    ('service_role', 'delete', true),
    ('service_role', 'truncate', false),
    ('turnkeep_api', 'select', true),
    ('turnkeep_api', 'insert', true),
    ('turnkeep_api', 'update', true),
    ('turnkeep_api', 'delete', true),
    ('turnkeep_api', 'truncate', false)
) as r (name, privilege, may);

rollback;
