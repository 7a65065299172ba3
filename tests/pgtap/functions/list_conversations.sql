begin;

select plan(15);

select is(
    list_conversations(),
    '{"conversations": [], "cursor": null}',
    'an owner without conversations has an empty list'
);

-- Ten, an hour apart, two of which were active in the same five minutes.
insert into public.conversations (
    id, owner_id, continuation_id, title, created_at, updated_at
)
select
    format('c0000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid as id,
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'talk ' || n as continuation_id,
    'Title ' || n as title,
    '2026-01-01 00:00:00+00' as created_at,
    timestamptz '2026-01-01 00:01:00+00'
    + (n - n / 10) * interval '1 hour' as updated_at
from generate_series(1, 10) as n;

insert into public.conversations (owner_id, continuation_id)
values ('11111111-1111-4111-8111-111111111111', 'of somebody else');

create function pg_temp.names(reply jsonb)
returns text[]
language sql
as $function$
select array(
    select c.conversation ->> 'continuation_id'
    from jsonb_array_elements(names.reply -> 'conversations')
        with ordinality as c (conversation, ordinal)
    order by c.ordinal
)
$function$;

select is(
    list_conversations(1) #> '{conversations,0}',
    (
        select to_jsonb(c) - '{owner_id, active_at, truncated_at}'::text[]
        from public.conversations as c
        where c.continuation_id = 'talk 10'
    ),
    'an entry has these keys and no others'
);

select is(
    pg_temp.names(list_conversations()),
    array(select 'talk ' || n from generate_series(10, 1, -1) as n),
    'the most recently active come first, the later made of two that are even'
);

select is(
    list_conversations() ->> 'cursor', null,
    'a page that holds them all is the last'
);

select is(
    list_conversations(10) ->> 'cursor', null,
    'also when one more would not have had room'
);

create temporary table page as
with recursive page (number, reply) as (
    select
        1,
        list_conversations(3)
    union all
    select
        p.number + 1,
        list_conversations(3, p.reply ->> 'cursor')
    from page as p
    where p.reply ->> 'cursor' is not null
)

select * from page;

select results_eq(
    'select p.number, cardinality(pg_temp.names(p.reply)) from page as p order by 1',
    'values (1, 3), (2, 3), (3, 3), (4, 1)',
    'pages follow each other to the end'
);

select is(
    (
        select
            string_agg(
                array_to_string(pg_temp.names(p.reply), ', '), ', ' order by p.number
            )
        from page as p
    ),
    array_to_string(pg_temp.names(list_conversations()), ', '),
    'and have each conversation once'
);

select is(
    pg_temp.names(list_conversations(1, list_conversations(1) ->> 'cursor')),
    array['talk 9'],
    'also where a page ends between two that are even'
);

-- Somebody writes while somebody else turns the pages.
update public.conversations
set updated_at = '2026-01-02 00:00:00+00'
where continuation_id = 'talk 2';

select is(
    pg_temp.names(
        list_conversations(
            20, (select p.reply ->> 'cursor' from page as p where p.number = 1)
        )
    ),
    array['talk 7', 'talk 6', 'talk 5', 'talk 4', 'talk 3', 'talk 1'],
    'one that becomes active moves to the front, and no other is missed'
);

select is(
    pg_temp.names(list_conversations(1)), array['talk 2'],
    'where a new look finds it'
);

select is(
    pg_temp.names(
        list_conversations(owner_id => '11111111-1111-4111-8111-111111111111')
    ),
    array['of somebody else'],
    'each owner has a list'
);

select
    throws_ok(
        format('select list_conversations(%s)', v.page_size),
        'PT422', 'page_size is out of range',
        'a page has 1 to 1000'
    )
from (values (0), (1001)) as v (page_size);

insert into public.conversations (owner_id, continuation_id)
select
    '00000000-0000-0000-0000-000000000000' as owner_id,
    'more ' || n as continuation_id
from generate_series(1, 41) as n;

select is(
    jsonb_array_length(list_conversations(null, null, null) -> 'conversations'), 50,
    'null stands for the default'
);

select throws_ok(
    $$ select list_conversations(1, 'next please') $$,
    'PT400', 'cursor is none of ours',
    'a cursor is not made up'
);

select * from finish();

rollback;
