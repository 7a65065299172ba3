-- Revert turnkeep:types/ordinal from pg

begin;

drop domain turnkeep.ordinal;

commit;
