-- Deploy turnkeep:tables/storage_deletions to pg
-- requires: core/new_id
-- requires: types/bucket_id
-- requires: types/storage_path

begin;

create table turnkeep.storage_deletions (
    id uuid not null default turnkeep.new_id(),
    owner_id uuid not null,
    requested_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    leased_by text,
    last_error text,
    version text,
    bucket_id turnkeep.bucket_id not null,
    storage_path turnkeep.storage_path not null,
    constraint storage_deletions_pkey primary key (id),
    constraint storage_deletions_storage_path_bucket_id_key
    unique (storage_path, bucket_id),
    constraint storage_deletions_attempts_is_not_negative check (attempts >= 0)
);

create index storage_deletions_due_at_idx on turnkeep.storage_deletions (due_at);

comment on table turnkeep.storage_deletions is
$comment$Outbox: stored objects whose row is gone and whose bytes are still to be
deleted through the storage's own interface. A worker claims rows for a time and says
then what became of them. A row goes when the bytes are gone, or when a file of the
same path is registered again.$comment$;
comment on column turnkeep.storage_deletions.owner_id is 'Whose file it was.';
comment on column turnkeep.storage_deletions.requested_at is
'When cleanup_orphaned_files deleted the file''s row.';
comment on column turnkeep.storage_deletions.due_at is
'When a worker may claim the row: later than now after a failure, and while leased.';
comment on column turnkeep.storage_deletions.attempts is
'How often a worker has claimed the row.';
comment on column turnkeep.storage_deletions.leased_by is
'The worker that has claimed the row, until due_at; null when none has.';
comment on column turnkeep.storage_deletions.last_error is
'What the last attempt failed with.';
comment on column turnkeep.storage_deletions.version is
$comment$Version of the object when its file's row was deleted, as Supabase Storage
counts, or "none" when there was no object; another one now is another upload, which
must stay. Null where it is not known: whatever is there goes.$comment$;

-- In a schema that no gateway exposes; the service alone has rights.
alter table turnkeep.storage_deletions enable row level security;

create policy storage_deletions_service on turnkeep.storage_deletions
to service_role
using (true);

-- Registering a file looks whether its path is about to be deleted, whoever owned it.
create policy storage_deletions_functions on turnkeep.storage_deletions
to turnkeep_api
using (true)
with check (
    owner_id = nullif((select current_setting('turnkeep.owner_id', true)), '')::uuid
);

revoke all on table turnkeep.storage_deletions
from public, anon, authenticated, service_role;
grant select, insert, update, delete on table turnkeep.storage_deletions
to turnkeep_api, service_role;

commit;
