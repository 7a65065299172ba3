-- Verify turnkeep:types/request_id on pg

begin;

select 'r'::turnkeep.request_id;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.request_id'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
