-- Deploy turnkeep:functions/set_search_language to pg
-- requires: tables/search_state

begin;

create function public.set_search_language(language text)
returns jsonb
language plpgsql
volatile
set search_path = pg_temp
-- The name is compared as text.
set quote_all_identifiers = off
as $function$
declare
    v_language text;
begin
    select format('%I.%I', n.nspname, c.cfgname) into v_language
    from pg_catalog.pg_ts_config as c
    join pg_catalog.pg_namespace as n on n.oid = c.cfgnamespace
    where set_search_language.language = format('%I.%I', n.nspname, c.cfgname)
       or (
           n.nspname = 'pg_catalog'
           and set_search_language.language = c.cfgname
       );

    if not found then
        raise exception 'there is no such language'
            using
                errcode = 'PT422',
                detail = format('language is %L.', left(set_search_language.language, 100)),
                hint = 'Pass the name of a text search configuration: simple, english, '
                    'german or another of pg_ts_config, with its schema if it is not '
                    'PostgreSQL''s own.';
    end if;

    update turnkeep.search_state as s
    set language = v_language,
        revision = s.revision + 1,
        indexed_before = '00000000-0000-0000-0000-000000000000'
    where s.language <> v_language;

    return jsonb_build_object('language', v_language);
end
$function$;

comment on function public.set_search_language(text) is
$comment$Chooses the language that words are reduced and left out by: the name of a text
search configuration. At first it is simple, which takes each word as it is. After a
change index_messages goes through all messages again, the oldest first; until it has
reached a message, search_messages finds it by its words as they were.

Returns {"language"}: its name with its schema.

Service only. Raises:
- PT422 when there is no such text search configuration.$comment$;

revoke all on function public.set_search_language(text)
from public, anon, authenticated, service_role;
grant execute on function public.set_search_language(text) to service_role;

commit;
