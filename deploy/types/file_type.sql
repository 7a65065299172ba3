-- Deploy turnkeep:types/file_type to pg
-- requires: schema/turnkeep

begin;

create type public.file_type as enum ('user_upload', 'generated', 'cache');

comment on type public.file_type is
'Where a file comes from: a person, a model, or something that can be made again.';

commit;
