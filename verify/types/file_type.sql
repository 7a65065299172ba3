-- Verify turnkeep:types/file_type on pg

begin;

select t.name::public.file_type
from unnest(array['user_upload', 'generated', 'cache']) as t (name);

rollback;
