-- Deploy turnkeep:tables/files to pg
-- requires: types/file_type
-- requires: core/new_id
-- requires: core/current_owner
-- requires: types/byte_count
-- requires: types/bucket_id
-- requires: types/storage_path
-- requires: types/sha256
-- requires: types/jsonb_object

begin;

create table public.files (
    id uuid not null default turnkeep.new_id(),
    owner_id uuid not null,
    size_bytes turnkeep.byte_count,
    created_at timestamptz not null default now(),
    stored_at timestamptz,
    unlinked_since timestamptz default now(),
    file_type public.file_type not null default 'user_upload',
    bucket_id turnkeep.bucket_id not null,
    storage_path turnkeep.storage_path not null,
    original_name text not null,
    mime_type text,
    sha256 turnkeep.sha256,
    metadata turnkeep.jsonb_object not null default '{}',
    constraint files_pkey primary key (id, owner_id),
    -- For all owners: one stored object has one row. The path comes first so that a
    -- look-up by the path alone finds its way too.
    constraint files_storage_path_bucket_id_key unique (storage_path, bucket_id)
);

-- Partial, and the owner last: a planner that has no statistics yet, or of one row,
-- would read all of it to find some ids of an owner.
create unique index files_sha256_owner_id_idx on public.files (sha256, owner_id)
where sha256 is not null;

-- For forget_owner. An index on the owner of all files would tempt a planner without
-- statistics to read them all, whenever it looks for some of them.
create index files_owner_id_idx on public.files (owner_id)
where unlinked_since is not null;

create index files_unlinked_since_idx on public.files (unlinked_since)
where unlinked_since is not null;

comment on table public.files is
$comment$One row a stored object. The bytes are elsewhere (bucket_id, storage_path);
there is no foreign key to them on purpose. Written by the functions only.$comment$;
comment on column public.files.size_bytes is 'Size in bytes; null when unknown.';
comment on column public.files.stored_at is
'Since when a turn or a link has used the file, so that its bytes are there.';
comment on column public.files.unlinked_since is
$comment$Since when no conversation has used the file: set at registration and when
the last link goes, null while it is linked. cleanup_orphaned_files goes by
it.$comment$;
comment on column public.files.file_type is 'user_upload, generated or cache.';
comment on column public.files.bucket_id is 'The storage bucket.';
comment on column public.files.storage_path is 'The object''s name in its bucket.';
comment on column public.files.original_name is 'The name that people gave the file.';
comment on column public.files.sha256 is
'Lower-case hex; the same content of the same owner is one file. Null when unknown.';
comment on column public.files.metadata is 'Any JSON object.';

alter table public.files enable row level security;

create policy files_owner_reads on public.files
for select to authenticated
using (owner_id = (select turnkeep.current_owner()));

create policy files_functions on public.files
to turnkeep_api
using (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

create policy files_service on public.files
to service_role
using (true);

revoke all on table public.files from public, anon, authenticated, service_role;
grant select on table public.files to authenticated;
grant select, insert, update, delete on table public.files to turnkeep_api;
-- cleanup_orphaned_files runs with the service's own rights.
grant select, update, delete on table public.files to service_role;

commit;
