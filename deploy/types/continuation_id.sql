-- Deploy turnkeep:types/continuation_id to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.continuation_id as text collate "C"
constraint continuation_id_has_1_to_500_characters
check (length(value) between 1 and 500);

comment on domain turnkeep.continuation_id is
'A client''s name for a conversation, 1 to 500 characters.';

commit;
