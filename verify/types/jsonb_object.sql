-- Verify turnkeep:types/jsonb_object on pg

begin;

select '{}'::turnkeep.jsonb_object;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.jsonb_object'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
