-- Deploy turnkeep:tables/storage_deletions to pg
-- requires: core/new_id

begin;

create table turnkeep.storage_deletions (
    id uuid not null default turnkeep.new_id(),
    owner_id uuid not null,
    requested_at timestamptz not null default now(),
    bucket_id text collate "C" not null,
    storage_path text collate "C" not null,
    constraint storage_deletions_pkey primary key (id),
    constraint storage_deletions_storage_path_bucket_id_key
    unique (storage_path, bucket_id)
);

comment on table turnkeep.storage_deletions is
$comment$Outbox: stored objects whose row is gone and whose bytes are still to be
deleted through the storage's own interface. A row goes when the bytes are gone, or
when a file of the same path is registered again.$comment$;
comment on column turnkeep.storage_deletions.requested_at is
'When cleanup_orphaned_files deleted the file''s row.';

-- In a schema that no gateway exposes; the service alone has rights.
alter table turnkeep.storage_deletions enable row level security;

create policy storage_deletions_service on turnkeep.storage_deletions
to service_role
using (true);

revoke all on table turnkeep.storage_deletions
from public, anon, authenticated, service_role;
grant select, insert, update on table turnkeep.storage_deletions to service_role;

commit;
