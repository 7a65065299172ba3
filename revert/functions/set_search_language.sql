-- Revert turnkeep:functions/set_search_language from pg

begin;

drop function public.set_search_language(text);

commit;
