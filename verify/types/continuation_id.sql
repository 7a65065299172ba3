-- Verify turnkeep:types/continuation_id on pg

begin;

select 'c'::turnkeep.continuation_id;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.continuation_id'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
