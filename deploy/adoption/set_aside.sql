-- Deploy turnkeep:adoption/set_aside to pg
-- requires: schema/roles

begin;

-- The store that Turnkeep replaces has tables of the same names. They move as they are,
-- with their rows, keys, indexes and triggers, and adoption/copy reads them there. Only
-- tables of its shape do: schema/turnkeep refuses all others.
do $do$
declare
    v_name text;
begin
    if exists (
        select
        from (values
            ('conversations', 'id', 'uuid'),
            ('conversations', 'continuation_id', 'text'),
            ('conversations', 'title', 'text'),
            ('conversations', 'metadata', 'jsonb'),
            ('conversations', 'created_at', 'timestamptz'),
            ('conversations', 'updated_at', 'timestamptz'),
            ('messages', 'id', 'uuid'),
            ('messages', 'conversation_id', 'uuid'),
            ('messages', 'role', 'message_role'),
            ('messages', 'content', 'text'),
            ('messages', 'metadata', 'jsonb'),
            ('messages', 'created_at', 'timestamptz'),
            ('files', 'id', 'uuid'),
            ('files', 'storage_path', 'text'),
            ('files', 'original_name', 'text'),
            ('files', 'mime_type', 'text'),
            ('files', 'file_type', 'file_type'),
            ('files', 'metadata', 'jsonb'),
            ('files', 'created_at', 'timestamptz'),
            ('conversation_files', 'conversation_id', 'uuid'),
            ('conversation_files', 'file_id', 'uuid'),
            ('conversation_files', 'added_at', 'timestamptz')
        ) as o (table_name, column_name, type_name)
        where not exists (
            select from pg_attribute as a
            join pg_type as t on t.oid = a.atttypid
            where a.attrelid = to_regclass('public.' || o.table_name)
              and a.attname = o.column_name
              and not a.attisdropped
              and t.typname = o.type_name
        )
    ) or exists (
        select from pg_attribute as a
        where a.attrelid = to_regclass('public.conversations')
          and a.attname = 'owner_id'
          and not a.attisdropped
    ) then
        return;
    end if;

    create schema before_turnkeep;
    comment on schema before_turnkeep is
    $comment$The tables of the store that Turnkeep has replaced, as they were. The view
left_behind lists what could not be carried over. Drop the schema when nobody needs it
any more.$comment$;

    foreach v_name in array array[
        'conversation_files', 'messages', 'files', 'conversations'
    ] loop
        execute format('alter table public.%I set schema before_turnkeep', v_name);
    end loop;

    foreach v_name in array array['message_role', 'file_type'] loop
        execute format('alter type public.%I set schema before_turnkeep', v_name);
    end loop;
end
$do$;

commit;
