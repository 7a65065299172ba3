-- What holds for every type, present and future.
begin;

select plan(1);

select is_empty(
    $$
    select t.oid::regtype
    from pg_type as t
    join pg_namespace as n on n.oid = t.typnamespace
    left join pg_class as c on c.oid = t.typrelid
    where n.nspname in ('public', 'turnkeep')
      -- Not the array of another, and not the row of a table.
      and t.typelem = 0
      and coalesce(c.relkind, 'c') = 'c'
      and obj_description(t.oid, 'pg_type') is null
      and not exists (
          select from pg_depend as d
          where d.classid = 'pg_type'::regclass
            and d.objid = t.oid
            and d.deptype = 'e'
      )
    $$,
    'each type says what it is for'
);

select * from finish();

rollback;
