-- Revert turnkeep:types/jsonb_object from pg

begin;

drop domain turnkeep.jsonb_object;

commit;
