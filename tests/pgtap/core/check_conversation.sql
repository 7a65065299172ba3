begin;

select plan(14);

select
    throws_ok(
        format('select turnkeep.check_conversation(%L, null, null)', v.continuation_id),
        'PT422', 'continuation_id is empty or too long',
        'a continuation_id of ' || v.what || ' is refused'
    )
from (
    values
    ('', 'no characters'), (null, 'nothing'), (repeat('ä', 501), '501 characters')
) as v (continuation_id, what);

select
    lives_ok(
        format('select turnkeep.check_conversation(%L, null, null)', v.continuation_id),
        'one of ' || v.what || ' is not'
    )
from (
    values ('a', '1 character'), (repeat('ä', 500), '500 characters')
) as v (continuation_id, what);

select
    throws_ok(
        format('select turnkeep.check_conversation(%L, null, %L)', 'a', v.metadata),
        'PT400', 'metadata is not an object',
        v.metadata || ' is no metadata'
    )
from (values ('[]'), ('"a"'), ('1')) as v (metadata);

select is(
    turnkeep.check_conversation('a', null, 'null'), null::jsonb,
    'null is: it says that there is none'
);

select is(
    turnkeep.check_conversation('a', null, '{"b": null}'), '{"b": null}',
    'an object comes back as it is'
);

-- The text of {"a": "..."} has 9 bytes around the value.
select lives_ok(
    $$
    select turnkeep.check_conversation(
        'a', null, jsonb_build_object('a', repeat('x', 262144 - 9))
    )
    $$,
    'metadata may have 256 KiB'
);

select throws_ok(
    $$
    select turnkeep.check_conversation(
        'a', null, jsonb_build_object('a', repeat('x', 262144 - 8))
    )
    $$,
    'PT413', 'metadata is larger than 256 KiB',
    'and not a byte more'
);

select is(
    turnkeep.check_conversation('a', repeat('ä', 1024), '{}'), '{}',
    'a title may have 1024 characters'
);

select throws_ok(
    $$ select turnkeep.check_conversation('a', repeat('ä', 1025), null) $$,
    'PT422', 'title is too long',
    'and no more'
);

select * from finish();

rollback;
