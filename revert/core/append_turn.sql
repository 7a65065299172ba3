-- Revert turnkeep:core/append_turn from pg

begin;

drop function turnkeep.append_turn(text, jsonb, jsonb, text, text, jsonb, uuid);

commit;
