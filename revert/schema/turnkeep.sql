-- Revert turnkeep:schema/turnkeep from pg

begin;

drop schema turnkeep;

commit;
