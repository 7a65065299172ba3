-- Verify turnkeep:schema/roles on pg

begin;

select 1 / (not p.rolcanlogin and not p.rolsuper and not p.rolbypassrls)::integer
from pg_roles as p
where p.rolname = 'turnkeep_api';

select r.name::regrole
from unnest(
    array['anon', 'authenticated', 'service_role', 'turnkeep_api']
) as r (name);

select 1 / pg_has_role(current_user, 'turnkeep_api', 'usage')::integer;

rollback;
