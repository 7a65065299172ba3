-- The store that Turnkeep replaces, as its oldest databases have it: no key on the links,
-- no idempotency_key, no sha256.

create type message_role as enum ('user', 'assistant', 'system');
create type file_type as enum ('user_upload', 'generated', 'cache');

create table conversations (
    id uuid primary key default gen_random_uuid(),
    continuation_id text unique not null,
    title text,
    metadata jsonb default '{}',
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

create table messages (
    id uuid primary key default gen_random_uuid(),
    conversation_id uuid references conversations (id) on delete cascade,
    role message_role not null,
    content text not null,
    metadata jsonb,
    created_at timestamptz default now()
);

create table files (
    id uuid primary key default gen_random_uuid(),
    storage_path text unique not null,
    original_name text not null,
    mime_type text,
    size_bytes integer,
    file_type file_type not null default 'user_upload',
    metadata jsonb,
    created_at timestamptz default now()
);

create table conversation_files (
    conversation_id uuid references conversations (id) on delete cascade,
    file_id uuid references files (id) on delete cascade,
    added_at timestamptz default now()
);

create table schema_version (version integer primary key);

create index idx_conversations_continuation_id on conversations (continuation_id);
create index idx_conversations_created_at on conversations (created_at desc);
create index idx_messages_conversation_id on messages (conversation_id);
create index idx_messages_created_at on messages (created_at);
create index idx_files_storage_path on files (storage_path);
create index idx_files_type on files (file_type);
create index idx_files_created_at on files (created_at desc);
create index idx_conversation_files_conversation_id
on conversation_files (conversation_id);
create index idx_conversation_files_file_id on conversation_files (file_id);

create function update_updated_at_column()
returns trigger
language plpgsql
as $function$
begin
    new.updated_at = now();
    return new;
end
$function$;

create trigger update_conversations_updated_at before update on conversations
for each row execute function update_updated_at_column();
