-- Verify turnkeep:functions/claim_storage_deletions on pg

begin;

insert into turnkeep.storage_deletions (owner_id, bucket_id, storage_path, due_at)
values ('00000000-0000-4000-8000-000000000001', 'verify', 'verify', '-infinity');

select 1 / count(*)
where
    jsonb_array_length(
        public.claim_storage_deletions('verify', 1) -> 'deletions'
    ) = 1;

select
    1 / bool_and(
        has_function_privilege(r.name, f.oid, 'execute') = r.may
        and (f.proconfig @> array['search_path=pg_temp']) is true
        and not f.prosecdef
    )::integer
from pg_proc as f
cross join (
    values
    ('service_role', true),
    ('anon', false),
    ('authenticated', false),
    ('public', false)
) as r (name, may)
where f.oid = 'public.claim_storage_deletions(text, integer, interval)'::regprocedure;

rollback;
