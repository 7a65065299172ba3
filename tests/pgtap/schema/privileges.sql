-- Who holds which right, as the catalogue has it. What the rights do is in
-- table_access.sql and function_access.sql.
begin;

select plan(11);

create temporary view ours as
select
    c.oid,
    n.nspname,
    c.relname,
    c.relkind,
    c.relowner,
    c.relacl
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
    n.nspname in ('public', 'turnkeep')
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (
        select from pg_depend as d
        where
            d.classid = 'pg_class'::regclass
            and d.objid = c.oid
            and d.deptype = 'e'
    );

create temporary view granted as
select
    o.oid,
    o.nspname,
    o.relname,
    lower(a.privilege_type) as privilege,
    a.is_grantable,
    case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee
from ours as o
cross join aclexplode(coalesce(o.relacl, acldefault('r', o.relowner))) as a
where a.grantee <> o.relowner;

select set_eq(
    'select distinct g.grantee from granted as g',
    array['authenticated', 'service_role', 'turnkeep_api'],
    'three roles have rights on tables'
);

select is_empty(
    $$
    select g.* from granted as g
    where g.grantee = 'authenticated'
      and (g.privilege <> 'select' or g.nspname <> 'public')
    $$,
    'users may read the public tables, and nothing else'
);

select is_empty(
    $$
    select g.* from granted as g
    where g.privilege not in ('select', 'insert', 'update', 'delete')
    $$,
    'nobody may truncate, refer, add triggers or maintain'
);

select is_empty(
    'select g.* from granted as g where g.is_grantable',
    'nobody may pass on a right to a table'
);

select set_eq(
    $$
    select o.relname::text, a.attname::text, g.grantee::regrole::text,
        lower(g.privilege_type)
    from ours as o
    join pg_attribute as a on a.attrelid = o.oid
    cross join aclexplode(a.attacl) as g
    $$,
    $$
    values
    -- What is left of a turn that truncate_thread has cut.
    ('messages', 'turn_size', 'turnkeep_api', 'update'),
    -- The column is generated: who may update it may lock a row, and write nothing.
    ('conversations', 'active_at', 'service_role', 'update')
    $$,
    'no other right is given for single columns, past the table''s'
);

select is_empty(
    $$
    select o.oid::regclass, o.relowner::regrole from ours as o
    where o.relowner in (
        'anon'::regrole, 'authenticated'::regrole,
        'service_role'::regrole, 'turnkeep_api'::regrole
    )
    $$,
    'none of the roles owns a table: an owner is above row security'
);

select set_eq(
    $$
    select a.grantee::regrole::text, lower(a.privilege_type)
    from pg_namespace as n
    cross join aclexplode(n.nspacl) as a
    where n.nspname = 'turnkeep'
      and a.grantee <> n.nspowner
    $$,
    $$
    values
    ('authenticated', 'usage'), ('service_role', 'usage'),
    ('turnkeep_api', 'usage'), ('turnkeep_api', 'create')
    $$,
    'schema turnkeep is for users, the service and its functions'' owner'
);

select is_empty(
    $$
    select r.rolname from pg_roles as r
    where r.rolname in ('anon', 'authenticated', 'service_role')
      and has_schema_privilege(r.oid, 'turnkeep', 'create')
    $$,
    'no caller may add to schema turnkeep'
);

select is_empty(
    $$
    select d.defaclrole::regrole, d.defaclobjtype, d.defaclacl from pg_default_acl as d
    where d.defaclnamespace in (0, 'turnkeep'::regnamespace)
       -- Supabase has its own, for what anybody makes in public.
       or (
           d.defaclnamespace = 'public'::regnamespace
           and to_regrole('supabase_admin') is null
       )
    $$,
    'later objects of others get the rights that they would get without us'
);

select is_empty(
    $$
    select t.typname from pg_type as t
    cross join aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) as a
    where t.typnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and t.typtype in ('e', 'd')
      and (a.is_grantable or a.privilege_type <> 'USAGE')
      and a.grantee <> t.typowner
    $$,
    'nobody may pass on the use of a type'
);

select is_empty(
    $$
    select s.classid::regclass, s.objid from pg_shdepend as s
    join pg_database as d on d.oid = s.dbid
    where d.datname = current_database()
      and s.refclassid = 'pg_authid'::regclass
      and s.refobjid = 'turnkeep_api'::regrole
      and s.deptype = 'o'
      and s.classid <> 'pg_proc'::regclass
    $$,
    'turnkeep_api owns functions only'
);

select * from finish();

rollback;
