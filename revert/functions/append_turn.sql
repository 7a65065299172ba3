-- Revert turnkeep:functions/append_turn from pg

begin;

drop function public.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid);

commit;
