begin;

select plan(47);

create temporary table talk as
select
    o.id as owner_id,
    (
        append_turn(
            'talk', '[{"role": "user", "content": "a"}]',
            jsonb_build_array(jsonb_build_object('storage_path', o.path || 'linked')),
            owner_id => o.id
        ) ->> 'conversation_id'
    )::uuid as conversation_id
from (
    values
    ('11111111-1111-4111-8111-111111111111'::uuid, 'alice/'),
    ('22222222-2222-4222-8222-222222222222', 'bob/')
) as o (id, path);

-- An orphan of an age.
create function pg_temp.orphan(path text, age interval)
returns uuid
language sql
as $function$
insert into public.files (
    owner_id, bucket_id, storage_path, original_name, unlinked_since
)
values (
    '22222222-2222-4222-8222-222222222222', 'mine', path, path, now() - age
)
returning id
$function$;

create function pg_temp.paths()
returns text
language sql
as $function$
select string_agg(f.storage_path, ' ' order by f.storage_path) from public.files as f
$function$;

select results_eq(
    'select * from cleanup_orphaned_files()',
    'values (0, 0, false)',
    'what is linked is no orphan'
);

select is(pg_temp.orphan('old', '24 hours') is null, false, 'one is 24 hours old');
select is(pg_temp.orphan('young', '23 hours 59 minutes') is null, false, 'one is not');

select results_eq(
    'select * from cleanup_orphaned_files(dry_run => true)',
    'values (1, 0, false)',
    'a dry run counts'
);

select is(
    pg_temp.paths(), 'alice/linked bob/linked old young', 'and deletes nothing'
);

select is_empty(
    'select from turnkeep.storage_deletions as s', 'nor asks for it'
);

select results_eq(
    'select c.deleted_count, c.healed_count, c.more from cleanup_orphaned_files() as c',
    'values (1, 0, false)',
    'the grace period is 24 hours'
);

select is(
    pg_temp.paths(), 'alice/linked bob/linked young', 'the younger one is spared'
);

select results_eq(
    $$
    select s.owner_id, s.bucket_id::text collate "default", s.storage_path::text collate "default",
        s.requested_at
    from turnkeep.storage_deletions as s
    $$,
    $$
    values ('22222222-2222-4222-8222-222222222222'::uuid, 'mine', 'old', now())
    $$,
    'the deletion of the stored object is requested, with all that finds it'
);

select results_eq(
    'select * from cleanup_orphaned_files()',
    'values (0, 0, false)',
    'there is nothing to do twice'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('25 hours', null, null) $$,
    'values (0, 0, false)',
    'a longer grace period spares more'
);

select results_eq(
    'select * from cleanup_orphaned_files(null, null, null)',
    'values (0, 0, false)',
    'null stands for the default'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('0') $$,
    'values (1, 0, false)',
    'none at all is allowed'
);

select is(pg_temp.paths(), 'alice/linked bob/linked', 'and spares what is linked');

-- Batches, the oldest first.

select is(
    (
        select count(pg_temp.orphan('batch/' || i, (30 - i) * interval '1 day'))
        from generate_series(1, 5) as i
    ),
    5::bigint,
    'five are waiting'
);

select results_eq(
    'select * from cleanup_orphaned_files(max_files => 2, dry_run => true)',
    'values (2, 0, true)',
    'a dry run counts what one call would do'
);

select results_eq(
    'select * from cleanup_orphaned_files(max_files => 2)',
    'values (2, 0, true)',
    'a call deletes as many as it may, and says that there are more'
);

select is(
    pg_temp.paths(), 'alice/linked batch/3 batch/4 batch/5 bob/linked',
    'the oldest first'
);

select results_eq(
    'select * from cleanup_orphaned_files(max_files => 2)',
    'values (2, 0, true)',
    'the next call goes on'
);

select results_eq(
    'select * from cleanup_orphaned_files(max_files => 2)',
    'values (1, 0, false)',
    'until there are no more'
);

-- Marked, and linked all the same.

update public.files set unlinked_since = '2000-01-01'
where storage_path = 'alice/linked';

select is(pg_temp.orphan('old', '1 year') is null, false, 'a path may come back');

select results_eq(
    'select * from cleanup_orphaned_files(dry_run => true)',
    'values (1, 1, false)',
    'a dry run tells those that have a link after all from the others'
);

select results_eq(
    'select * from cleanup_orphaned_files(max_files => 1, dry_run => true)',
    'values (0, 1, true)',
    'and begins with the oldest, too'
);

select is(
    (
        select f.unlinked_since from public.files as f
        where f.storage_path = 'alice/linked'
    ),
    '2000-01-01',
    'and heals none'
);

update turnkeep.storage_deletions
set owner_id = '11111111-1111-4111-8111-111111111111', requested_at = '2000-01-01'
where storage_path = 'old';

select results_eq(
    'select * from cleanup_orphaned_files()',
    'values (1, 1, false)',
    'a file that is marked as unused and has a link is healed'
);

select is(
    (
        select count(*) from public.files as f
        inner join public.conversation_files as l on f.id = l.file_id
        where f.unlinked_since is null
    ),
    2::bigint,
    'and stays, with its link'
);

select results_eq(
    $$
    select s.owner_id, s.requested_at from turnkeep.storage_deletions as s
    where s.storage_path = 'old'
    $$,
    $$ values ('22222222-2222-4222-8222-222222222222'::uuid, now()) $$,
    'an object whose deletion was requested before has one request, the newer'
);

select is(
    (select count(*) from turnkeep.storage_deletions), 7::bigint,
    'each object has one'
);

-- What unlinking leaves behind, and what is registered and forgotten.

select
    is(
        unlink_files_from_conversation(
            t.conversation_id,
            array(
                select f.id from public.files as f where f.storage_path = 'bob/linked'
            )
        ) #> '{orphaned,0}' is null,
        false,
        'a link may go'
    )
from talk as t
where t.owner_id = '22222222-2222-4222-8222-222222222222';

select is(
    register_files('[{"storage_path": "forgotten"}]') #> '{files,0,created}', 'true',
    'a file may be forgotten'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('1 second') $$,
    'values (0, 0, false)',
    'within the grace period they stay'
);

select is(
    (
        select count(pg_temp.orphan('many/' || i, '1 year'))
        from generate_series(1, 1001) as i
    ),
    1001::bigint,
    'many are waiting'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('1 second', null, true) $$,
    'values (1000, 0, true)',
    'a call deletes 1000 files unless the client wants another number'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('1 second') $$,
    'values (1000, 0, true)',
    'and null is no number'
);

select results_eq(
    $$ select * from cleanup_orphaned_files('1 second', 10000) $$,
    'values (1, 0, false)',
    'it may be 10000'
);

set local role service_role;

select results_eq(
    $$ select * from cleanup_orphaned_files('0') $$,
    'values (2, 0, false)',
    'after it they go, whoever owns them'
);

select
    throws_ok(
        format('select * from cleanup_orphaned_files(%s)', c.arguments),
        'PT422', c.message, c.title
    )
from (
    values
    ('''-1 second''', 'grace is out of range', 'no file is deleted before its time'),
    ('''1000 years 1 day''', 'grace is out of range', 'nor kept for ever'),
    ('''300000 years''', 'grace is out of range', 'nor longer than there are dates'),
    ('max_files => 0', 'max_files is out of range', 'a batch has a file'),
    ('max_files => 10001', 'max_files is out of range', 'a batch has an end')
) as c (arguments, message, title);

select is(
    (select c.deleted_count from cleanup_orphaned_files('1000 years') as c), 0,
    'but for a thousand years'
);

set local role authenticated;
set local "request.jwt.claims" to '{"sub": "11111111-1111-4111-8111-111111111111"}';

select throws_ok(
    'select * from cleanup_orphaned_files()',
    '42501', 'permission denied for function cleanup_orphaned_files',
    'a user deletes nothing'
);

reset role;

select results_eq(
    $$
    select c.deleted_count from pg_temp.orphan('a day old', '24 hours') as o (id)
    cross join lateral cleanup_orphaned_files(
        case when o.id is null then interval '0' end
    ) as c
    $$,
    'values (1)',
    'null stands for 24 hours'
);

select is(pg_temp.paths(), 'alice/linked', 'what is used is still there');

select is_empty(
    $$
    select p.prosrc from pg_proc as p
    where p.oid = 'cleanup_orphaned_files(interval, integer, boolean)'::regprocedure
      and p.prosecdef
    $$,
    'the service cleans up with its own rights'
);

-- Rows lie in the table in another order.
delete from turnkeep.storage_deletions;

select pg_temp.orphan('order/' || v.name, v.age)
from (
    values ('c', interval '3 days'), ('a', '4 days'), ('b', '5 days')
) as v (name, age);

select cleanup_orphaned_files();

select
    case
        when turnkeep.sees_storage()
            then skip('each row is written once more, with its version', 1)
        else is(
            string_agg(s.storage_path, ' ' order by s.ctid),
            'order/a order/b order/c',
            'paths are asked for in their order, as everybody locks them'
        )
    end
from turnkeep.storage_deletions as s
where s.storage_path like 'order/%';

select * from finish();

rollback;
