-- Verify turnkeep:types/jsonb_object on pg

begin;

select '{}'::turnkeep.jsonb_object;

rollback;
