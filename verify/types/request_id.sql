-- Verify turnkeep:types/request_id on pg

begin;

select 'r'::turnkeep.request_id;

rollback;
