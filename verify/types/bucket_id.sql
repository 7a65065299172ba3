-- Verify turnkeep:types/bucket_id on pg

begin;

select 'b'::turnkeep.bucket_id;

select 1 / (count(*) = 1)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.bucket_id'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
