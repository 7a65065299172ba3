begin;

select plan(22);

select is(
    upsert_conversation('trip', 'Rome', '{"a": 1, "b": {"c": 1}}') - 'id',
    '{
        "continuation_id": "trip", "created": true, "title": "Rome",
        "metadata": {"a": 1, "b": {"c": 1}}, "next_seq": 1
    }',
    'a conversation is created, with these keys in the reply and no others'
);

create temporary table before as
select
    c.ctid as place,
    c.*
from public.conversations as c;

select is(
    upsert_conversation('trip') - 'id',
    '{
        "continuation_id": "trip", "created": false, "title": "Rome",
        "metadata": {"a": 1, "b": {"c": 1}}, "next_seq": 1
    }',
    'asking for it again gets it as it is'
);

select is(
    (upsert_conversation('trip', 'Rome', '{"a": 1}') ->> 'id')::uuid,
    (select b.id from before as b),
    'and always the same one'
);

select results_eq(
    'select c.ctid, c.* from public.conversations as c',
    'select * from before',
    'what changes nothing writes nothing'
);

select is(
    upsert_conversation('trip', null, '{"b": [2], "d": null}') -> 'metadata',
    '{"a": 1, "b": [2], "d": null}',
    'metadata is merged key by key, on the first level'
);

select is(
    upsert_conversation('trip', 'Naples') ->> 'title',
    'Naples',
    'a title replaces'
);

select results_eq(
    $$
    select c.version::bigint, c.title, c.metadata::jsonb, c.updated_at >= b.updated_at
    from public.conversations as c
    cross join before as b
    $$,
    $$ values (3::bigint, 'Naples', '{"a": 1, "b": [2], "d": null}'::jsonb, true) $$,
    'each change counts in the version'
);

select is(
    upsert_conversation(
        'trip', owner_id => '11111111-1111-4111-8111-111111111111'
    ) -> 'created',
    'true',
    'another owner''s conversation of the same name is another one'
);

select is(
    upsert_conversation('trip', null, 'null') -> 'metadata',
    '{"a": 1, "b": [2], "d": null}',
    'a JSON null stands for the default, too'
);

select throws_ok(
    $$ select upsert_conversation('') $$,
    'PT422', 'continuation_id is empty or too long',
    'a name has at least one character'
);

select throws_ok(
    $$ select upsert_conversation(repeat('x', 501)) $$,
    'PT422', 'continuation_id is empty or too long',
    'and at most 500'
);

select throws_ok(
    $$ select upsert_conversation('x', repeat('x', 1025)) $$,
    'PT422', 'title is too long',
    'a title has at most 1024'
);

select throws_ok(
    $$ select upsert_conversation('x', null, '[]') $$,
    'PT400', 'metadata is not an object',
    'metadata is an object'
);

select throws_ok(
    $$
    select upsert_conversation(
        'x', null, jsonb_build_object('k', repeat('x', 256 * 1024))
    )
    $$,
    'PT413', 'metadata is larger than 256 KiB',
    'of at most 256 KiB'
);

select upsert_conversation(
    'large', 'Large', jsonb_build_object('a', repeat('x', 200000))
);

select throws_ok(
    $$
    select upsert_conversation(
        'large', null, jsonb_build_object('b', repeat('x', 200000))
    )
    $$,
    'PT413', 'metadata is larger than 256 KiB',
    'with what is there already'
);

-- As a store before may have left it.
update public.conversations
set metadata = metadata || jsonb_build_object('b', repeat('x', 200000))
where continuation_id = 'large';

select lives_ok(
    $$ select upsert_conversation('large', 'Larger') $$,
    'a new title needs no smaller metadata'
);

select lives_ok(
    $$ select upsert_conversation('large', null, '{"b": null}') $$,
    'and what is too large can be made smaller'
);

-- Several conversations of one owner.
select upsert_conversation('one', 'One', '{"a": 1}');
select upsert_conversation('two', 'Two');
select upsert_conversation('one', null, '{"b": 2}');

select is(
    upsert_conversation('one') - 'id',
    '{
        "continuation_id": "one", "created": false, "title": "One",
        "metadata": {"a": 1, "b": 2}, "next_seq": 1
    }',
    'metadata changes without the title'
);

select is(
    upsert_conversation('two', 'Zwei') - 'id',
    '{
        "continuation_id": "two", "created": false, "title": "Zwei",
        "metadata": {}, "next_seq": 1
    }',
    'and the title without metadata'
);

select is(
    upsert_conversation('one') ->> 'title', 'One', 'of one conversation, not of others'
);

update public.conversations set updated_at = '2000-01-01' where continuation_id = 'one';
select upsert_conversation('one', 'Eins');

select is(
    (
        select c.updated_at from public.conversations as c
        where c.continuation_id = 'one'
    ),
    now(),
    'a new title is a change of now'
);

update public.conversations set updated_at = '3000-01-01' where continuation_id = 'one';
select upsert_conversation('one', 'Uno');

select is(
    (
        select c.updated_at from public.conversations as c
        where c.continuation_id = 'one'
    ),
    '3000-01-01',
    'but the time of a change never goes back'
);

select * from finish();

rollback;
