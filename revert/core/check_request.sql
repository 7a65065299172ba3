-- Revert turnkeep:core/check_request from pg

begin;

drop function turnkeep.check_request(uuid, text, text);

commit;
