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

select 1 / count(*)
where
    array[
        'files_functions',
        'files_owner_id_idx',
        'files_owner_reads',
        'files_pkey',
        'files_service',
        'files_sha256_owner_id_idx',
        'files_storage_path_bucket_id_key',
        'files_unlinked_since_idx'
    ]
    <@ array(
        select k.conname::text from pg_constraint as k
        where k.conrelid = 'public.files'::regclass and k.convalidated
        union all
        select c.relname::text from pg_index as x
        inner join pg_class as c on x.indexrelid = c.oid
        where x.indrelid = 'public.files'::regclass and x.indisvalid
        union all
        select p.polname::text from pg_policy as p
        where p.polrelid = 'public.files'::regclass
    );

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
