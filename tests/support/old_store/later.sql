-- What later databases of the same store have more.

alter table messages add column idempotency_key text unique;
alter table files
add column sha256 text,
add column provider text,
add column provider_file_id text,
add column accessed_at timestamptz;
create unique index idx_files_sha256 on files (sha256) where sha256 is not null;
alter table conversation_files add primary key (conversation_id, file_id);
