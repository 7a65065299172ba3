-- What Supabase's advisor warns of or calls an error, in our own words, as far as the
-- other files here do not ask it already:
-- 0003, 0006, 0007, 0015, 0024 policies.sql; 0009 indexes.sql; 0011, 0028, 0029
-- functions.sql; 0010, 0013, 0014, 0016, 0017, 0018, 0021 tables.sql.
-- 0019, 0026 and 0027 are about pgmq and pg_graphql, which this project does not use;
-- where somebody has pg_graphql, 0027 names the four tables that users may read.
begin;

select plan(5);

create temporary view readable as
select
    c.oid,
    c.relkind,
    c.relrowsecurity,
    r.role
from pg_class as c
cross join (values ('anon'), ('authenticated')) as r (role)
where
    c.relnamespace = 'public'::regnamespace
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_any_column_privilege(r.role, c.oid, 'select')
    and not exists (
        select from pg_depend as d
        where
            d.classid = 'pg_class'::regclass
            and d.objid = c.oid
            and d.deptype = 'e'
    );

select set_eq(
    'select r.oid::regclass::text, r.role from readable as r',
    $$
    values
    ('conversations', 'authenticated'), ('messages', 'authenticated'),
    ('files', 'authenticated'), ('conversation_files', 'authenticated')
    $$,
    'through the gateway four tables can be read, by who is signed in'
);

select is_empty(
    $$
    select r.oid::regclass, r.role from readable as r
    where r.relkind not in ('r', 'p')
       or not r.relrowsecurity
    $$,
    'and row security stands before each (0002, 0010, 0013, 0016, 0017)'
);

select is_empty(
    $$
    select r.oid::regclass, a.attname from readable as r
    join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0
    where a.attname ~* '(password|passwd|secret|token|api_?key|private_?key|ssn|'
    'credit_?card|session_id|otp|pin)$'
    $$,
    'none has a column for what must not be read (0023)'
);

select is_empty(
    $$
    select p.polrelid::regclass, p.polname from pg_policy as p
    cross join unnest(p.polroles) as r (id)
    where p.polrelid in (
        select c.oid from pg_class as c
        where c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
    )
      and p.polcmd <> 'r'
      and (r.id = 0 or r.id::regrole::text in ('anon', 'authenticated'))
    $$,
    'no policy lets a user write, whatever it compares (0024)'
);

select is_empty(
    $$
    select f.oid::regprocedure, r.role from pg_proc as f
    cross join (values ('anon'), ('authenticated')) as r (role)
    where f.pronamespace = 'public'::regnamespace
      and f.prosecdef
      and has_function_privilege(r.role, f.oid, 'execute')
      and not exists (
          select from pg_depend as d
          where d.classid = 'pg_proc'::regclass
            and d.objid = f.oid
            and d.deptype = 'e'
      )
    $$,
    'no user calls through the gateway what runs above the user''s rights (0028, 0029)'
);

select * from finish();

rollback;
