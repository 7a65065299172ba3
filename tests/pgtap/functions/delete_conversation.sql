begin;

select plan(20);

select append_turn(
    'trip', '[
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    ]',
    '[{"storage_path": "only here"}, {"storage_path": "elsewhere too"}]',
    'request 1'
);
select append_turn('trip', '[{"role": "user", "content": "c"}]');
select append_turn(
    'other', '[{"role": "user", "content": "a"}]',
    '[{"storage_path": "elsewhere too"}]', 'request 1'
);
select append_turn(
    'trip', '[{"role": "user", "content": "theirs"}]', request_id => 'request 1',
    owner_id => '11111111-1111-4111-8111-111111111111'
);

select is(
    delete_conversation('trip'),
    '{"deleted": true, "messages": 3, "unlinked_files": 2}',
    'a conversation goes, and the reply says what went with it'
);

select is(get_thread('trip'), null, 'it is gone');

select
    throws_ok(
        format('select delete_conversation(%L)', v.continuation_id),
        'PT422', 'continuation_id is empty or too long',
        'what can not be a name is refused, and null first of all'
    )
from (values (null), (''), (repeat('x', 501))) as v (continuation_id);

select is(
    delete_conversation('trip'),
    '{"deleted": false, "messages": 0, "unlinked_files": 0}',
    'deleting it again is no error'
);

select results_eq(
    $$
    select f.storage_path::text collate "default", f.unlinked_since is not null
    from public.files as f order by f.storage_path
    $$,
    $$ values ('elsewhere too', false), ('only here', true) $$,
    'a file that only it used is an orphan, the others are not'
);

select results_eq(
    $$
    select c.continuation_id::text collate "default", c.owner_id, count(*)
    from public.conversations as c
    join public.messages as m on m.conversation_id = c.id
    group by c.continuation_id, c.owner_id
    order by c.continuation_id
    $$,
    $$
    values
    ('other', '00000000-0000-0000-0000-000000000000'::uuid, 1::bigint),
    ('trip', '11111111-1111-4111-8111-111111111111', 1)
    $$,
    'other conversations stay, also one of that name of another owner'
);

select throws_ok(
    $$
    select append_turn(
        'trip', '[{"role": "user", "content": "a"}]', request_id => 'request 1'
    )
    $$,
    'PT409', 'the turn was deleted',
    'a retry that comes late does not bring it back'
);

select is(
    append_turn(
        'trip', '[{"role": "user", "content": "new"}]', request_id => 'request 2'
    ) - '{conversation_id, messages}'::text[],
    '{
        "continuation_id": "trip", "request_id": "request 2", "created": true,
        "replayed": false, "files": [], "unknown_files": [], "next_seq": 2
    }',
    'a new request begins a new one of the same name'
);

select throws_ok(
    $$
    select append_turn(
        'trip', '[{"role": "user", "content": "a"}]', request_id => 'request 1'
    )
    $$,
    'PT409', 'the turn was deleted',
    'to which a late retry adds nothing'
);

select delete_conversation('trip');
select upsert_conversation('trip');

select throws_ok(
    $$
    select append_turn(
        'trip', '[{"role": "user", "content": "a"}]', request_id => 'request 1'
    )
    $$,
    'PT409', 'the turn was deleted',
    'nor to one that upsert_conversation has begun'
);

select is(
    append_turn(
        'trip', '[{"role": "user", "content": "new"}]', request_id => 'request 3'
    ) -> 'replayed',
    'false',
    'but new requests do'
);

select throws_ok(
    $$
    select append_turn(
        'trip', '[{"role": "user", "content": "a"}]', request_id => 'request 1',
        owner_id => '11111111-1111-4111-8111-111111111111'
    )
    $$,
    'PT409', 'request_id was used for another turn',
    'another owner''s request of the same name is another request'
);

select is(
    append_turn(
        'other', '[{"role": "user", "content": "a"}]', request_id => 'request 1'
    ) -> 'replayed',
    'true',
    'and so is that of another conversation'
);

-- Only what has deleted requests has to look for them.
insert into turnkeep.deleted_requests (owner_id, continuation_id, request_id)
values
('11111111-1111-4111-8111-111111111111', 'fresh', 'request 1'),
('00000000-0000-0000-0000-000000000000', 'stale', 'request 1');
select append_turn('fresh', '[{"role": "user", "content": "a"}]');
select upsert_conversation('as fresh');
select append_turn('stale', '[{"role": "user", "content": "a"}]');

select set_eq(
    $$
    select c.continuation_id::text from public.conversations as c
    where c.truncated_at is not null
    $$,
    array['trip', 'stale'],
    'a conversation knows whether requests of its name were deleted'
);

-- One that was deleted long ago and stored again since.
insert into turnkeep.deleted_requests (
    owner_id, continuation_id, request_id, deleted_at
)
values (
    '00000000-0000-0000-0000-000000000000', 'other', 'request 1',
    now() - interval '6 days'
);
delete from turnkeep.deleted_requests as d
where d.continuation_id in ('fresh', 'stale');
select delete_conversation('fresh');
select delete_conversation('as fresh');
select delete_conversation('stale');
select append_turn(
    'other', '[{"role": "user", "content": "b"}]',
    '[{"storage_path": "elsewhere too"}]', request_id => 'request 1b'
);
select truncate_thread('other', 0);
select append_turn('other', '[{"role": "user", "content": "b"}]', request_id => 'r');
insert into turnkeep.deleted_requests (
    owner_id, continuation_id, request_id, deleted_at
)
values (
    '00000000-0000-0000-0000-000000000000', 'other', 'r', now() - interval '6 days'
);
select delete_conversation('other');

select set_eq(
    $$
    select d.request_id::text, d.deleted_at = now() from turnkeep.deleted_requests as d
    where d.continuation_id = 'other'
    $$,
    $$ values ('request 1', true), ('request 1b', true), ('r', true) $$,
    'a request that is deleted twice is remembered from the second time'
);

delete from turnkeep.deleted_requests;
update public.messages set created_at = now() - interval '7 days 1 second';
select delete_conversation('trip');

select is_empty(
    $$
    select from turnkeep.deleted_requests as d where d.continuation_id = 'trip'
    $$,
    'and not at all what nobody would send again'
);

select set_config(
    'request.jwt.claims', '{"sub": "22222222-2222-4222-8222-222222222222"}', true
);
set local role authenticated;

select is(
    delete_conversation('trip') -> 'deleted', 'false',
    'a user can not delete what is another''s'
);

select throws_ok(
    $$
    select delete_conversation('trip', '11111111-1111-4111-8111-111111111111')
    $$,
    'PT403', 'owner_id is somebody else',
    'nor name its owner'
);

select * from finish();

rollback;
