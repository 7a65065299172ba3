begin;

select plan(5);

select is(
    register_files('[{"storage_path": "n/a"}, {"storage_path": "n/b"}]')
    #>> '{files,0,upload_needed}',
    'true',
    'without Supabase Storage a new file needs uploading'
);

do $do$
begin
    if to_regnamespace('storage') is null then
        create schema storage;
        create table storage.buckets (id text primary key, name text);
        create table storage.objects (bucket_id text, name text);
        create unique index bucketid_objname on storage.objects (bucket_id, name);
        alter table storage.objects enable row level security;
        create policy objects_are_seen on storage.objects for select
        using (bucket_id = 'user-files');
        grant usage on schema storage to authenticated;
    end if;
end
$do$;

insert into storage.buckets (id, name)
values ('user-files', 'user-files'), ('other', 'other');
insert into storage.objects (bucket_id, name)
values ('user-files', 'n/b'), ('other', 'n/a');

select is(
    jsonb_path_query_array(
        register_files('[{"storage_path": "n/a"}, {"storage_path": "n/b"}]'),
        '$.files[*].upload_needed'
    ),
    '[true, false]',
    'an object that Supabase Storage has needs no uploading'
);

select is(
    turnkeep.note_uploads('{"files": []}'), '{"files": []}',
    'no files are no error'
);

grant select on storage.objects to public;
select set_config(
    'request.jwt.claims', '{"sub": "11111111-1111-4111-8111-111111111111"}', true
);
set local role authenticated;

create temporary table reply as
select register_files(f.files) as reply
from (
    values ('[{"storage_path": "11111111-1111-4111-8111-111111111111/n"}]'::jsonb)
) as f (files);

reset role;

select is(
    (select reply #>> '{files,0,upload_needed}' from reply),
    'true',
    'who may not look into the storage is told to upload'
);

insert into storage.objects (bucket_id, name)
select
    'user-files' as bucket_id,
    '11111111-1111-4111-8111-111111111111/' || n as name
from generate_series(1, 3000) as n;

create function pg_temp.buffers()
returns integer
language plpgsql
as $function$
declare
    v_plan jsonb;
begin
    set local role authenticated;
    execute $$
    explain (analyze, buffers, format json)
    select turnkeep.note_uploads(
        '{"files": [{
            "bucket_id": "user-files",
            "storage_path": "11111111-1111-4111-8111-111111111111/1",
            "upload_needed": true
        }]}'
    )
    $$ into v_plan;
    reset role;
    return v_plan #> '{0,Plan,Shared Hit Blocks}';
end
$function$;

-- The first call reads the catalogue, too.
select cmp_ok(
    least(pg_temp.buffers(), pg_temp.buffers()), '<', 20,
    'a user''s file is found by its key among thousands of stored objects'
);

select * from finish();

rollback;
