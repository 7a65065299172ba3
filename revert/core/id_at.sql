-- Revert turnkeep:core/id_at from pg

begin;

drop function turnkeep.id_at(timestamptz);

commit;
