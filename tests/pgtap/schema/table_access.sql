-- Each role tries each action on each table.
begin;

select plan(3);

create function pg_temp.fire() returns trigger language plpgsql
as 'begin return new; end';

-- The SQLSTATE of a statement run by a role, or 'done'. No statement touches a row: the
-- right to it is checked all the same.
create function pg_temp.attempt(role text, statement text)
returns text
language plpgsql
as $function$
begin
    execute format('set local role %I', attempt.role);
    execute attempt.statement;
    reset role;

    return 'done';
exception
    when others then return sqlstate;
end
$function$;

create temporary table tried on commit drop as
with tables as (
    select c.oid::regclass::text as relation
    from pg_class as c
    where
        c.relnamespace in ('public'::regnamespace, 'turnkeep'::regnamespace)
        and c.relkind in ('r', 'p')
)

select
    r.role,
    t.relation,
    s.action,
    pg_temp.attempt(r.role, s.statement) as outcome
from tables as t
cross join (
    values ('anon'), ('authenticated'), ('service_role'), ('turnkeep_api')
) as r (role)
cross join lateral (
    values
    ('select', format('select from %s where false', t.relation)),
    (
        'insert',
        format('insert into %s (owner_id) select null where false', t.relation)
    ),
    ('update', format('update %s set owner_id = null where false', t.relation)),
    ('delete', format('delete from %s where false', t.relation)),
    ('truncate', format('truncate %s cascade', t.relation)),
    ('trigger', format(
        'create trigger fire before insert on %s for each row '
        'execute function pg_temp.fire()',
        t.relation
    )),
    ('index', format('create index on %s (owner_id)', t.relation)),
    ('policy', format('create policy mine on %s using (true)', t.relation))
) as s (action, statement);

select set_eq(
    $$
    select t.role, t.relation, t.action from tried as t where t.outcome = 'done'
    $$,
    $$
    select r.role, r.relation, u.action
    from (values
        ('authenticated', 'conversations', 'select'),
        ('authenticated', 'messages', 'select'),
        ('authenticated', 'files', 'select'),
        ('authenticated', 'conversation_files', 'select'),
        ('service_role', 'conversations', 'select'),
        ('service_role', 'messages', 'select'),
        ('service_role', 'files', 'select update delete'),
        ('service_role', 'conversation_files', 'select'),
        ('service_role', 'turnkeep.storage_deletions', 'select insert update delete'),
        ('turnkeep_api', 'conversations', 'select insert update delete'),
        ('turnkeep_api', 'messages', 'select insert delete'),
        ('turnkeep_api', 'files', 'select insert update delete'),
        ('turnkeep_api', 'conversation_files', 'select insert delete'),
        ('turnkeep_api', 'turnkeep.storage_deletions', 'select insert update delete'),
        ('turnkeep_api', 'turnkeep.deleted_requests', 'select insert update delete'),
        ('service_role', 'turnkeep.deleted_requests', 'select delete'),
        ('service_role', 'turnkeep.message_search', 'select insert update'),
        ('turnkeep_api', 'turnkeep.message_search', 'select delete'),
        ('service_role', 'turnkeep.search_owners', 'select insert update'),
        ('turnkeep_api', 'turnkeep.search_owners', 'select delete'),
        ('service_role', 'turnkeep.search_state', 'select update'),
        ('turnkeep_api', 'turnkeep.search_state', 'select'),
        ('service_role', 'turnkeep.settings', 'select update'),
        ('turnkeep_api', 'turnkeep.settings', 'select'),
        ('service_role', 'turnkeep.events', 'select insert delete'),
        ('turnkeep_api', 'turnkeep.events', 'select insert delete'),
        ('service_role', 'turnkeep.event_state', 'select update'),
        ('service_role', 'turnkeep.responses', 'select insert update delete'),
        ('turnkeep_api', 'turnkeep.responses', 'select delete')
    ) as r (role, relation, actions)
    cross join string_to_table(r.actions, ' ') as u (action)
    $$,
    'each role can do what it needs, and nothing else'
);

select is_empty(
    $$
    select t.* from tried as t where t.outcome not in ('done', '42501')
    $$,
    'everything else is refused for want of the right to it'
);

select is_empty(
    $$ select t.* from tried as t where t.role = 'anon' and t.outcome <> '42501' $$,
    'who is not signed in can do nothing at all'
);

select * from finish();

rollback;
