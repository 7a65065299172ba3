-- What holds for every table, present and future.
begin;

select plan(20);

create temporary view ours as
select
    c.oid,
    n.nspname,
    c.relname,
    c.relpersistence,
    c.relrowsecurity
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
    n.nspname in ('public', 'turnkeep')
    and c.relkind in ('r', 'p')
    and not exists (
        select from pg_depend as d
        where
            d.classid = 'pg_class'::regclass
            and d.objid = c.oid
            and d.deptype = 'e'
    );

create temporary view foreign_keys as
select
    f.oid,
    f.conname,
    f.conrelid,
    f.confrelid,
    f.confdeltype,
    f.confupdtype,
    f.condeferrable,
    f.convalidated,
    k.columns,
    k.referenced
from pg_constraint as f
inner join ours as o on f.conrelid = o.oid
cross join
    lateral (
        select
            array_agg(a.attname order by p.place) as columns,
            array_agg(r.attname order by p.place) as referenced
        from unnest(f.conkey, f.confkey) with ordinality as p (key, ref, place)
        inner join pg_attribute as a on f.conrelid = a.attrelid and p.key = a.attnum
        inner join pg_attribute as r on f.confrelid = r.attrelid and p.ref = r.attnum
    ) as k
where f.contype = 'f';

select set_eq(
    'select format(''%s.%s'', o.nspname, o.relname) from ours as o',
    array[
        'public.conversations', 'public.messages', 'public.files',
        'public.conversation_files', 'turnkeep.storage_deletions',
        'turnkeep.deleted_requests', 'turnkeep.message_search',
        'turnkeep.search_owners', 'turnkeep.search_state', 'turnkeep.settings',
        'turnkeep.events', 'turnkeep.event_state', 'turnkeep.responses'
    ],
    'these are the tables: a new one adds itself here and to table_access.sql'
);

select is_empty(
    'select o.oid::regclass from ours as o where not o.relrowsecurity',
    'every table has row security'
);

select is_empty(
    $$
    select o.oid::regclass from ours as o
    where obj_description(o.oid, 'pg_class') is null
    $$,
    'every table says what it holds'
);

select is_empty(
    $$
    select o.oid::regclass from ours as o
    where not exists (
        select from pg_constraint as k
        where k.conrelid = o.oid
          and k.contype = 'p'
    )
    $$,
    'every table has a primary key'
);

select is_empty(
    $$
    select o.oid::regclass from ours as o
    where not exists (
        select from pg_attribute as a
        where a.attrelid = o.oid
          and a.attname = 'owner_id'
          and a.atttypid = 'uuid'::regtype
          and a.attnotnull
    )
    $$,
    'every row has an owner'
);

select is_empty(
    $$
    select f.conrelid::regclass, f.conname from foreign_keys as f
    where array_position(f.columns, 'owner_id')
    is distinct from array_position(f.referenced, 'owner_id')
       or array_position(f.columns, 'owner_id') is null
    $$,
    'every foreign key carries the owner'
);

select is_empty(
    $$
    select f.conrelid::regclass, f.conname from foreign_keys as f
    where f.confrelid not in (select o.oid from ours as o)
    $$,
    'no foreign key leaves our own tables'
);

select is_empty(
    $$
    select f.conrelid::regclass, f.conname from foreign_keys as f
    where f.confdeltype not in ('a', 'c')
       or f.confupdtype <> 'a'
       or f.condeferrable
       or not f.convalidated
    $$,
    'a deletion cascades or is refused, at once; keys never change'
);

select is_empty(
    $$
    select f.conrelid::regclass, f.conname from foreign_keys as f
    where (
        f.conrelid = 'public.conversation_files'::regclass
        or f.confrelid = 'public.files'::regclass
    )
      and f.confdeltype <> 'a'
    $$,
    'no deletion takes a link or the use of a file with it'
);

select is_empty(
    $$
    select t.tgrelid::regclass, t.tgname from pg_trigger as t
    join ours as o on o.oid = t.tgrelid
    where not t.tgisinternal
    $$,
    'nothing depends on a trigger'
);

select is_empty(
    $$
    select r.ev_class::regclass, r.rulename from pg_rewrite as r
    join ours as o on o.oid = r.ev_class
    $$,
    'nothing depends on a rule'
);

select is_empty(
    $$
    select c.oid::regclass from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and c.relkind = 'S'
    $$,
    'no number comes from a sequence that all owners share'
);

select is_empty(
    $$ select o.oid::regclass from ours as o where o.relpersistence <> 'p' $$,
    'every table survives a crash'
);

select is_empty(
    $$
    select k.conname from pg_constraint as k
    left join ours as o on o.oid = k.conrelid
    left join pg_type as t
        on t.oid = k.contypid
        and t.typnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
    where k.contype = 'c'
      and (o.oid is not null or t.oid is not null)
      and (k.conname ~ '_check\d*$' or not k.convalidated)
    $$,
    'the name of a check says its rule, and every row obeys it'
);

select is_empty(
    $$
    select o.oid::regclass, a.attname from ours as o
    join pg_attribute as a on a.attrelid = o.oid
    join pg_type as t
        on t.typname = a.attname
        and t.typtype = 'd'
        and t.typnamespace = 'turnkeep'::regnamespace
    where a.atttypid <> t.oid
    $$,
    'a column that is called as a domain keeps its rules'
);

select is_empty(
    $$
    select o.oid::regclass, a.attname from ours as o
    join pg_attribute as a on a.attrelid = o.oid
    where a.attnum > 0
      and not a.attisdropped
      and (a.atttypid = 'timestamptz'::regtype) <> (a.attname ~ '_(at|since)$')
    $$,
    'times are timestamptz, and are named _at or _since'
);

select is_empty(
    $$
    select o.oid::regclass, a.attname, a.atttypid::regtype from ours as o
    join pg_attribute as a on a.attrelid = o.oid
    join pg_type as t on t.oid = a.atttypid
    where a.attnum > 0
      and not a.attisdropped
      and (
          t.typname ~ '^(reg|json$|timestamp$|timetz$|money$|varchar$|bpchar$)'
          or a.attidentity <> ''
      )
    $$,
    'no column has a type that upgrades, comparisons or owners stumble over'
);

select is_empty(
    $$
    select c.oid::regclass from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and c.relkind = 'v'
      and not coalesce(c.reloptions && array[
          'security_invoker=true', 'security_invoker=on', 'security_invoker=1'
      ], false)
    $$,
    'a view reads with the rights of its reader'
);

select is_empty(
    $$
    select c.oid::regclass from pg_class as c
    where c.relnamespace = 'public'::regnamespace
      and c.relkind in ('m', 'f')
    $$,
    'nothing that row security cannot guard is where the gateway looks'
);

select is_empty(
    $$
    select e.extname from pg_extension as e
    where e.extnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
    $$,
    'no extension is among our objects'
);

select * from finish();

rollback;
