begin;

select plan(8);

select set_eq(
    $$
    select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'turnkeep.responses'::regclass
      and a.attnum > 0
      and not a.attisdropped
    $$,
    $$
    values
    ('active_at', 'timestamp with time zone', true, null),
    ('created_at', 'timestamp with time zone', true, 'now()'),
    ('embedding', 'real[]', false, null),
    ('expires_at', 'timestamp with time zone', true, null),
    ('hits', 'bigint', true, '0'),
    ('key', 'turnkeep.sha256', true, null),
    ('last_hit_at', 'timestamp with time zone', true, 'now()'),
    ('owner_id', 'uuid', true, null),
    ('scope', 'turnkeep.sha256', false, null),
    ('size_bytes', 'integer', true, null),
    ('value', 'jsonb', true, null)
    $$,
    'an answer has these columns'
);

create function pg_temp.put(
    key text, size_bytes integer default 1, scope text default null,
    embedding real[] default null,
    owner_id uuid default '11111111-1111-4111-8111-111111111111'
)
returns timestamptz
language sql
as $function$
insert into turnkeep.responses (
    owner_id, key, value, size_bytes, scope, embedding, last_hit_at, expires_at
)
values (
    put.owner_id, put.key, '1', put.size_bytes, put.scope, put.embedding,
    '2026-01-01 00:09:59+00', now()
)
returning active_at
$function$;

select is(
    pg_temp.put(repeat('a', 64), 0), '2026-01-01 00:05:00+00',
    'it knows to five minutes when it was found'
);

select throws_ok(
    $$ select pg_temp.put(repeat('a', 64)) $$,
    '23505',
    'duplicate key value violates unique constraint "responses_pkey"',
    'a key has one answer'
);

select lives_ok(
    $$
    select pg_temp.put(
        repeat('a', 64), 1048576, repeat('0', 64), '{}',
        '22222222-2222-4222-8222-222222222222'
    )
    $$,
    'for an owner'
);

select
    throws_ok(
        format('select pg_temp.put(%s)', v.arguments),
        '23514',
        format(
            'new row for relation "responses" violates check constraint "responses_%s"',
            v.rule
        ),
        v.title
    )
from (
    values
    (
        $$ repeat('b', 64), 1, null, '{1}' $$, 'embedding_has_its_scope',
        'an embedding has one'
    ),
    (
        $$ repeat('b', 64), -1 $$, 'size_bytes_is_at_most_1_mib',
        'nothing is smaller than nothing'
    ),
    (
        $$ repeat('b', 64), 1048577 $$, 'size_bytes_is_at_most_1_mib',
        'an answer has 1 MiB at most'
    )
) as v (arguments, rule, title);

set local role authenticated;

select throws_ok(
    'select r.value from turnkeep.responses as r',
    '42501', 'permission denied for table responses',
    'a user does not see it'
);

reset role;

select * from finish();

rollback;
