-- Verify turnkeep:types/sha256 on pg

begin;

select repeat('a', 64)::turnkeep.sha256;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.sha256'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
