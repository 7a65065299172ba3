-- What a migration finds in the database of a Supabase project: schemas that it may use
-- and not add to, their tables and functions, and the rights that new objects in public
-- get. Those are of projects made before 2026-05-30; opt_in.sql takes most of them away.
-- The bodies are stand-ins: what a caller can notice is as on the platform.

set client_min_messages = warning;

create schema extensions;
create schema auth;
create schema storage;
create schema realtime;
create schema graphql_public;

grant usage on schema extensions, auth, storage, realtime, graphql_public
to postgres, anon, authenticated, service_role;
grant create on schema extensions to postgres;
grant usage on schema auth to supabase_auth_admin;
grant usage on schema storage to supabase_storage_admin;
grant usage on schema realtime to supabase_realtime_admin;
grant usage on schema public to anon, authenticated, service_role;

do $do$
declare
    v_creator text;
    v_kind text;
begin
    foreach v_creator in array array['postgres', 'supabase_admin'] loop
        foreach v_kind in array array['tables', 'sequences', 'functions'] loop
            execute format(
                'alter default privileges for role %I in schema public '
                'grant all on %s to postgres, anon, authenticated, service_role',
                v_creator, v_kind
            );
        end loop;
    end loop;
end
$do$;

-- auth: who is signed in, from what the gateway says about the request.

create table auth.users (
    id uuid primary key default gen_random_uuid(),
    email text unique,
    raw_app_meta_data jsonb not null default '{}',
    raw_user_meta_data jsonb not null default '{}',
    created_at timestamptz not null default now()
);

alter table auth.users owner to supabase_auth_admin;
alter table auth.users enable row level security;
grant all on auth.users to postgres with grant option;

create function auth.jwt()
returns jsonb
language sql
stable
return coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
)::jsonb;

create function auth.uid()
returns uuid
language sql
stable
return coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    auth.jwt() ->> 'sub'
)::uuid;

create function auth.role()
returns text
language sql
stable
return coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    auth.jwt() ->> 'role'
);

create function auth.email()
returns text
language sql
stable
return coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    auth.jwt() ->> 'email'
);

-- storage: a row is the metadata of an object, and only the Storage API deletes it.

create table storage.buckets (
    id text primary key,
    name text not null unique,
    owner_id text,
    public boolean default false, -- noqa: RF04
    file_size_limit bigint,
    allowed_mime_types text [],
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

create table storage.objects (
    id uuid primary key default gen_random_uuid(),
    bucket_id text references storage.buckets (id),
    name text,
    owner_id text,
    version text,
    metadata jsonb,
    user_metadata jsonb,
    path_tokens text [] generated always as (string_to_array(name, '/')) stored,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now()
);

create unique index bucketid_objname on storage.objects (bucket_id, name);

create function storage.protect_delete()
returns trigger
language plpgsql
set search_path = ''
as $function$
begin
    if coalesce(current_setting('storage.allow_delete_query', true), '') <> 'true' then
        raise exception 'Direct deletion from storage tables is not allowed.'
            using
                errcode = 'insufficient_privilege',
                hint = 'Use the Storage API, which deletes the bytes too.';
    end if;

    return null;
end
$function$;

-- For each statement: also one that would delete no row is refused.
create trigger protect_buckets_delete before delete on storage.buckets
for each statement execute function storage.protect_delete();

create trigger protect_objects_delete before delete on storage.objects
for each statement execute function storage.protect_delete();

create function storage.foldername(name text)
returns text []
language sql
immutable
return trim_array(string_to_array(name, '/'), 1);

alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
alter function storage.protect_delete() owner to supabase_storage_admin;
alter function storage.foldername(text) owner to supabase_storage_admin;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to postgres with grant option;
grant all on storage.buckets, storage.objects to anon, authenticated, service_role;

-- realtime: broadcasts are rows of a table, one partition a day; here one for all days.

create table realtime.messages (
    id uuid not null default gen_random_uuid(),
    topic text not null,
    extension text not null,
    event text,
    payload jsonb,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    primary key (id, inserted_at)
) partition by range (inserted_at);

create table realtime.messages_any_day partition of realtime.messages default;

alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages
to postgres, anon, authenticated, service_role;

create function realtime.topic()
returns text
language sql
stable
return nullif(current_setting('realtime.topic', true), '');

-- Runs as its caller, and a message that row security refuses is lost with a warning.
create function realtime.send(
    payload jsonb,
    event text,
    topic text,
    private boolean default true -- noqa: RF04
)
returns void
language plpgsql
as $function$
declare
    v_id constant uuid := gen_random_uuid();
begin
    perform set_config('realtime.topic', send.topic, true);

    insert into realtime.messages (id, topic, extension, event, payload, private)
    values (
        v_id,
        send.topic,
        'broadcast',
        send.event,
        -- On the left: an id that is there stays. No object, no message.
        jsonb_build_object('id', v_id) || jsonb_strip_nulls(send.payload),
        send.private
    );
exception
    when others then
        raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$function$;

alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages_any_day owner to supabase_realtime_admin;
alter function realtime.topic() owner to supabase_realtime_admin;
alter function realtime.send(jsonb, text, text, boolean)
owner to supabase_realtime_admin;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
