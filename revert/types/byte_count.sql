-- Revert turnkeep:types/byte_count from pg

begin;

drop domain turnkeep.byte_count;

commit;
