-- Revert turnkeep:core/check_conversation from pg

begin;

drop function turnkeep.check_conversation(text, text, jsonb);

commit;
