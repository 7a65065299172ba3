-- Revert turnkeep:functions/upsert_conversation from pg

begin;

drop function public.upsert_conversation(text, text, jsonb, uuid);

commit;
