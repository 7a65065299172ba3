-- Deploy turnkeep:types/bucket_id to pg
-- requires: schema/turnkeep

begin;

create domain turnkeep.bucket_id as text collate "C"
constraint bucket_id_has_1_to_100_characters check (length(value) between 1 and 100);

comment on domain turnkeep.bucket_id is
'The name of a storage bucket, 1 to 100 characters.';

commit;
