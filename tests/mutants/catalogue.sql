-- Mutants from the catalogue: the object's path, what is taken out, and the statement.
with tables as (
    select c.oid, c.oid::regclass::text as relation, 'tables/' || c.relname as path,
        c.relacl
    from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and c.relkind in ('r', 'p')
      and not exists (
          select from pg_depend as d
          where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
      )
),
functions as (
    select p.oid, p.oid::regprocedure::text as routine,
        case n.nspname when 'public' then 'functions/' else 'core/' end
        || p.proname as path,
        p.proowner, p.proacl, p.proconfig, p.prosecdef
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    where n.nspname in ('public', 'turnkeep')
      and not exists (
          select from pg_depend as d
          where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
      )
),
roles as (
    select r.role, coalesce(p.oid, 0) as id
    from unnest(array[
        'public', 'anon', 'authenticated', 'service_role', 'turnkeep_api'
    ]) as r (role)
    left join pg_roles as p on p.rolname = r.role
)

-- Each check, unique, primary and foreign key.
select t.path, 'without constraint ' || k.conname,
    format('alter table %s drop constraint %I cascade', t.relation, k.conname)
from tables as t
join pg_constraint as k on k.conrelid = t.oid
where k.contype in ('c', 'p', 'u', 'f', 'x')
union all

-- Each rule of a domain.
select 'types/' || t.typname, 'without constraint ' || k.conname,
    format('alter domain %s drop constraint %I', t.oid::regtype, k.conname)
from pg_type as t
join pg_constraint as k on k.contypid = t.oid
where t.typnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
union all

-- The other action of each foreign key.
select t.path,
    k.conname || case k.confdeltype
        when 'c' then ' does not cascade'
        else ' cascades'
    end,
    format(
        'alter table %1$s drop constraint %2$I, add constraint %2$I %3$s',
        t.relation, k.conname,
        replace(pg_get_constraintdef(k.oid), ' ON DELETE CASCADE', '')
        || case k.confdeltype when 'c' then '' else ' on delete cascade' end
    )
from tables as t
join pg_constraint as k on k.conrelid = t.oid
where k.contype = 'f'
union all

-- Each "not null" and each default.
select t.path, m.name, m.statement
from tables as t
join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
cross join lateral (
    select a.attname || ' may be null',
        format('alter table %s alter %I drop not null', t.relation, a.attname)
    where a.attnotnull
      and not exists (
          select from pg_constraint as k
          where k.conrelid = t.oid and k.contype = 'p' and a.attnum = any (k.conkey)
      )
    union all
    select a.attname || ' has no default',
        format('alter table %s alter %I drop default', t.relation, a.attname)
    where a.atthasdef and a.attgenerated = ''
) as m (name, statement)
union all

-- Each policy: gone, true, for everybody; and row security as a whole.
select t.path, m.name, m.statement
from tables as t
join pg_policy as p on p.polrelid = t.oid
cross join lateral (select pg_get_expr(p.polqual, p.polrelid)) as q (visible)
cross join lateral (
    select 'without policy ' || p.polname,
        format('drop policy %I on %s', p.polname, t.relation)
    union all
    select 'policy ' || p.polname || ' is true',
        format('alter policy %I on %s using (true)', p.polname, t.relation)
        || case when p.polwithcheck is null then '' else ' with check (true)' end
    where q.visible <> 'true'
    union all
    select 'policy ' || p.polname || ' checks nothing',
        format('alter policy %I on %s with check (true)', p.polname, t.relation)
    where p.polwithcheck is not null or (p.polcmd = '*' and q.visible <> 'true')
    union all
    select 'policy ' || p.polname || ' is for everybody',
        format('alter policy %I on %s to public', p.polname, t.relation)
) as m (name, statement)
union all
select t.path, 'without row security',
    format('alter table %s disable row level security', t.relation)
from tables as t
union all

-- Each trigger, and each index that is no constraint's.
select t.path, 'without trigger ' || g.tgname,
    format('drop trigger %I on %s', g.tgname, t.relation)
from tables as t
join pg_trigger as g on g.tgrelid = t.oid and not g.tgisinternal
union all
select t.path, 'without index ' || c.relname, format('drop index %s', c.oid::regclass)
from tables as t
join pg_index as i on i.indrelid = t.oid
join pg_class as c on c.oid = i.indexrelid
where not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
union all

-- Rights to tables, and to single columns.
select t.path, m.name, m.statement
from tables as t
cross join roles as r
cross join unnest(array['select', 'insert', 'update', 'delete']) as a (action)
cross join lateral (
    select exists (
        select from aclexplode(t.relacl) as g
        where g.grantee = r.id and lower(g.privilege_type) = a.action
    )
) as h (is_held)
cross join lateral (
    select format('%s may not %s', r.role, a.action),
        format('revoke %s on %s from %s', a.action, t.relation, r.role)
    where h.is_held
    union all
    select format('%s may %s', r.role, a.action),
        format('grant %s on %s to %s', a.action, t.relation, r.role)
    where not h.is_held
) as m (name, statement)
union all
select t.path, format('%s may not %s %s', r.role, lower(g.privilege_type), a.attname),
    format(
        'revoke %s (%I) on %s from %s',
        g.privilege_type, a.attname, t.relation, r.role
    )
from tables as t
join pg_attribute as a on a.attrelid = t.oid
cross join aclexplode(a.attacl) as g
join roles as r on r.id = g.grantee
union all

-- Rights to functions; whom a function runs as, and with which settings.
select f.path, m.name, m.statement
from functions as f
cross join roles as r
cross join lateral (
    select exists (select from aclexplode(f.proacl) as g where g.grantee = r.id)
) as h (is_held)
cross join lateral (
    select r.role || ' may not execute it',
        format('revoke execute on function %s from %s', f.routine, r.role)
    where h.is_held
    union all
    select r.role || ' may execute it',
        format('grant execute on function %s to %s', f.routine, r.role)
    where not h.is_held
) as m (name, statement)
where f.proowner <> r.id
union all
select f.path, m.name, format('alter function %s %s', f.routine, m.change)
from functions as f
cross join lateral (
    select case when f.prosecdef then 'runs as its caller' else 'runs as its owner' end,
        case when f.prosecdef then 'security invoker' else 'security definer' end
    union all
    select 'belongs to a superuser', format('owner to %I', current_user)
    where f.prosecdef
    union all
    select 'without set ' || split_part(c.setting, '=', 1),
        'reset ' || split_part(c.setting, '=', 1)
    from unnest(f.proconfig) as c (setting)
) as m (name, change)
union all

-- Rights to the schema.
select 'schema/turnkeep', m.name, m.statement
from pg_namespace as n
cross join roles as r
cross join unnest(array['usage', 'create']) as a (action)
cross join lateral (
    select exists (
        select from aclexplode(n.nspacl) as g
        where g.grantee = r.id and lower(g.privilege_type) = a.action
    )
) as h (is_held)
cross join lateral (
    select format('%s has no %s', r.role, a.action),
        format('revoke %s on schema turnkeep from %s', a.action, r.role)
    where h.is_held
    union all
    select format('%s has %s', r.role, a.action),
        format('grant %s on schema turnkeep to %s', a.action, r.role)
    where not h.is_held
) as m (name, statement)
where n.nspname = 'turnkeep'
union all

-- The values of enums.
select 'types/' || t.typname, e.enumlabel || ' is called otherwise',
    format(
        'alter type %s rename value %L to %L',
        t.oid::regtype, e.enumlabel, e.enumlabel || '_'
    )
from pg_type as t
join pg_enum as e on e.enumtypid = t.oid
where t.typnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
