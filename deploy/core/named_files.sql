-- Deploy turnkeep:core/named_files to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.named_files(messages jsonb, file_ids uuid[])
returns uuid[]
language plpgsql
immutable
parallel safe
set search_path = pg_temp
as $function$
begin
    return array(
        select n.id
        from (
            select f.id, 0::bigint as message, f.ordinality as rank
            from unnest(named_files.file_ids) with ordinality as f (id)
            union all
            select i.id::uuid, m.ordinality, i.ordinality
            from jsonb_array_elements(named_files.messages)
                with ordinality as m (message)
            cross join jsonb_array_elements_text(
                coalesce(nullif(m.message -> 'file_ids', 'null'), '[]')
            ) with ordinality as i (id)
        ) as n
        where n.id is not null
        group by n.id
        order by min(array[n.message, n.rank])
    );
end
$function$;

comment on function turnkeep.named_files(jsonb, uuid[]) is
$comment$Returns the files of a turn, each once, in the order of their first mention:
those of the argument, then those that only a message names. A file that a message
speaks of is linked like the others; a cleanup would take it otherwise.$comment$;

revoke all on function turnkeep.named_files(jsonb, uuid[])
from public, anon, authenticated, service_role;
grant execute on function turnkeep.named_files(jsonb, uuid[]) to turnkeep_api;

commit;
