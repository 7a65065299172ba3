-- The tables as the application before Turnkeep had them, for comparison.

create schema old_way;

create type old_way.message_role as enum ('user', 'assistant', 'system');
create type old_way.file_type as enum ('user_upload', 'generated', 'cache');

create table old_way.conversations (
    id uuid primary key default gen_random_uuid(),
    continuation_id text unique not null,
    title text,
    metadata jsonb default '{}',
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

create table old_way.messages (
    id uuid primary key default gen_random_uuid(),
    conversation_id uuid references old_way.conversations on delete cascade,
    role old_way.message_role not null,
    content text not null,
    metadata jsonb,
    idempotency_key text unique,
    created_at timestamptz default now()
);

create table old_way.files (
    id uuid primary key default gen_random_uuid(),
    storage_path text unique not null,
    original_name text not null,
    mime_type text,
    size_bytes integer,
    file_type old_way.file_type not null default 'user_upload',
    metadata jsonb,
    created_at timestamptz default now()
);

create table old_way.conversation_files (
    conversation_id uuid references old_way.conversations on delete cascade,
    file_id uuid references old_way.files on delete cascade,
    added_at timestamptz default now(),
    primary key (conversation_id, file_id)
);

create index idx_conversations_continuation_id
on old_way.conversations (continuation_id);
create index idx_conversations_created_at on old_way.conversations (created_at);
create index idx_messages_conversation_id on old_way.messages (conversation_id);
create index idx_messages_created_at on old_way.messages (created_at);
create index idx_files_storage_path on old_way.files (storage_path);
create index idx_files_type on old_way.files (file_type);
create index idx_files_created_at on old_way.files (created_at);
create index idx_conversation_files_conversation_id
on old_way.conversation_files (conversation_id);
create index idx_conversation_files_file_id on old_way.conversation_files (file_id);

create function old_way.update_updated_at_column() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at = now();
    return new;
end
$$;

create trigger update_conversations_updated_at
before update on old_way.conversations
for each row execute function old_way.update_updated_at_column();
