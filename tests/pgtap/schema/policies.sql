-- What holds for every row security policy, present and future.
begin;

select plan(11);

create temporary view ours as
select
    p.polrelid::regclass as relation,
    p.polname,
    p.polcmd,
    p.polpermissive,
    r.role,
    coalesce(q.expression, '') as expression,
    q.is_check,
    pg_get_expr(p.polqual, p.polrelid) as visible,
    -- The gateway's schema; the other one is the service's alone.
    c.relnamespace = 'public'::regnamespace as is_exposed,
    c.relrowsecurity
from pg_policy as p
inner join pg_class as c on p.polrelid = c.oid
cross join
    lateral (
        select case u.id when 0 then 'public' else u.id::regrole::text end
        from unnest(p.polroles) as u (id)
    ) as r (role)
cross join
    lateral (
        values
        (pg_get_expr(p.polqual, p.polrelid), false),
        (pg_get_expr(p.polwithcheck, p.polrelid), true)
    ) as q (expression, is_check)
where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace);

select is_empty(
    $$
    select o.relation, o.polname from ours as o
    where o.role not in ('authenticated', 'service_role', 'turnkeep_api')
    $$,
    'every policy names roles that have rights'
);

select is_empty(
    $$
    select o.relation, o.role, a.action, count(*) from ours as o
    join (values ('r'), ('a'), ('w'), ('d')) as a (action)
        on o.polcmd in (a.action, '*')
    where o.polpermissive
      and not o.is_check
    group by o.relation, o.role, a.action
    having count(*) > 1
    $$,
    'a table has one permissive policy for each role and action'
);

select is_empty(
    $$ select o.relation, o.polname from ours as o where not o.relrowsecurity $$,
    'no policy is on a table whose row security is off'
);

select is_empty(
    $$
    select c.oid::regclass from pg_class as c
    where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and c.relrowsecurity
      and not exists (select from ours as o where o.relation = c.oid)
    $$,
    'a table with row security has a policy'
);

select is_empty(
    $$
    select o.relation, o.polname from ours as o
    where o.role = 'authenticated'
      and o.polcmd <> 'r'
    $$,
    'users have policies to read only'
);

select is_empty(
    $$
    select o.relation, o.polname from ours as o
    where o.role <> 'service_role'
      and o.expression = 'true'
      and o.polname not in (
          -- Whose object a path was does not matter to who registers it anew.
          'storage_deletions_functions',
          -- Behind a policy no index would serve the operator @@: find_messages names
          -- the owner.
          'message_search_functions_read', 'search_owners_functions_read',
          -- One row, of the service.
          'search_state_functions', 'settings_functions'
      )
    $$,
    'only the service sees everything'
);

select is_empty(
    $$
    select o.relation, o.polname, o.expression from ours as o
    where o.role = 'authenticated'
      and not o.is_check
      and o.expression <> '(owner_id = ( SELECT turnkeep.current_owner() AS '
      'current_owner))'
    $$,
    'a user sees the rows that are the user''s own'
);

select is_empty(
    $$
    select o.relation, o.polname, o.expression from ours as o
    where o.role = 'turnkeep_api'
      and o.is_check
      and o.polcmd <> 'r'
      and coalesce(nullif(o.expression, ''), o.visible)
      <> '(owner_id = (NULLIF(( SELECT current_setting(''turnkeep.owner_id''::text, '
      'true) AS current_setting), ''''::text))::uuid)'
    $$,
    'the functions write rows of the one owner that act_for has settled'
);

select is_empty(
    $$
    select o.relation, o.polname, o.expression from ours as o
    where replace(
        regexp_replace(
            o.expression, '\( SELECT [\w.]+\([^()]*\) AS \w+\)', '', 'g'
        ),
        'NULLIF(', ''
    ) ~ '\w\('
    $$,
    'functions in policies are called once for a statement, not once for a row'
);

select is_empty(
    $$
    select o.relation, o.polname from ours as o
    where o.expression ~* 'user_metadata'
    $$,
    'no policy trusts what users may write themselves'
);

select is_empty(
    $$
    select c.oid::regclass, r.role from pg_class as c
    cross join (
        values ('authenticated'), ('service_role'), ('turnkeep_api')
    ) as r (role)
    where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and c.relkind in ('r', 'p')
      and has_table_privilege(r.role, c.oid, 'select')
      and not exists (
          select from ours as o
          where o.relation = c.oid
            and o.role = r.role
            and o.polcmd in ('r', '*')
      )
    $$,
    'who may read a table has a policy, and does not find it empty for want of one'
);

select * from finish();

rollback;
