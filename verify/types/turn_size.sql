-- Verify turnkeep:types/turn_size on pg

begin;

select 1::turnkeep.turn_size;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.turn_size'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
