-- Verify turnkeep:types/byte_count on pg

begin;

select 0::turnkeep.byte_count;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.byte_count'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
