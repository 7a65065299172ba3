-- Verify turnkeep:types/storage_path on pg

begin;

select 'a/b'::turnkeep.storage_path;

select 1 / (count(*) = 2)::integer
from pg_constraint as k
where
    k.contypid = 'turnkeep.storage_path'::regtype
    and k.contype = 'c'
    and k.convalidated;

rollback;
