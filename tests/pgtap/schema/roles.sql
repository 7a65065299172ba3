begin;

select plan(5);

select set_eq(
    $$
    select r.rolname::text from pg_roles as r
    where r.rolname in ('anon', 'authenticated', 'service_role', 'turnkeep_api')
    $$,
    array['anon', 'authenticated', 'service_role', 'turnkeep_api'],
    'the roles of the gateway are there, and the one that owns the functions'
);

select is_empty(
    $$
    select r.rolname from pg_roles as r
    where r.rolname = 'turnkeep_api'
      and (
          r.rolcanlogin or r.rolsuper or r.rolbypassrls
          or r.rolcreaterole or r.rolcreatedb or r.rolreplication
      )
    $$,
    'turnkeep_api can not log in, and row security binds it'
);

select is_empty(
    $$
    select r.rolname from pg_roles as r
    where r.rolname in ('anon', 'authenticated')
      and (r.rolsuper or r.rolbypassrls)
    $$,
    'row security binds the users'
);

select is_empty(
    $$
    select m.roleid::regrole from pg_auth_members as m
    where m.member = 'turnkeep_api'::regrole
    $$,
    'turnkeep_api has no rights but its own'
);

select is_empty(
    $$
    select c.role, r.rolname
    from (values ('anon'), ('authenticated'), ('service_role')) as c (role)
    cross join pg_roles as r
    where pg_has_role(c.role, r.oid, 'member')
      and r.rolname in ('anon', 'authenticated', 'service_role', 'turnkeep_api')
      and r.rolname <> c.role
    $$,
    'no role of the gateway can become another one, or the functions'' owner'
);

select * from finish();

rollback;
