-- Verify turnkeep:types/ordinal on pg

begin;

select 1::turnkeep.ordinal;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.ordinal'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
