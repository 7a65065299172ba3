-- Revert turnkeep:core/upsert_conversation from pg

begin;

drop function turnkeep.upsert_conversation(text, text, jsonb, uuid);

commit;
