-- Revert turnkeep:core/replayed_turn from pg

begin;

drop function turnkeep.replayed_turn(uuid, uuid, text, jsonb, public.files[]);

commit;
