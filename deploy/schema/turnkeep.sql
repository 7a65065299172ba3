-- Deploy turnkeep:schema/turnkeep to pg
-- requires: schema/roles
-- requires: adoption/set_aside

begin;

-- Nothing of somebody else's is touched: a name that is taken ends the deploy here,
-- before the first object.
do $do$
declare
    v_taken text;
begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'the encoding of the database is not UTF8'
            using
                errcode = 'feature_not_supported',
                detail = format('It is %s.', current_setting('server_encoding')),
                hint = 'Some characters could not be stored. Create the database with: '
                    'template template0 encoding ''UTF8''.';
    end if;

    select string_agg(t.name, ', ' order by t.name) into v_taken
    from (
        select format('%s public.%I', case c.relkind
            when 'f' then 'foreign table'
            when 'v' then 'view'
            when 'm' then 'materialized view'
            else 'table'
        end, c.relname)
        from pg_class as c
        where c.relnamespace = 'public'::regnamespace
          and c.relname in (
              'conversations', 'messages', 'files', 'conversation_files'
          )
        union all
        select format('type public.%I', t.typname)
        from pg_type as t
        where t.typnamespace = 'public'::regnamespace
          and t.typname in ('message_role', 'file_type')
    ) as t (name);

    if v_taken is not null then
        raise exception 'names that Turnkeep needs are taken'
            using
                errcode = 'duplicate_object',
                detail = v_taken,
                hint = 'Deploy into another database, or rename what is in the way.';
    end if;
end
$do$;

create schema turnkeep;

comment on schema turnkeep is
$comment$Private part of Turnkeep: the functions that write, and the outbox. Not
exposed by a REST gateway; clients call the functions of schema public.$comment$;

revoke all on schema turnkeep from public;
grant usage on schema turnkeep to authenticated, service_role;
grant usage, create on schema turnkeep to turnkeep_api;

commit;
