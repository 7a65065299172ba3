-- The outbox from both ends: cleanup_orphaned_files fills it, a worker claims and
-- finishes, a registration takes back. What each refuses is beside this.
begin;

select plan(20);

select register_files('[
    {"storage_path": "a"}, {"storage_path": "b"},
    {"storage_path": "c", "bucket_id": "generated-files"}
]');
select * from cleanup_orphaned_files('0');

create function pg_temp.id(path text)
returns uuid
language sql
as $function$
select s.id from turnkeep.storage_deletions as s where s.storage_path = id.path
$function$;

-- Supabase Storage would know the version; without an object there is none.
create function pg_temp.claimed(path text)
returns jsonb
language sql
as $function$
select jsonb_build_object(
    'id', pg_temp.id(claimed.path),
    'bucket_id', 'user-files',
    'storage_path', claimed.path,
    'version', case when to_regclass('storage.objects') is not null then 'none' end,
    'attempts', 1
)
$function$;

select is(
    claim_storage_deletions('worker 1', 2),
    jsonb_build_object(
        'deletions', jsonb_build_array(pg_temp.claimed('a'), pg_temp.claimed('b'))
    ),
    'a worker gets no more than it asks for, with these keys and no others'
);

select is(
    jsonb_path_query_array(
        claim_storage_deletions('worker 2'), '$.deletions[*].storage_path'
    ),
    '["c"]',
    'another gets what is left'
);

select is(
    claim_storage_deletions('worker 3'), '{"deletions": []}',
    'and a third one nothing'
);

select throws_ok(
    $$ select register_files('[{"storage_path": "a"}]') $$,
    'PT503', 'the stored object is being deleted',
    'nobody can register a path whose object a worker deletes'
);

select throws_ok(
    $$
    select append_turn(
        't', '[{"role": "user", "content": "x"}]', '[{"storage_path": "a"}]'
    )
    $$,
    'PT503', 'the stored object is being deleted',
    'nor bring it with a turn'
);

select is(
    finish_storage_deletions('worker 2', array[pg_temp.id('a')]),
    '{"finished": 0, "retried": 0, "lost_lease": 1}',
    'a worker finishes only what it has claimed'
);

select is(
    finish_storage_deletions(
        'worker 2', '{}',
        jsonb_build_array(
            jsonb_build_object('id', pg_temp.id('a'), 'error', 'not mine')
        )
    ),
    '{"finished": 0, "retried": 0, "lost_lease": 1}',
    'and puts off nothing that another has claimed'
);

select is(
    finish_storage_deletions(
        'worker 1',
        array[pg_temp.id('a'), pg_temp.id('a')],
        jsonb_build_array(
            jsonb_build_object('id', pg_temp.id('b'), 'error', 'HTTP 500')
        )
    ),
    '{"finished": 1, "retried": 1, "lost_lease": 0}',
    'what is done is counted once, what failed is tried again'
);

select results_eq(
    $$
    select s.storage_path::text collate "default", s.leased_by, s.last_error,
        s.due_at - now(), s.attempts
    from turnkeep.storage_deletions as s
    order by s.storage_path
    $$,
    $$
    values
    ('b', null, 'HTTP 500', interval '1 minute', 1),
    ('c', 'worker 2', null, interval '5 minutes', 1)
    $$,
    'what is done is gone, what failed waits and says why'
);

select is(
    register_files('[{"storage_path": "a"}]') #> '{files,0,created}', 'true',
    'a path whose object is gone can be registered'
);

select is(
    register_files('[{"storage_path": "b"}]') #> '{files,0,created}', 'true',
    'and one whose deletion has failed'
);

select is(pg_temp.id('b'), null, 'which leaves the outbox then');

-- A lease runs out.
update turnkeep.storage_deletions set due_at = now();

select is(
    jsonb_path_query_array(
        claim_storage_deletions('worker 3', lease => '1 hour'),
        '$.deletions[*].attempts'
    ),
    '[2]',
    'when a lease has ended another worker gets the object'
);

select is(
    finish_storage_deletions('worker 2', array[pg_temp.id('c')]) -> 'lost_lease', '1',
    'and the first one has lost it'
);

update turnkeep.storage_deletions set attempts = 100;
select finish_storage_deletions(
    'worker 3', '{}', jsonb_build_array(jsonb_build_object('id', pg_temp.id('c')))
);

select is(
    (select s.due_at - now() from turnkeep.storage_deletions as s), interval '1 day',
    'the pause between attempts grows to a day'
);

-- Whose file it was does not matter to who brings the path again.
update turnkeep.storage_deletions
set owner_id = '11111111-1111-4111-8111-111111111111', due_at = now();

select register_files('[{"storage_path": "c", "bucket_id": "generated-files"}]');

select is_empty(
    'select from turnkeep.storage_deletions', 'a path leaves the outbox of any owner'
);

-- A file that names the path again without having been registered here.
insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
values ('00000000-0000-0000-0000-000000000000', 'user-files', 'a');

select is(
    claim_storage_deletions('worker 1'), '{"deletions": []}',
    'an object that a file names again is not given out'
);

select is_empty('select from turnkeep.storage_deletions', 'and leaves the outbox');

-- Supabase Storage.
do $do$
begin
    if to_regnamespace('storage') is null then
        create schema storage;
        create table storage.buckets (id text primary key, name text);
        create table storage.objects (bucket_id text, name text, version text);
        grant usage on schema storage to service_role;
        grant select on storage.objects to service_role;
    end if;
end
$do$;

insert into storage.buckets (id, name)
values ('user-files', 'user-files'), ('generated-files', 'generated-files');
insert into storage.objects (bucket_id, name, version)
values
('user-files', 'a', 'v1'), ('user-files', 'b', 'v1'),
-- In the other bucket, of no concern.
('generated-files', 'b', 'v9'), ('user-files', 'c', 'v9');

select * from cleanup_orphaned_files('0');

select results_eq(
    $$
    select s.storage_path::text collate "default", s.version
    from turnkeep.storage_deletions as s order by s.storage_path
    $$,
    $$ values ('a', 'v1'), ('b', 'v1'), ('c', 'none') $$,
    'the cleanup notes which upload is to go'
);

update storage.objects set version = 'v2' where name = 'a';
insert into storage.objects (bucket_id, name, version)
values ('generated-files', 'c', 'v1');

select is(
    jsonb_path_query_array(
        claim_storage_deletions('worker 1'), '$.deletions[*].storage_path'
    ),
    '["b"]',
    'what was uploaded since is another object, and stays'
);

select * from finish();

rollback;
