-- Revert turnkeep:core/write_event from pg

begin;

drop function turnkeep.write_event(uuid, text, jsonb, uuid, text);

commit;
