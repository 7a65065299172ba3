-- What holds for every function, present and future.
begin;

select plan(27);

create temporary view ours as
select
    p.oid,
    n.nspname,
    p.proname,
    p.prosrc,
    p.provolatile,
    p.proparallel,
    p.prosecdef,
    p.proretset,
    p.proargnames,
    p.proargmodes,
    p.pronargs,
    p.proowner,
    p.proacl,
    p.proconfig,
    p.prolang,
    obj_description(p.oid, 'pg_proc') as comment
from pg_proc as p
inner join pg_namespace as n on p.pronamespace = n.oid
where
    n.nspname in ('public', 'turnkeep')
    and not exists (
        select from pg_depend as d
        where
            d.classid = 'pg_proc'::regclass
            and d.objid = p.oid
            and d.deptype = 'e'
    );

-- Whom a body calls is read from its text: PL/pgSQL records no dependencies.
create temporary view calls as
select
    c.oid as caller,
    f.oid as callee
from ours as c
inner join ours as f on c.prosrc ~ format('\m%s\.%s\(', f.nspname, f.proname);

create temporary view raised as
with recursive reached (caller, callee) as (
    select
        o.oid as caller,
        o.oid as callee
    from ours as o
    union
    select
        r.caller,
        c.callee
    from reached as r
    inner join calls as c on r.callee = c.caller
)

select distinct
    r.caller as oid,
    r.caller = r.callee as is_direct,
    m.code[1] as code
from reached as r
inner join ours as o on r.callee = o.oid
cross join regexp_matches(o.prosrc, '\mPT\d{3}\M', 'g') as m (code);

select isnt_empty('select from ours', 'there are functions to speak of');

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where not coalesce(o.proconfig @> array['search_path=pg_temp'], false)
    $$,
    'every function looks for names in pg_catalog, and last in the caller''s pg_temp'
);

select is_empty(
    $$ select o.oid::regprocedure from ours as o where strpos(o.prosrc, E'\\') > 0 $$,
    'a body means the same whatever standard_conforming_strings is'
);

-- The planner's guesses must not decide: a session that has made its plans on small
-- tables would go on reading them whole.
select set_eq(
    $$
    select o.nspname::text, o.proname::text, c.setting
    from ours as o
    cross join unnest(o.proconfig) as c (setting)
    where c.setting like 'enable_%'
    $$,
    $$
    select f.schema, f.name, s.setting || '=off'
    from (values
        ('turnkeep', 'append_turn', 'enable_seqscan'),
        ('turnkeep', 'conversation_owner', 'enable_seqscan'),
        ('turnkeep', 'delete_conversation', 'enable_seqscan'),
        ('turnkeep', 'find_messages', 'enable_seqscan'),
        ('turnkeep', 'forget_owner', 'enable_seqscan'),
        ('turnkeep', 'index_messages', 'enable_seqscan enable_sort'),
        ('turnkeep', 'link_files_to_conversation', 'enable_seqscan'),
        ('turnkeep', 'register_files', 'enable_seqscan'),
        ('turnkeep', 'truncate_thread', 'enable_seqscan'),
        ('turnkeep', 'unlink_files_from_conversation', 'enable_seqscan'),
        ('turnkeep', 'upsert_conversation', 'enable_seqscan'),
        ('public', 'claim_storage_deletions', 'enable_seqscan'),
        (
            'public', 'cleanup_orphaned_files',
            'enable_seqscan enable_sort enable_bitmapscan'
        ),
        ('public', 'finish_storage_deletions', 'enable_seqscan'),
        ('public', 'get_thread', 'enable_seqscan enable_sort'),
        ('public', 'list_conversations', 'enable_seqscan enable_sort'),
        ('public', 'cache_get', 'enable_seqscan'),
        ('public', 'cache_put', 'enable_seqscan enable_bitmapscan'),
        ('public', 'list_events', 'enable_seqscan enable_sort'),
        ('public', 'metrics', 'enable_seqscan enable_sort enable_bitmapscan'),
        ('public', 'prune_events', 'enable_seqscan enable_sort'),
        ('public', 'search_messages', 'enable_seqscan')
    ) as f (schema, name, settings)
    cross join string_to_table(f.settings, ' ') as s (setting)
    $$,
    'what reads tables by their indexes says so, also before they are analysed'
);

select is_empty(
    $$ select o.oid::regprocedure from ours as o where o.comment is null $$,
    'every function says what it does'
);

select is_empty(
    $$
    select o.nspname, o.proname from ours as o
    group by o.nspname, o.proname
    having count(*) > 1
    $$,
    'a function name has one signature'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    join pg_language as l on l.oid = o.prolang
    where l.lanname not in ('plpgsql', 'sql')
    $$,
    'functions are written in languages that every server trusts'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    cross join aclexplode(coalesce(o.proacl, acldefault('f', o.proowner))) as a
    where a.grantee = 0
    $$,
    'no function is open to everybody'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where has_function_privilege('anon', o.oid, 'execute')
      and o.proname <> 'health'
    $$,
    'who is not signed in may ask for the health and execute nothing else'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    cross join aclexplode(o.proacl) as a
    where a.is_grantable
      and a.grantee <> o.proowner
    $$,
    'nobody may pass on the right to execute a function'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.prosecdef
      and o.nspname <> 'turnkeep'
    $$,
    'a function that runs as its owner is in the schema that no gateway exposes'
);

select is_empty(
    $$
    select o.oid::regprocedure, o.proowner::regrole from ours as o
    where o.prosecdef <> (o.proowner = 'turnkeep_api'::regrole)
    $$,
    'turnkeep_api owns the functions that run as their owner, and no others'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.prosecdef
      and o.comment !~ 'SECURITY DEFINER because '
    $$,
    'a function that runs as its owner says why'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.prosecdef
      and o.prosrc !~ (
          '^\s*declare\s+v_owner_id constant uuid := '
          'turnkeep\.(act_for|lock_conversation|resolve_owner)\('
      )
    $$,
    'a function that runs as its owner first of all settles for whom'
);

select is_empty(
    $$
    select f.oid::regprocedure from pg_proc as f
    where f.pronamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
      and f.proconfig::text like '%enable_%'
      and not f.proconfig @> '{jit=off}'
    $$,
    'what makes plans dear on purpose does not have them compiled'
);

select set_eq(
    $$
    select o.proname::text, min(m.found[1]) as relation, m.found[2] as name
    from ours as o
    cross join regexp_matches(
        o.prosrc,
        -- Of schema turnkeep the tables with rows of owners; the rest is the service's.
        '\m(?:from|join|update) (?:public|turnkeep(?=\.(?:deleted|message|storage)))'
        '\.(\w+) as (\w+)',
        'g'
    ) as m (found)
    group by o.oid, o.proname, o.prosrc, m.found[2]
    having count(*) > regexp_count(
        o.prosrc, format('\m%s\.owner_id = ', m.found[2])
    )
    $$,
    $$
    values
    -- The service names a conversation, and not its owner.
    ('conversation_owner', 'conversations', 'c'),
    -- The service cleans up for all owners.
    ('cleanup_orphaned_files', 'files', 'f'),
    -- A stored object is one, whoever names its path.
    ('claim_storage_deletions', 'files', 'f'),
    -- The service indexes the words of all owners.
    ('index_messages', 'messages', 'm'),
    ('index_messages', 'conversations', 'c'),
    -- And forgets what of all owners is too old.
    ('prune_events', 'deleted_requests', 'd'),
    ('prune_events', 'deleted_requests', 'o'),
    -- What is counted belongs to all of them.
    ('metrics', 'files', 'f'),
    -- A stored object is one, whoever names its path.
    ('cleanup_orphaned_files', 'storage_deletions', 's'),
    ('claim_storage_deletions', 'storage_deletions', 's'),
    ('finish_storage_deletions', 'storage_deletions', 's'),
    ('upsert_files', 'storage_deletions', 's')
    $$,
    'each use of a table names the owner of the rows, but for these'
);

select set_eq(
    $$
    select o.proname::text from ours as o
    where o.prosrc ~ '\m(\w+) as \(\s+select\M.*\mdelete from \S+ as \w+\s+using \1 as\M'
    $$,
    -- It has an index for either way of the join.
    array['forget_owner'],
    'what is deleted goes by its place: a join may look for all of it for every row'
);

select is_empty(
    $$
    select o.oid::regprocedure, o.provolatile from ours as o
    where o.provolatile <> 'v'
      and o.prosrc ~* (
          '\m(insert\s+into|delete\s+from|merge\s+into|truncate|nextval)\M'
          '|\mupdate\s+\w+\.|\mfor\s+((no\s+key\s+)?update|(key\s+)?share)\M'
          '|\mpg_advisory|\mpg_notify'
      )
    $$,
    'what writes or locks is volatile'
);

select is_empty(
    $$
    select o.oid::regprocedure, p.proname from ours as o
    join pg_proc as p on o.prosrc ~ format('\m%s\(', p.proname)
    where o.provolatile <> 'v'
      and p.pronamespace = 'pg_catalog'::regnamespace
      and p.provolatile = 'v'
    $$,
    'and so is what calls what is volatile: clocks, random numbers, settings'
);

select is_empty(
    $$
    select o.oid::regprocedure, o.provolatile from ours as o
    where o.nspname = 'public'
      and o.proname ~ '^(get|list|search)_'
      and o.provolatile <> 's'
    $$,
    'what only reads is stable, so that a gateway may answer GET'
);

select is_empty(
    $$
    select f.oid::regprocedure, g.oid::regprocedure
    from calls as c
    join ours as f on f.oid = c.caller
    join ours as g on g.oid = c.callee
    -- The letters are in the order of the promise: immutable, stable, volatile, and
    -- restricted, safe, unsafe except for the first two.
    where f.provolatile < g.provolatile
       or (f.proparallel = 's' and g.proparallel <> 's')
    $$,
    'no function promises more than the functions that it calls'
);

select is_empty(
    $$
    select o.oid::regprocedure, r.code from raised as r
    join ours as o using (oid)
    -- A body that runs as its owner leaves this to the function that clients call.
    where (o.nspname = 'public' or (r.is_direct and not o.prosecdef))
      and strpos(o.comment, '- ' || r.code) = 0
    except
    -- One file is never too many.
    values ('public.link_file_to_conversation(uuid, uuid)'::regprocedure, 'PT413')
    $$,
    'a comment lists each SQLSTATE that a caller may meet'
);

select is_empty(
    $$
    select o.oid::regprocedure, m.code[1] from ours as o
    cross join regexp_matches(o.comment, '^- (PT\d{3}) ', 'gn') as m (code)
    except
    select r.oid::regprocedure, r.code from raised as r
    $$,
    'a comment lists no SQLSTATE that nothing raises'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.nspname = 'public'
      and o.provolatile = 'v'
      and o.comment !~ 'Raises:\n- PT'
    $$,
    'a writing function lists the SQLSTATEs that it raises'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.prosrc ~* '\m40001\M|\mserialization_failure\M|\mwhen\s+others\M'
    $$,
    'no function raises what gateways retry for ever, or catches what it does not know'
);

select is_empty(
    $$
    select o.oid::regprocedure from ours as o
    where o.nspname = 'public'
      and o.pronargs > 0
      and exists (
          select from unnest(o.proargnames) as a (name)
          where a.name !~ '^[a-z][a-z0-9_]*$'
      ) is distinct from false
    $$,
    'arguments have plain names, which are the keys of the JSON body'
);

select set_eq(
    'select o.proname::text from ours as o where o.proretset',
    array['cleanup_orphaned_files'],
    'replies are one value; the gateway would cut a set at 1000 rows'
);

select * from finish();

rollback;
