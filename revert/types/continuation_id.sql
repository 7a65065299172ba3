-- Revert turnkeep:types/continuation_id from pg

begin;

drop domain turnkeep.continuation_id;

commit;
