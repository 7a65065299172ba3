-- Deploy turnkeep:functions/health to pg
-- requires: schema/roles

begin;

create function public.health()
returns jsonb
language plpgsql
stable
set search_path = pg_temp
as $function$
begin
    return jsonb_build_object(
        'status', case
            when current_setting('in_hot_standby')::boolean then 'read_only'
            else 'ok'
        end,
        'schema_version', '0.1.0',
        'server_version', current_setting('server_version'),
        'in_recovery', current_setting('in_hot_standby')::boolean,
        'now', now()
    );
end
$function$;

comment on function public.health() is
$comment$Says that the database answers, for everybody. Returns {"status",
"schema_version", "server_version", "in_recovery", "now"}; status is ok, or read_only
on a server in recovery.$comment$;

revoke all on function public.health()
from public, anon, authenticated, service_role;
grant execute on function public.health() to anon, authenticated, service_role;

commit;
