-- Verify turnkeep:types/pinned_file on pg

begin;

select
    (t.p).id as id,
    (t.p).size_bytes as size_bytes,
    (t.p).bucket_id as bucket_id,
    (t.p).storage_path as storage_path,
    (t.p).sha256 as sha256,
    (t.p).is_marked as is_marked
from (select null::turnkeep.pinned_file) as t (p);

rollback;
