-- Revert turnkeep:core/note_uploads from pg

begin;

drop function turnkeep.note_uploads(jsonb);

commit;
