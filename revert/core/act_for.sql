-- Revert turnkeep:core/act_for from pg

begin;

drop function turnkeep.act_for(uuid);

commit;
