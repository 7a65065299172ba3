begin;

select plan(15);

create text search configuration public."Klingon" (copy = pg_catalog.german);

update turnkeep.search_state
set indexed_before = turnkeep.id_at(now()), settled_before = turnkeep.id_at(now());

create temporary table before on commit drop as
select s.* from turnkeep.search_state as s;

select results_eq(
    'select s.language, s.revision from turnkeep.search_state as s',
    $$ values ('pg_catalog.simple', 1) $$,
    'at first each word is taken as it is'
);

select is(
    set_search_language('pg_catalog.simple'), '{"language": "pg_catalog.simple"}',
    'the language that it is already'
);

select results_eq(
    'select s.* from turnkeep.search_state as s', 'select b.* from before as b',
    'is no change'
);

select is(
    set_search_language('english'), '{"language": "pg_catalog.english"}',
    'PostgreSQL''s own need no schema'
);

select results_eq(
    $$
    select s.language, s.revision, s.indexed_before, s.settled_before
    from turnkeep.search_state as s
    $$,
    $$
    values (
        'pg_catalog.english', 2, '00000000-0000-0000-0000-000000000000'::uuid,
        turnkeep.id_at(now())
    )
    $$,
    'after a change all messages are to be indexed again'
);

select is(
    set_search_language('public."Klingon"'), '{"language": "public.\"Klingon\""}',
    'others need theirs'
);

set local quote_all_identifiers to on;

select is(
    set_search_language('public."Klingon"'), '{"language": "public.\"Klingon\""}',
    'a name is the same however a session quotes'
);

select is(
    (select s.revision from turnkeep.search_state as s), 3,
    'and then nothing is indexed again'
);

select
    throws_ok(
        format('select set_search_language(%L)', v.language),
        'PT422', 'there is no such language',
        coalesce(v.language, 'null') || ' is none'
    )
from (
    values
    ('"Klingon"'), ('Klingon'), ('public.Klingon'), ('elvish'), (''), (null)
) as v (language);

set local role service_role;

select is(
    set_search_language('simple'), '{"language": "pg_catalog.simple"}',
    'the service may choose it'
);

select * from finish();

rollback;
