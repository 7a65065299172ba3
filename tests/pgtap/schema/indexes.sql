-- Each access has its index, and no index is there twice.
begin;

select plan(22);

create temporary view ours as
select
    i.indexrelid,
    i.indrelid,
    i.indisunique,
    i.indisvalid,
    i.indnatts,
    i.indkey::smallint[] as key,
    i.indclass::oid[] as class,
    i.indcollation::oid[] as collation,
    i.indoption::smallint[] as option,
    coalesce(pg_get_expr(i.indpred, i.indrelid), '') as predicate,
    coalesce(pg_get_expr(i.indexprs, i.indrelid), '') as expressions,
    c.relam
from pg_index as i
inner join pg_class as c on i.indexrelid = c.oid
where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace);

select is_empty(
    'select o.indexrelid::regclass from ours as o where not o.indisvalid',
    'every index is valid'
);

select is_empty(
    $$
    select f.conrelid::regclass, f.conname from pg_constraint as f
    where f.contype = 'f'
      and f.connamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and not exists (
          select from ours as o
          where o.indrelid = f.conrelid
            and o.predicate = ''
            and o.key[0] = f.conkey[1]
      )
    $$,
    'every foreign key has an index that begins as it does'
);

select is_empty(
    $$
    select o.indexrelid::regclass, p.indexrelid::regclass
    from ours as o
    join ours as p
        on p.indrelid = o.indrelid
        and p.indexrelid <> o.indexrelid
        and p.relam = o.relam
        and p.predicate = o.predicate
        and p.expressions = o.expressions
        and p.indnatts >= o.indnatts
        and p.key[0:o.indnatts - 1] = o.key
        and p.class[0:o.indnatts - 1] = o.class
        and p.collation[0:o.indnatts - 1] = o.collation
        and p.option[0:o.indnatts - 1] = o.option
    where not o.indisunique
       or o.indnatts = p.indnatts
    $$,
    'no index is another one, or the beginning of another one'
);

-- Plans are made for data: a hundred owners with ten conversations each, and so on.
insert into public.conversations (owner_id, continuation_id)
select
    md5('owner' || o.number)::uuid as owner_id,
    'conversation ' || c.number as continuation_id
from generate_series(1, 100) as o (number)
cross join generate_series(1, 10) as c (number);

insert into public.messages (
    conversation_id, owner_id, seq, created_at, role, content, turn_size, request_id
)
select
    c.id,
    c.owner_id,
    s.seq,
    now() + s.seq * interval '1 minute' as created_at,
    'user' as role,
    'content' as content,
    1 as turn_size,
    'request ' || s.seq as request_id
from public.conversations as c
cross join generate_series(1, 10) as s (seq);

insert into public.files (
    id, owner_id, bucket_id, storage_path, original_name, sha256, unlinked_since
)
select
    c.id,
    c.owner_id,
    'user-files' as bucket_id,
    c.continuation_id || c.owner_id as storage_path,
    'name' as original_name,
    md5(c.id::text) || md5(c.id::text) as sha256,
    case when c.continuation_id = 'conversation 1' then now() end as unlinked_since
from public.conversations as c;

insert into public.conversation_files (conversation_id, file_id, owner_id)
select
    c.id as conversation_id,
    f.id as file_id,
    c.owner_id
from public.conversations as c
inner join public.files as f on c.id = f.id;

insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path)
select
    f.owner_id,
    f.bucket_id,
    f.storage_path
from public.files as f;

insert into turnkeep.deleted_requests (
    owner_id, continuation_id, request_id, deleted_at
)
select
    m.owner_id,
    c.continuation_id,
    m.request_id,
    now() - m.seq * interval '12 hours' as deleted_at
from public.messages as m
inner join public.conversations as c on m.conversation_id = c.id;

insert into turnkeep.responses (
    owner_id, key, value, size_bytes, scope, embedding, last_hit_at, expires_at
)
select
    m.owner_id,
    encode(sha256(m.id::text::bytea), 'hex') as key,
    '1' as value,
    1 as size_bytes,
    encode(sha256(m.conversation_id::text::bytea), 'hex') as scope,
    case m.seq when 1 then '{1}'::real[] end as embedding,
    now() - m.seq * interval '1 hour' as last_hit_at,
    now() + m.seq * interval '1 hour' as expires_at
from public.messages as m;

analyze public.conversations, public.messages, public.files;
analyze public.conversation_files, turnkeep.storage_deletions;
analyze turnkeep.deleted_requests, turnkeep.responses;

-- What the plan of a query reads and sorts, from the top.
create function pg_temp.way(query text)
returns text
language plpgsql
as $function$
declare
    v_plan jsonb;
begin
    execute 'explain (format json, costs off) ' || way.query into v_plan;

    return (
        select string_agg(
            coalesce(
                n.index || case n.type when 'Index Only Scan' then ' alone' else '' end,
                n.type
            ),
            ', '
        )
        from jsonb_path_query(v_plan, 'strict $.** ? (exists (@."Node Type"))') as j
        cross join jsonb_to_record(
            jsonb_build_object('type', j -> 'Node Type', 'index', j -> 'Index Name')
        ) as n (type text, index text)
        where n.type not in ('Limit', 'LockRows')
    );
end
$function$;

-- The tables are small all the same.
set local enable_seqscan to off;
set local enable_bitmapscan to off;

select is(
    pg_temp.way(
        $$
        select c.title from public.conversations as c
        where c.owner_id = '00000000-0000-0000-0000-000000000000'
          and c.continuation_id = 'c'
        $$
    ),
    'conversations_continuation_id_owner_id_key',
    'a conversation is found by the name that its client gave'
);

select is(
    pg_temp.way(
        $$
        select c.title from public.conversations as c
        where c.id = '00000000-0000-0000-0000-000000000000'
        $$
    ),
    'conversations_pkey',
    'a conversation is found by its id'
);

select is(
    pg_temp.way(
        $$
        select m.content from public.messages as m
        where m.conversation_id = '00000000-0000-0000-0000-000000000000'
        order by m.created_at desc
        limit 50
        $$
    ),
    'idx_messages_conversation_id_created_at',
    'the newest messages are read without sorting, by their time'
);

select is(
    pg_temp.way(
        $$
        select m.content from public.messages as m
        where m.owner_id = '00000000-0000-0000-0000-000000000000'
          and m.conversation_id = '00000000-0000-0000-0000-000000000000'
          and m.seq < 100
        order by m.seq desc
        limit 50
        $$
    ),
    'messages_conversation_id_seq_key',
    'and by their order'
);

select is(
    pg_temp.way(
        $$
        select m.content from public.messages as m
        where m.conversation_id = '00000000-0000-0000-0000-000000000000'
          and m.request_id = 'r'
        $$
    ),
    'messages_conversation_id_request_id_idx',
    'a request is recognised by its name'
);

select is(
    pg_temp.way(
        $$ select f.mime_type from public.files as f where f.storage_path = 'p' $$
    ),
    'files_storage_path_bucket_id_key',
    'a file is found by its path'
);

select is(
    pg_temp.way(
        $$
        select f.mime_type from public.files as f
        where f.owner_id = '00000000-0000-0000-0000-000000000000'
          and f.sha256 = repeat('0', 64)
        $$
    ),
    'files_sha256_owner_id_idx',
    'a file is found by its content'
);

select is(
    pg_temp.way(
        $$
        select f.mime_type from public.files as f
        where f.unlinked_since <= now()
        order by f.unlinked_since
        limit 1000
        for update skip locked
        $$
    ),
    'files_unlinked_since_idx',
    'orphans are found, the oldest first, without a look at the other files'
);

select is(
    pg_temp.way(
        $$
        select l.added_at from public.conversation_files as l
        where l.file_id = '00000000-0000-0000-0000-000000000000'
        $$
    ),
    'idx_conversation_files_file_id',
    'the links of a file are found'
);

select is(
    pg_temp.way(
        $$
        select l.added_at from public.conversation_files as l
        where l.conversation_id = '00000000-0000-0000-0000-000000000000'
        $$
    ),
    'conversation_files_pkey',
    'the links of a conversation are found'
);

select is(
    pg_temp.way(
        $$
        select s.requested_at from turnkeep.storage_deletions as s
        where s.storage_path = 'p'
          and s.bucket_id = 'b'
        $$
    ),
    'storage_deletions_storage_path_bucket_id_key',
    'a deletion that was requested before is found by its path'
);

select is(
    pg_temp.way(
        $$
        select s.id from turnkeep.storage_deletions as s
        where s.due_at <= now()
        order by s.due_at
        limit 1000
        for update skip locked
        $$
    ),
    'storage_deletions_due_at_idx',
    'and those that are due, the first first'
);

select is(
    pg_temp.way(
        $$
        select f.storage_path from public.files as f
        where f.owner_id = '00000000-0000-0000-0000-000000000000'
          and f.unlinked_since is not null
        $$
    ),
    'files_owner_id_idx',
    'the orphans of an owner who is forgotten are found'
);

select is(
    pg_temp.way(
        $$
        delete from turnkeep.deleted_requests as d
        where d.deleted_at < now() - interval '7 days'
        $$
    ),
    'ModifyTable, deleted_requests_deleted_at_idx',
    'deleted requests that need not be remembered are found'
);

select is(
    pg_temp.way(
        $$
        select e.key from turnkeep.responses as e
        where e.expires_at <= now()
        order by e.expires_at
        limit 1000
        for update skip locked
        $$
    ),
    'responses_expires_at_idx',
    'answers that have expired are found, the first first'
);

select is(
    pg_temp.way(
        'select e.key from turnkeep.responses as e order by e.active_at limit 1000'
    ),
    'responses_active_at_idx',
    'and those that were not found for the longest time'
);

select is(
    pg_temp.way(
        $$
        select r.value from turnkeep.responses as r
        where r.owner_id = '00000000-0000-0000-0000-000000000000'
          and r.scope = repeat('0', 64)
          and r.embedding is not null
        $$
    ),
    'responses_scope_owner_id_idx',
    'an embedding is compared with those of its scope'
);

select is(
    pg_temp.way(
        $$
        select count(*), sum(r.size_bytes) from turnkeep.responses as r
        where r.expires_at > now()
        $$
    ),
    'Aggregate, responses_expires_at_idx alone',
    'the size of all answers is known without them'
);

select is(
    pg_temp.way('select m.content from public.messages as m order by m.content'),
    'Sort, Seq Scan',
    'a way without an index is told from the others'
);

select * from finish();

rollback;
