-- Verify turnkeep:types/pinned_file on pg

begin;

select
    (p).id,
    (p).size_bytes,
    (p).bucket_id,
    (p).storage_path,
    (p).sha256,
    (p).is_marked
from (select null::turnkeep.pinned_file) as t (p);

rollback;
