-- Revert turnkeep:types/turn_size from pg

begin;

drop domain turnkeep.turn_size;

commit;
