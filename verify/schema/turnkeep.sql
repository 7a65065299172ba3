-- Verify turnkeep:schema/turnkeep on pg

begin;

select 1 / (
    has_schema_privilege('authenticated', 'turnkeep', 'usage')
    and has_schema_privilege('service_role', 'turnkeep', 'usage')
    and has_schema_privilege('turnkeep_api', 'turnkeep', 'create')
    and not has_schema_privilege('anon', 'turnkeep', 'usage')
)::integer;

rollback;
