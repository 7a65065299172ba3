-- Revert turnkeep:functions/search_messages from pg

begin;

drop function public.search_messages(text, integer, text, uuid);

commit;
