-- Deploy turnkeep:types/request_id to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.request_id as text collate "C"
constraint request_id_has_1_to_200_characters check (length(value) between 1 and 200);

comment on domain turnkeep.request_id is
'A client''s name for a request, 1 to 200 characters.';

commit;
