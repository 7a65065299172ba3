-- Revert turnkeep:core/check_messages from pg

begin;

drop function turnkeep.check_messages(jsonb);

commit;
