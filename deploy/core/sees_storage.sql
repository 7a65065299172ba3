-- Deploy turnkeep:core/sees_storage to pg
-- requires: schema/turnkeep

begin;

create function turnkeep.sees_storage()
returns boolean
language plpgsql
stable
set search_path = pg_temp
as $function$
begin
    return exists (
        select from pg_namespace as n
        join pg_class as c on c.relnamespace = n.oid
        where n.nspname = 'storage'
          and c.relname = 'objects'
          and has_schema_privilege(n.oid, 'usage')
          and has_table_privilege(c.oid, 'select')
    );
end
$function$;

comment on function turnkeep.sees_storage() is
$comment$Says whether Supabase Storage is there and the current role may look into
storage.objects. Statements that do are executed from a text, because most databases
have no such table.$comment$;

revoke all on function turnkeep.sees_storage() from public, anon, authenticated;
grant execute on function turnkeep.sees_storage() to authenticated, service_role;

commit;
